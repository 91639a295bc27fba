"""Errors for feature columns that do not exist or from which nothing can be learned."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

import pyarrow as pa

from segue.errors import ConfigError

_NUMBER = r"[-+]?(\d+(\.\d*)?|\.\d+)(e[-+]?\d+)?"
_VECTOR_AS_TEXT = re.compile(rf"[\[(]?\s*{_NUMBER}([,;|\s]+{_NUMBER})+\s*[\])]?", re.IGNORECASE)
"""Two or more numbers with separators, in brackets or without."""

Kind = Literal["item", "sequence"]
"""What a feature describes; ``model.<kind>_features`` is its configuration key."""


def require_column(name: str, columns: Sequence[str], kind: Kind, reserved: Sequence[str]) -> None:
    """Check that a feature is one of the columns and not reserved.

    Args:
        reserved: columns that are not attributes, such as the id.

    Raises:
        ConfigError: it is not; the hint lists the available attributes.
    """
    available = [column for column in columns if column not in reserved]
    if name not in available:
        raise ConfigError(
            f"model.{kind}_features names {name!r}, which is not an attribute of the dataset's "
            f"{kind}s",
            f"available: {', '.join(available) or 'nothing'}",
        )


def no_information(
    name: str, kind: Kind, reason: str, values: pa.Array | None = None
) -> ConfigError:
    """The error for a feature from which nothing can be learned.

    Args:
        values: the column. If its first value is a vector written as text, the hint says
            which file formats can store vectors.
    """
    hint = f"remove it from model.{kind}_features"
    if values is not None and _is_vector_as_text(next(iter(values.drop_null()), None)):
        hint += "; vectors need an items file in Parquet or JSON Lines"
    return ConfigError(
        f"model.{kind}_features names {name!r}, which carries no information: {reason}", hint
    )


def are_vectors_as_text(values: pa.Array) -> bool:
    """Whether every value is a list of numbers written as text, at least one with decimals.

    Lists of whole numbers may be lists of category codes, so they do not count as vectors.
    """
    present = values.drop_null()
    return all(map(_is_vector_as_text, present)) and any(
        _has_decimals(str(value)) for value in present
    )


def _has_decimals(text: str) -> bool:
    return "." in text or "e" in text.lower()


def _is_vector_as_text(value: object) -> bool:
    return _VECTOR_AS_TEXT.fullmatch(str(value).strip()) is not None
