"""Parsers of option values: paths, lists and changes of the configuration."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from segue.errors import ConfigError, SegueError
from segue.storage.paths import checked_path

MAX_NUMBERS = 100
"""Numbers of a list: each cut-off is measured for every target."""


def parse_cutoffs(text: str) -> tuple[int, ...]:
    """The positive integers of a list such as ``5,10,20``."""
    return _parse_integers(text, 1, "5,10,20")


def parse_counts(text: str) -> tuple[int, ...]:
    """The integers of a list such as ``0,1,5``; 0 is allowed."""
    return _parse_integers(text, 0, "0,1,5")


def parse_names(text: str) -> list[str]:
    """The names of a list such as ``a,b``; spaces around them and empty names are dropped."""
    return [name.strip() for name in text.split(",") if name.strip()]


def parse_changes(texts: list[str] | None) -> dict[str, Any]:
    """The values by dotted configuration key of ``--set layers=4`` or ``--set model.layers=4``.

    A value is read as TOML, or is text if it is not TOML. The last value of a key takes precedence.

    Raises:
        ConfigError: a text is not of the form KEY=VALUE, or the configuration has no such key.
    """
    from segue.config import dotted_key

    changes: dict[str, Any] = {}
    for text in texts or []:
        key, equals, value = text.partition("=")
        if not equals:
            message = f"the change {text!r} has no '='"
            raise ConfigError(message, "write key=value, as in model.layers=4")
        changes[dotted_key(key.strip())] = _toml_value(value)
    return changes


def parse_path(text: str | Path) -> Path:
    """A path of the command line; see ``checked_path``."""
    try:
        return checked_path(text)
    except SegueError as error:
        raise ValueError(str(error)) from None


def _toml_value(text: str) -> Any:
    from segue.config.loading import MAX_TOML_LINE

    if len(text) > MAX_TOML_LINE:
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):  # not TOML, or an integer of thousands of digits
        return text.strip()


def _parse_integers(text: str, minimum: int, example: str) -> tuple[int, ...]:
    try:
        numbers = tuple(int(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if not numbers or min(numbers) < minimum:
        raise ValueError(
            f"{text!r} is not a list of integers of at least {minimum}, as in {example}"
        )
    if len(numbers) > MAX_NUMBERS:
        raise ValueError(f"{len(numbers):,} numbers were given, expected at most {MAX_NUMBERS}")
    return numbers
