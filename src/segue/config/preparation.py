"""The configuration of ``prepare``: how a log becomes a dataset."""

from __future__ import annotations

import codecs
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from segue.config.section import (
    Bytes,
    ConfigSection,
    FilePath,
    PositiveInt,
    Seconds,
    Seed,
    Share,
)

LogFormat = Literal["mpd", "movielens", "tabular", "events", "demo"]
SplitKind = Literal["holdout", "leave-one-out", "global-time", "windows"]
Catalogue = Literal["train", "all"]
BadTimes = Literal["refuse", "drop"]


class DemoConfig(ConfigSection):
    """The size and seed of the built-in world."""

    sequences: Annotated[int, Field(gt=0, le=100_000_000)] = 8_000
    """Number of playlists of the built-in world."""
    items: Annotated[int, Field(ge=100, le=10_000_000)] = 2_000
    """Number of tracks of the built-in world."""
    mean_length: Annotated[int, Field(ge=6, le=1_000_000)] = 30
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


def _names(value: object) -> object:
    names = [name.strip() for name in value.split(",")] if isinstance(value, str) else value
    if isinstance(names, (list, tuple)) and names and (len(names) < 2 or "" in names):
        raise ValueError("expected the names of at least two columns, as in user,item,rating,time")
    return names


def _separator(text: str) -> str:
    separator = {"\\t": "\t", "tab": "\t"}.get(text, text)
    if not separator or any(character in separator for character in '\r\n"\0\x1f'):
        raise ValueError("this cannot separate columns, expected text such as ';' or '::'")
    return separator


def _character(text: str) -> str:
    if len(text) != 1 or text in "\r\n\0\x1f":
        raise ValueError("expected a single character")
    return text


def _quote(text: str) -> str:
    return text if text == "none" else _character(text)


def _encoding(name: str) -> str:
    try:
        "".encode(name)
        b"".decode(name)
    except (LookupError, UnicodeError, ValueError):
        raise ValueError("expected an encoding of text, such as latin-1 or utf-16") from None
    return codecs.lookup(name).name


Names = Annotated[tuple[str, ...], Field(strict=False), BeforeValidator(_names)]
Separator = Annotated[str, AfterValidator(_separator)]
Character = Annotated[str, AfterValidator(_character)]
Quote = Annotated[str, AfterValidator(_quote)]
Encoding = Annotated[str, AfterValidator(_encoding)]


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
    event_weight: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """Weights of kinds of events, as in ``listen=1``; those with a positive one are kept
    (events)."""
    columns: Names = ()
    """Names of the columns of a text file without a header, in their order: user, item, rating,
    time, event, or any other name; ``-`` for a column that is not used. ``items`` after the first
    column stands for the rest of a line, in a file with one sequence per line (tabular)."""
    header: bool | None = None
    """Whether the first row of a text file names its columns; by default it is detected
    (tabular)."""
    separator: Separator | None = None
    """Text between the columns of a text file; a space for any number of blanks. By default it
    is detected (tabular)."""
    quote: Quote | None = None
    """The character around texts that contain separators, or ``none`` (tabular)."""
    escape: Character | None = None
    """The character before a quote within quotes, such as a backslash. By default such a quote is
    doubled (tabular)."""
    comment: str | None = None
    """Leave out lines of a text file that begin with this (tabular)."""
    encoding: Encoding | None = None
    """Encoding of text files without a byte order mark, such as ``latin-1``; by default UTF-8
    (tabular)."""
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
