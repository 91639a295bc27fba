"""Resource estimates: memory and time of a training run before it begins."""

from segue.trainer.plan.planning import Plan, plan

__all__ = ["Plan", "plan"]
