"""The run folder: configuration, weights, checkpoints, metrics log and card.

Import ``segue.runs.weights`` (needs JAX), ``segue.runs.checkpoints`` (Orbax) and
``segue.runs.metrics_log`` (tensorboardX) by name, so that other users do not load these libraries.
"""

from segue.runs.folder import RunFolder, check_run_or_dataset, is_run

__all__ = ["RunFolder", "check_run_or_dataset", "is_run"]
