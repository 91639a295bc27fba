"""Columns that a configuration may not name as features."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pyarrow as pa

from segue.errors import ConfigError

_NUMBER = r"[-+]?(\d+(\.\d*)?|\.\d+)(e[-+]?\d+)?"
_NUMBERS = re.compile(rf"[\[(]?\s*{_NUMBER}([,;|\s]+{_NUMBER})+\s*[\])]?", re.IGNORECASE)
"""What a vector looks like that was written as text."""


def check_known(name: str, columns: Sequence[str], what: str, forbidden: Sequence[str]) -> None:
    """Refuse a feature that is no column, or one that says nothing of what it describes."""
    known = [column for column in columns if column not in forbidden]
    if name not in known:
        raise ConfigError(
            f"model.{what}_features names {name!r}, which the dataset's {what}s do not have",
            f"they have: {', '.join(known) or 'nothing'}",
        )


def teaches_nothing(name: str, what: str, why: str, values: pa.Array | None = None) -> ConfigError:
    """The refusal of a feature from which nothing can be learned, with where to go instead."""
    hint = f"leave it out of model.{what}_features"
    first = "" if values is None else str(next(iter(values.drop_null()), ""))
    if _NUMBERS.fullmatch(first.strip()):
        hint += "; vectors take an items file in Parquet or JSON Lines"
    return ConfigError(f"model.{what}_features names {name!r}, which teaches nothing: {why}", hint)
