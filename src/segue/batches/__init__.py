"""Training batches and prompts: item indices in arrays of fixed shape."""

from segue.batches.prompts import PromptLayout
from segue.batches.sequences import SequenceBatches
from segue.batches.targets import TargetBatches
from segue.batches.training import Batch, SequenceFeatureTable, TrainingBatches, check_ratings

__all__ = [
    "Batch",
    "PromptLayout",
    "SequenceBatches",
    "SequenceFeatureTable",
    "TargetBatches",
    "TrainingBatches",
    "check_ratings",
]
