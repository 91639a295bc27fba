"""What a model is fed: prompts and training batches, item indices all of one shape."""

from segue.batches.layout import Layout
from segue.batches.sequences import SequenceBatches
from segue.batches.targets import TargetBatches
from segue.batches.training import Batch, Told, TrainingBatches, check_ratings

__all__ = [
    "Batch",
    "Layout",
    "SequenceBatches",
    "TargetBatches",
    "Told",
    "TrainingBatches",
    "check_ratings",
]
