"""The configuration of ``prepare``: how a log becomes a dataset."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from segue.config.section import ConfigSection, PositiveInt, Seed, Share

SplitKind = Literal["holdout", "leave-one-out", "global-time", "windows"]


class DemoConfig(ConfigSection):
    """The size and seed of the built-in world."""

    sequences: PositiveInt = 8_000
    items: Annotated[int, Field(ge=100, le=10_000_000)] = 2_000
    mean_length: Annotated[int, Field(ge=6)] = 30
    """Mean number of events per playlist; the shortest has 5."""
    seed: Seed = 0

    @model_validator(mode="after")
    def _items_suffice(self) -> DemoConfig:
        # A playlist has no item twice, and the longest have about eight times the mean length.
        if self.items < 8 * self.mean_length:
            raise ValueError(
                f"items {self.items} are too few for playlists of mean_length "
                f"{self.mean_length}, expected at least {8 * self.mean_length}"
            )
        return self


class SourceConfig(ConfigSection):
    """The format, the columns and the memory limit with which a log is read."""

    format: Literal["mpd", "movielens", "tabular", "demo"] | None = None
    """By default it is inferred from the files."""
    user_column: str | None = None
    item_column: str | None = None
    time_column: str | None = None
    rating_column: str | None = None
    event_column: str | None = None
    event_type: tuple[str, ...] = ()
    """Keep only events of these types (tabular)."""
    items_file: str | None = None
    """A file of item attributes: titles, artists, genres, years, vectors."""
    memory_limit: PositiveInt = 2_000_000_000
    """Bytes of memory that reading and sorting may use at a time."""
    demo: DemoConfig = DemoConfig()


class FilterConfig(ConfigSection):
    """Filters of events and sequences, applied once each, in this order."""

    min_rating: float | None = None
    session_gap_s: Annotated[float, Field(gt=0)] | None = None
    """Split a user's history into sessions at gaps longer than this, in seconds."""
    drop_consecutive_repeats: bool = False
    min_item_events: PositiveInt = 1
    """Drop items with fewer events in the complete log; the count is not repeated after drops."""
    min_sequence_events: PositiveInt = 1
    """Drop sequences with fewer events after the filters above."""


class SplitConfig(ConfigSection):
    """Which events are for training, validation and test; see ``docs/evaluation.md``."""

    kind: SplitKind | None = None
    """By default ``leave-one-out`` if sequences are users, else ``holdout``."""
    catalogue: Literal["train", "all"] = "train"
    """What can be recommended: items with a training event, or all items."""
    validation_share: Share | None = None
    """By default 0.1; under ``windows`` 0.02 of the targets that are not test targets."""
    test_share: Share = 0.1
    """Both shares are of the sequences (``holdout``), of the time (``global-time``) or of the
    targets (``windows``)."""
    window: PositiveInt = 5
    """Length of the history before each target (split ``windows``), in events."""
    seed: Seed = 0


class PrepareConfig(ConfigSection):
    """All options that determine the content of a prepared dataset."""

    source: SourceConfig = SourceConfig()
    filters: FilterConfig = FilterConfig()
    split: SplitConfig = SplitConfig()
