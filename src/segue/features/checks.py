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
    if values is not None and _is_vector_as_text(next(iter(values.drop_null()), None)):
        hint += "; vectors take an items file in Parquet or JSON Lines"
    return ConfigError(f"model.{what}_features names {name!r}, which teaches nothing: {why}", hint)


def are_vectors_as_text(values: pa.Array) -> bool:
    """Whether every value is a list of numbers written as text, and no list of whole ones.

    Lists of whole numbers may be of codes, which are categories.
    """
    present = values.drop_null()
    return all(map(_is_vector_as_text, present)) and any(
        _is_fraction(str(value)) for value in present
    )


def _is_fraction(text: str) -> bool:
    return "." in text or "e" in text.lower()


def _is_vector_as_text(value: object) -> bool:
    return _NUMBERS.fullmatch(str(value).strip()) is not None
