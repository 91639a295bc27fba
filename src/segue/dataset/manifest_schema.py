"""The types of ``manifest.json``, against which it is checked when a dataset is opened.

A manifest may have more keys; these are the ones that are read.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from segue.storage.reading import MAX_COUNT
from segue.tokens import INDEX_DTYPE

Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)]
ItemCount = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 8)]
"""A number of items: with the special tokens, an index of ``INDEX_DTYPE`` can count them."""
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
assert INDEX_DTYPE().itemsize == 4


class FileRecord(msgspec.Struct, frozen=True):
    """The size of a file in bytes and a checksum of its content."""

    size: Count
    checksum: str


class Counts(msgspec.Struct, frozen=True):
    """Numbers of sequences, events, items, and items in the catalogue."""

    sequences: Count
    events: Count
    items: ItemCount
    catalogue: ItemCount


class ItemsFileReport(msgspec.Struct):
    """How the columns of an items file were used, and how many items it describes."""

    columns: dict[str, str | None]
    further: list[str]
    vectors: dict[str, Count]
    described: Count
    of: Count


class Report(msgspec.Struct):
    """What was found when the source was read."""

    warnings: list[str]
    columns: dict[str, str | None] = {}
    items_file: ItemsFileReport | None = None


class Source(msgspec.Struct):
    """The source of a dataset."""

    format: str
    fingerprint: dict[str, Any]
    report: Report


class SplitOptions(msgspec.Struct):
    """The options of the split that are read later."""

    catalogue: Literal["train", "all"]


class Options(msgspec.Struct):
    """The configuration of ``prepare``."""

    split: SplitOptions


class AuditCounts(msgspec.Struct):
    """Totals of the audit."""

    density: Share


class Bin(msgspec.Struct):
    """A bin of a histogram; both bounds are inclusive."""

    low: Count = msgspec.field(name="from")
    high: Count = msgspec.field(name="to")
    n: Count = msgspec.field()


class Distribution(msgspec.Struct):
    """Summary statistics and a histogram."""

    min: Count
    max: Count
    quartiles: tuple[float, float, float]
    histogram: Annotated[list[Bin], msgspec.Meta(max_length=64)]


class Repeats(msgspec.Struct):
    """Events whose item occurs earlier in their sequence."""

    share: Share
    recommended_seen: Literal["include", "exclude"]


class Times(msgspec.Struct):
    """The range of the times, and their ties and duplicates."""

    first: str = msgspec.field(name="from")
    last: str = msgspec.field(name="to")
    tie_share: Share = msgspec.field()
    duplicates: Count = msgspec.field()


class TrainPart(msgspec.Struct):
    """The size of the training part."""

    sequences: Count
    events: Count


class HeldOutPart(msgspec.Struct):
    """The size of a held-out part, and how many of its targets can be recommended."""

    sequences: Count
    events: Count
    targets: Count
    cold_share: Share
    ceiling: Share


class Parts(msgspec.Struct):
    """The sizes of the three parts."""

    train: TrainPart
    validation: HeldOutPart
    test: HeldOutPart


class Leakage(msgspec.Struct):
    """The guarantee of the split, and its violations."""

    guarantee: str | None
    violations: Count | None


class Audit(msgspec.Struct):
    """The findings of ``segue.preparation.audit`` that ``segue inspect`` shows."""

    counts: AuditCounts
    lengths: Distribution
    popularity: Distribution
    repeats: Repeats
    times: Times | None
    parts: Parts
    leakage: Leakage
    warnings: list[str]
