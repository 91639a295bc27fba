"""Resource estimates: memory and time of a training run before it begins."""

from segue.trainer.plan.planning import Plan, plan
from segue.trainer.plan.recommendations import as_options

__all__ = ["Plan", "as_options", "plan"]
