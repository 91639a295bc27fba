"""The interface of a split (``SplitRule``) and its parameters (``Split``).

A new kind of split is a subclass of ``SplitRule``, listed in ``SPLIT_RULES`` of the package and in
``SplitKind`` of the configuration.
"""

from __future__ import annotations

import abc
from typing import Annotated, ClassVar

import msgspec
import numpy as np
from jaxtyping import Bool, Int8, Int64

from segue.config import SeenPolicy, SplitKind, TargetChoice
from segue.dataset.sequences import Cuts, Sequences
from segue.dataset.targets import SplitPart, Targets

TRAIN, VALIDATION, TEST = 0, 1, 2
"""Codes of ``SplitRule.event_parts``, in the order of the parts."""

VALIDATION_SHARE = 0.1


class Split(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of a split, as stored in the manifest.

    Attributes:
        kind: ``holdout``, ``leave-one-out``, ``global-time`` or ``windows``.
        seed: the seed of all random draws, including that of the targets ``random``.
        validation_share: share of the sequences (``holdout``), of the time before the test part
            (``global-time``) or of the targets that are not test targets (``windows``).
        test_share: share of the sequences (``holdout``), of the event times (``global-time``) or
            of the targets (``windows``).
        window: number of events before a target that it is predicted from (``windows``).
        train_until: the last moment of the training part (``global-time``), in microseconds
            since 1970.
        valid_until: the last moment of the validation part (``global-time``), in microseconds
            since 1970.
    """

    kind: SplitKind
    seed: Annotated[int, msgspec.Meta(ge=0, lt=2**32)]
    validation_share: Annotated[float, msgspec.Meta(ge=0, lt=1)]
    test_share: Annotated[float, msgspec.Meta(ge=0, lt=1)]
    window: Annotated[int, msgspec.Meta(ge=1, lt=2**31)]
    train_until: Annotated[int, msgspec.Meta(ge=-(2**63), lt=2**63 - 1)] | None = None
    valid_until: Annotated[int, msgspec.Meta(ge=-(2**63), lt=2**63 - 1)] | None = None


class SplitRule(abc.ABC):
    """Everything that depends on the kind of a split.

    Every event belongs to exactly one part: training, validation or test. All random draws come
    from the seed of the split and run over the whole dataset in its order.

    Attributes:
        split: the parameters.
        kind: the name of the kind.
        min_length: number of events that a sequence needs before any of them can be a target.
        guarantee: what holds between training and test events; None where they overlap by
            design.
        leak: how held-out targets leak into training; None where they do not.
        default_validation_share: ``Split.validation_share`` where the options give none.
        default_seen: how evaluation treats items of the history where neither the options nor the
            audit say.
        target_choices: which targets of a sequence evaluation may choose; the first is the
            default.
        whole_sequences: whether every sequence lies in one part. Only then can a held-out
            sequence be continued from its start, and only then is its end known.
        needs_target_rows: whether every training example must have a single label, because
            held-out targets lie between training events.
        warns_of_short_sequences: whether the audit reports sequences below ``min_length``.
    """

    kind: ClassVar[SplitKind]
    min_length: ClassVar[int]
    guarantee: ClassVar[str | None]
    leak: ClassVar[str | None] = None
    default_validation_share: ClassVar[float] = VALIDATION_SHARE
    default_seen: ClassVar[SeenPolicy] = "exclude"
    target_choices: ClassVar[tuple[TargetChoice, ...]] = ("every",)
    whole_sequences: ClassVar[bool] = False
    needs_target_rows: ClassVar[bool] = False
    warns_of_short_sequences: ClassVar[bool] = False

    def __init__(self, split: Split) -> None:
        self.split = split

    @property
    def window(self) -> int | None:
        """Number of events that a target is predicted from; None for all events before it."""
        return None

    @abc.abstractmethod
    def cut(
        self,
        lengths: Int64[np.ndarray, " sequences"],
        times: Int64[np.ndarray, " events"] | None,
    ) -> tuple[Split, Cuts]:
        """Draw the split.

        Args:
            lengths: events in each sequence.
            times: times of all events in microseconds since 1970, sequence after sequence;
                None where the log has none.

        Returns:
            The parameters, completed by the cut times where the kind has them, and the cuts.

        Raises:
            DatasetError: the kind needs times and there are none.
        """

    @abc.abstractmethod
    def event_parts(
        self, cuts: Cuts, offsets: Int64[np.ndarray, " bounds"], first: int, end: int
    ) -> Int8[np.ndarray, " events"]:
        """``TRAIN``, ``VALIDATION`` or ``TEST`` for each event of the rows ``first:end``.

        Args:
            cuts: the cuts of all sequences.
            offsets: the offsets of all sequences.
        """

    @abc.abstractmethod
    def targets(
        self,
        sequences: Sequences,
        part: SplitPart,
        choice: TargetChoice = "last",
        *,
        rows: Int64[np.ndarray, " chosen"] | None = None,
        earliest: int = 0,
    ) -> Targets:
        """The events of a held-out part that are predicted, sorted by row and position.

        Args:
            choice: which of a sequence's targets, where the kind leaves a choice.
            rows: only these sequences, sorted and without repetition; None for all. The targets
                of a sequence do not depend on which other sequences are given. Memory grows
                with the targets of the given sequences, not with those of the dataset.
            earliest: the first position that can be a target. 1 leaves out targets without a
                history.
        """

    @abc.abstractmethod
    def target_rows(
        self, sequences: Sequences, part: SplitPart, *, earliest: int = 0
    ) -> Int64[np.ndarray, " rows"]:
        """The rows of the sequences with a target, ascending, without an array of all targets.

        Args:
            earliest: the first position that can be a target.
        """

    def has_part(self, part: SplitPart) -> bool:
        """Whether the parameters ask for a part; one with the share 0 is left out on purpose."""
        split = self.split
        return (split.validation_share if part == "validation" else split.test_share) > 0

    @abc.abstractmethod
    def why_empty(self, part: SplitPart) -> tuple[str, str]:
        """Why a part that the split has may be without targets, and what to do about it."""

    def is_cold_start(
        self, sequences: Sequences, part: SplitPart, rows: Int64[np.ndarray, " targets"]
    ) -> Bool[np.ndarray, " targets"]:
        """Whether each target is reported separately, because its sequence starts in the part.

        Args:
            rows: the sequence of each target.
        """
        return np.zeros(len(rows), bool)

    @abc.abstractmethod
    def violations(self, sequences: Sequences, n_late_events: int | None) -> int | None:
        """The number of violations of ``guarantee``; None where it was not checked.

        Args:
            n_late_events: training events later than the first test event of the whole log;
                None without times.
        """

    @abc.abstractmethod
    def n_validation_events(self, sequences: Sequences) -> int:
        """The number of validation events; an estimate where single events are drawn."""
