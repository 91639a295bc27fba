"""How a log becomes a dataset."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from segue.config.part import Part, Positive, Seed, Share

SplitKind = Literal["holdout", "leave-one-out", "global-time", "windows"]


class DemoConfig(Part):
    """The size and seed of the built-in world."""

    sequences: Positive = 8_000
    items: Annotated[int, Field(ge=100, le=10_000_000)] = 2_000
    mean_length: Annotated[int, Field(ge=6)] = 30
    """Events of a playlist; the shortest has 5."""
    seed: Seed = 0

    @model_validator(mode="after")
    def _items_suffice(self) -> DemoConfig:
        # Playlists hold no item twice, and the longest are some eight times the mean.
        if self.items < 8 * self.mean_length:
            raise ValueError(
                f"items {self.items} are too few for playlists of mean_length "
                f"{self.mean_length}: at least {8 * self.mean_length}"
            )
        return self


class SourceConfig(Part):
    """How a foreign log is read."""

    format: Literal["mpd", "movielens", "tabular", "demo"] | None = None
    """Which reader; guessed from the files when absent."""
    user_column: str | None = None
    item_column: str | None = None
    time_column: str | None = None
    rating_column: str | None = None
    event_column: str | None = None
    event_type: tuple[str, ...] = ()
    """Keep only events of these types (tabular)."""
    items_file: str | None = None
    """A file of item attributes: titles, artists, genres, years, vectors."""
    memory_limit: Positive = 2_000_000_000
    """Bytes that reading and sorting may hold at a time."""
    demo: DemoConfig = DemoConfig()


class FilterConfig(Part):
    """Which events and sequences of the log are kept, applied in this order, each once."""

    min_rating: float | None = None
    session_gap_s: Annotated[float, Field(gt=0)] | None = None
    """Cut a user's history into sessions where two events lie further apart (seconds)."""
    drop_consecutive_repeats: bool = False
    min_item_events: Positive = 1
    """Drop items with fewer events in the whole log, counted once."""
    min_sequence_events: Positive = 1
    """Drop sequences with fewer events after the filters above."""


class SplitConfig(Part):
    """Which events may be trained on. See the evaluation page of the documentation."""

    kind: SplitKind | None = None
    """When absent: ``leave-one-out`` where sequences are users, ``holdout`` elsewhere."""
    catalogue: Literal["train", "all"] = "train"
    """What can be recommended: items with a training event, or every item known."""
    validation_share: Share | None = None
    """When absent: 0.1, and 0.02 under ``windows``, where it comes out of the nine tenths
    that are not test."""
    test_share: Share = 0.1
    """Shares of the sequences (``holdout``), of the time (``global-time``) or of the targets
    (``windows``)."""
    window: Positive = 5
    """Events that a target of the split ``windows`` is predicted from."""
    seed: Seed = 0


class PrepareConfig(Part):
    """Everything that decides what a prepared dataset holds."""

    source: SourceConfig = SourceConfig()
    filters: FilterConfig = FilterConfig()
    split: SplitConfig = SplitConfig()
