"""The configuration of ``prepare``: how a log becomes a dataset."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from segue.config.section import (
    Bytes,
    ConfigSection,
    FilePath,
    PositiveInt,
    Seconds,
    Seed,
    Share,
)

LogFormat = Literal["mpd", "movielens", "tabular", "demo"]
SplitKind = Literal["holdout", "leave-one-out", "global-time", "windows"]
Catalogue = Literal["train", "all"]
BadTimes = Literal["refuse", "drop"]


class DemoConfig(ConfigSection):
    """The size and seed of the built-in world."""

    sequences: PositiveInt = 8_000
    """Number of playlists of the built-in world."""
    items: Annotated[int, Field(ge=100, le=10_000_000)] = 2_000
    """Number of tracks of the built-in world."""
    mean_length: Annotated[int, Field(ge=6)] = 30
    """Mean number of events per playlist of the built-in world; the shortest has 5."""
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

    format: LogFormat | None = None
    """The format of the log; by default it is inferred from the files."""
    user_column: str | None = None
    """Column of users; by default it is guessed, like the other columns (tabular)."""
    item_column: str | None = None
    """Column of items (tabular)."""
    time_column: str | None = None
    """Column of times (tabular)."""
    rating_column: str | None = None
    """Column of ratings (tabular)."""
    event_column: str | None = None
    """Column of event types (tabular)."""
    event_type: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """Keep only events of these types (tabular)."""
    bad_times: BadTimes = "refuse"
    """What to do about rows whose time is missing, cannot be read, or lies before 1980 or more
    than a year ahead while most do not: ``refuse`` the log, or ``drop`` the rows (tabular,
    movielens)."""
    items_file: FilePath | None = None
    """A file of item attributes: titles, artists, genres, years, vectors."""
    memory_limit: Bytes = 2_000_000_000
    """Memory that reading and sorting may use at a time, in bytes or as in ``600MB``."""
    demo: DemoConfig = DemoConfig()


class FilterConfig(ConfigSection):
    """Filters of events and sequences, applied once each, in this order."""

    min_rating: float | None = None
    """Drop events with a lower rating."""
    session_gap_s: Seconds | None = None
    """Split a user's history into sessions at gaps longer than this, in seconds or as in
    ``30m``."""
    drop_consecutive_repeats: bool = False
    """Keep one of several consecutive events of an item."""
    min_item_events: PositiveInt = 1
    """Drop items with fewer events in the complete log; the count is not repeated after drops."""
    min_sequence_events: PositiveInt = 1
    """Drop sequences with fewer events after the filters above."""


class SplitConfig(ConfigSection):
    """Which events are for training, validation and test; see ``docs/evaluation.md``."""

    kind: SplitKind | None = None
    """How events are held out. By default ``leave-one-out`` if sequences are users, else
    ``holdout``."""
    catalogue: Catalogue = "train"
    """What can be recommended: items with a training event, or all items."""
    validation_share: Share | None = None
    """Share of the validation part. By default 0.1; under ``windows`` 0.02 of the targets that
    are not test targets."""
    test_share: Share = 0.1
    """Share of the test part. Both shares are of the sequences (``holdout``), of the time
    (``global-time``) or of the targets (``windows``)."""
    window: PositiveInt = 5
    """Length of the history before each target (split ``windows``), in events."""
    seed: Seed = 0
    """Seed of the split; as an option of ``prepare`` also of the built-in world."""


class PrepareConfig(ConfigSection):
    """All options that determine the content of a prepared dataset."""

    source: SourceConfig = SourceConfig()
    filters: FilterConfig = FilterConfig()
    split: SplitConfig = SplitConfig()
