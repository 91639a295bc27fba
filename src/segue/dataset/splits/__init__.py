"""The splits: which events of a dataset are training, validation and test events.

``SplitRule`` is the interface, with one subclass per kind of split. All other code calls its
methods and does not depend on the kind.
"""

from segue.config import SplitConfig, SplitKind
from segue.dataset.splits.global_time import GlobalTimeSplit
from segue.dataset.splits.holdout import HoldoutSplit
from segue.dataset.splits.leave_one_out import LeaveOneOutSplit
from segue.dataset.splits.rule import TEST, TRAIN, VALIDATION, Split, SplitRule
from segue.dataset.splits.windows import WindowsSplit

SPLIT_RULES: dict[SplitKind, type[SplitRule]] = {
    rule.kind: rule for rule in (HoldoutSplit, LeaveOneOutSplit, GlobalTimeSplit, WindowsSplit)
}
"""The rule of each kind of split."""


def rule_of(split: Split) -> SplitRule:
    """The rule of a split with these parameters."""
    return SPLIT_RULES[split.kind](split)


def resolve_split(config: SplitConfig, default_kind: SplitKind) -> Split:
    """The parameters of a split from the options, with every default filled in.

    Args:
        default_kind: the kind where the options name none.
    """
    kind, share = config.kind or default_kind, config.validation_share
    return Split(
        kind=kind,
        seed=config.seed,
        validation_share=SPLIT_RULES[kind].default_validation_share if share is None else share,
        test_share=config.test_share,
        window=config.window,
    )


__all__ = [
    "SPLIT_RULES",
    "TEST",
    "TRAIN",
    "VALIDATION",
    "Split",
    "SplitRule",
    "resolve_split",
    "rule_of",
]
