"""Foreign logs, read as streams of sequences and items in one Arrow schema."""

from __future__ import annotations

from pathlib import Path

from segue.config import SourceConfig
from segue.errors import ConfigError, SourceError
from segue.sources.schema import Chunk, Source

__all__ = ["Chunk", "Source", "open_source"]

_TABULAR_OPTIONS = (
    "user_column",
    "item_column",
    "time_column",
    "rating_column",
    "event_column",
    "event_type",
)


def open_source(path: Path | None, config: SourceConfig) -> Source:
    """Open a log with the reader that ``config.format`` names, or that knows the files.

    Args:
        path: a file or folder; None for the built-in world, which is generated.
        config: how to read it.

    Returns:
        A source that has looked at names and columns, and has yet to read the log.

    Raises:
        SourceError: nothing is there, or no reader knows it, or its reader refuses it.
        ConfigError: an option that the format cannot follow.
    """
    # Imported here, so that whoever needs a single reader does not load them all.
    from segue.sources import demo, movielens, mpd, tabular

    if path is None or config.format == "demo":
        _check_demo(path, config)
        return demo.DemoSource(config)
    if not path.exists():
        raise SourceError(f"{path} does not exist", "give the file or folder of a log")
    # The special ones first: a MovieLens release in CSV is a folder of tables, too.
    readers = {
        "mpd": (mpd.recognises, mpd.MpdSource),
        "movielens": (movielens.recognises, movielens.MovielensSource),
        "tabular": (tabular.recognises, tabular.TabularSource),
    }
    known = [name for name, (recognises, _) in readers.items() if recognises(path)]
    if config.format is None and not known:
        hint = f"name its format: {', '.join(readers)}"
        raise SourceError(f"{path} holds no log of a known kind", hint)
    name = config.format or known[0]
    if name != "tabular":
        _refuse_tabular_options(name, config)
    return readers[name][1](path, config)


def _check_demo(path: Path | None, config: SourceConfig) -> None:
    if path is not None:
        raise ConfigError(f"format demo is generated, got the source {path}", "leave it out")
    if config.format not in {None, "demo"}:
        raise ConfigError(f"format {config.format} needs a source", "give a file or folder")
    _refuse_tabular_options("demo", config)


def _refuse_tabular_options(name: str, config: SourceConfig) -> None:
    given = [option for option in _TABULAR_OPTIONS if getattr(config, option)]
    if given:
        message = f"format {name} has columns of its own, got {', '.join(given)}"
        hint = "give the log's file itself, or name --format tabular, to choose columns"
        raise ConfigError(message, hint)
