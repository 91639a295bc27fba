"""The prepared dataset: items by index, sequences by row, and the stored split."""

from segue.config import TargetChoice
from segue.dataset.dataset import Dataset
from segue.dataset.items import Items, PopularityOrder
from segue.dataset.manifest import Manifest
from segue.dataset.sequences import (
    NO_TARGET,
    SESSION_OF,
    TEST_TARGET,
    TRAIN_TARGET,
    VALID_TARGET,
    Cuts,
    Sequences,
    Spans,
)
from segue.dataset.splits import Split, SplitRule, rule_of
from segue.dataset.targets import SplitPart, Targets, part_spans
from segue.dataset.training_events import (
    EventBlock,
    count_training_events,
    readable_event_blocks,
    readable_lengths,
    training_mask,
    training_spans,
    training_targets,
)

__all__ = [
    "NO_TARGET",
    "SESSION_OF",
    "TEST_TARGET",
    "TRAIN_TARGET",
    "VALID_TARGET",
    "Cuts",
    "Dataset",
    "EventBlock",
    "Items",
    "Manifest",
    "PopularityOrder",
    "Sequences",
    "Spans",
    "Split",
    "SplitPart",
    "SplitRule",
    "TargetChoice",
    "Targets",
    "count_training_events",
    "part_spans",
    "readable_event_blocks",
    "readable_lengths",
    "rule_of",
    "training_mask",
    "training_spans",
    "training_targets",
]
