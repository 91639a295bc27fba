"""From a foreign log to a prepared dataset: items by index, sequences by row, a fixed split."""

from segue.dataset.manifest import Manifest
from segue.dataset.parts import Targets, target_rows, targets
from segue.dataset.prepare import prepare
from segue.dataset.prepared import Dataset
from segue.dataset.sequences import (
    NO_TARGET,
    TEST_TARGET,
    TRAIN_TARGET,
    VALID_TARGET,
    Sequences,
)
from segue.dataset.splits import Split
from segue.dataset.vocabulary import Items

__all__ = [
    "NO_TARGET",
    "TEST_TARGET",
    "TRAIN_TARGET",
    "VALID_TARGET",
    "Dataset",
    "Items",
    "Manifest",
    "Sequences",
    "Split",
    "Targets",
    "prepare",
    "target_rows",
    "targets",
]
