"""Batches and prompts: item indices in arrays of fixed shape."""

from segue.batches.batch import Batch, Batches, BatchOptions, Bucket, check_ratings, n_labels
from segue.batches.prompts import PromptLayout
from segue.batches.sequences import SequenceBatches
from segue.batches.targets import TargetBatches

__all__ = [
    "Batch",
    "BatchOptions",
    "Batches",
    "Bucket",
    "PromptLayout",
    "SequenceBatches",
    "TargetBatches",
    "check_ratings",
    "n_labels",
]
