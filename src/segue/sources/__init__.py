"""Readers of interaction logs: MPD, MovieLens, tables, event stores, the demo.

All yield one Arrow schema.

``open_source`` selects the reader of a file or folder. The reader yields the log as a stream of
chunks of sequences and items; see ``segue.sources.schema``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from segue.config import DemoConfig, SourceConfig
from segue.errors import ConfigError, SourceError
from segue.sources.schema import Chunk, Source
from segue.storage.paths import checked_path

__all__ = ["Chunk", "Source", "open_log", "open_source"]

_TABULAR_OPTIONS = (
    "user_column",
    "item_column",
    "time_column",
    "rating_column",
    "event_column",
    "event_type",
    *("columns", "header", "separator", "quote", "escape", "encoding", "comment"),
)
_DEMO_OPTIONS = ("sequences", "items", "mean_length")


@contextmanager
def open_log(log: Any, config: SourceConfig) -> Iterator[Source]:
    """Open a log: a path, the URL of an event store, a table in memory, or None for the demo.

    Raises:
        SourceError, ConfigError: as in ``open_source`` and ``frames.open_frame``.
        EventStoreError: there is no event store.
    """
    from segue.event_store import is_store_url
    from segue.sources.events.frames import is_frame, open_frame

    if isinstance(log, str) and is_store_url(log):
        yield _open_store(log, config)
    elif log is None:
        yield open_source(None, config)
    elif is_frame(log):
        _refuse_demo_options("a table", config.demo)
        with open_frame(log, config) as source:
            yield source
    elif isinstance(log, str | os.PathLike):
        yield open_source(checked_path(log), config)
    else:
        message = f"the log is of type {type(log).__name__}, expected a path or a table"
        hint = "give a file, a folder, a data frame or a pyarrow table"
        raise SourceError(message, hint)


def open_source(path: Path | None, config: SourceConfig) -> Source:
    """Open a log with the reader of ``config.format``, or of the format that is detected.

    Args:
        path: a file or folder; None for the built-in world, which is generated.
        config: how to read it.

    Returns:
        A source that has inspected file and column names but not yet read the log.

    Raises:
        SourceError: the path does not exist, its format is not recognised, or its reader
            rejects it.
        ConfigError: an option does not apply to the format.
    """
    # Imported here, so that importing one reader does not import all of them.
    from segue.sources import demo, stored_events
    from segue.sources.byte_streams import compression_of, is_stream
    from segue.sources.events import tabular
    from segue.sources.movielens import source as movielens
    from segue.sources.mpd import source as mpd

    if path is None or config.format == "demo":
        _check_demo(path, config)
        return demo.DemoSource(config)
    _refuse_demo_options(path, config.demo)
    path = checked_path(path)
    if not is_stream(path):
        _check_exists(path)
    # The order matters: a MovieLens release in CSV is also a folder of tables.
    readers = {
        "mpd": (mpd.recognises, mpd.MpdSource),
        "movielens": (movielens.recognises, movielens.MovielensSource),
        "tabular": (tabular.recognises, tabular.TabularSource),
        "events": (stored_events.recognises, stored_events.EventStoreSource),
    }
    detected = [name for name, (recognises, _) in readers.items() if recognises(path)]
    if config.format is None and not detected:
        if path.is_file():
            compression_of(path)  # a zip archive has a hint of its own
        hint = f"name its format with --format: {', '.join(readers)}"
        raise SourceError(f"the format of {path} is not recognised", hint)
    name = config.format or detected[0]
    if name != "tabular":
        _refuse_tabular_options(name, config)
    if name != "events":
        _refuse_event_weights(name, config)
    return readers[name][1](path, config)


def _open_store(url: str, config: SourceConfig) -> Source:
    """Open an event store by its URL."""
    from segue.sources.stored_events import EventStoreSource

    if config.format not in {None, "events"}:
        message = f"format {config.format} reads files, but the log is a database"
        raise ConfigError(message, "leave --format out")
    _refuse_demo_options("a database", config.demo)
    _refuse_tabular_options("events", config)
    return EventStoreSource(url, config)


def _check_exists(path: Path) -> None:
    try:
        path.stat()
    except OSError as error:
        is_missing = isinstance(error, FileNotFoundError)
        problem = "does not exist" if is_missing else f"cannot be read: {error.strerror}"
        hint = "give the file or the folder of a log"
        raise SourceError(f"{path} {problem}", hint) from None


def _check_demo(path: Path | None, config: SourceConfig) -> None:
    if path is not None:
        message = f"format demo is generated and reads no log, got {path}"
        raise ConfigError(message, "leave the log out")
    if config.format not in {None, "demo"}:
        message = f"format {config.format} reads a log, but none was given"
        raise ConfigError(message, "give a file or a folder")
    _refuse_tabular_options("demo", config)
    _refuse_event_weights("demo", config)


def _refuse_tabular_options(name: str, config: SourceConfig) -> None:
    options = [option for option in _TABULAR_OPTIONS if getattr(config, option) not in (None, ())]
    if config.bad_times == "drop" and name != "movielens":
        message = f"bad_times = drop does not apply to format {name}, whose events have no times"
        raise ConfigError(message, "leave it out")
    if options:
        message = f"format {name} has fixed columns, got {', '.join(options)}"
        hint = (
            "--event-weight KIND=0 leaves a kind out"
            if name == "events"
            else "to choose columns, give the log's file itself or set --format tabular"
        )
        raise ConfigError(message, hint)


def _refuse_event_weights(name: str, config: SourceConfig) -> None:
    if config.event_weight:
        message = f"event_weight applies to event stores, but the log has the format {name}"
        raise ConfigError(message, "leave it out")


def _refuse_demo_options(path: Path | str, config: DemoConfig) -> None:
    for option in _DEMO_OPTIONS:
        if getattr(config, option) != getattr(DemoConfig(), option):
            message = f"{option} applies only to the built-in world, but the log is {path}"
            hint = "leave it out, or prepare that world: no log, and --format demo"
            raise ConfigError(message, hint)
