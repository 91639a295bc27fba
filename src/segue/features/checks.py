"""Errors for feature columns that do not exist or from which nothing can be learned."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from segue.errors import ConfigError, DatasetError

_NUMBER = r"[-+]?(\d+(\.\d*)?|\.\d+)(e[-+]?\d+)?"
_VECTOR_AS_TEXT = re.compile(rf"[\[(]?\s*{_NUMBER}([,;|\s]+{_NUMBER})+\s*[\])]?", re.IGNORECASE)
"""Two or more numbers with separators, in brackets or without."""

LARGEST_VALUE = 1e18
"""Largest absolute value in a vector: float32 holds its square."""

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


def check_vectors(name: str, column: pa.Array) -> None:
    """Check that vectors have the same width, and numbers whose squares float32 can hold.

    Args:
        name: the name of the column.
        column: lists of floating-point numbers; null for an item without a vector.

    Raises:
        DatasetError: they do not.
    """
    widths = pc.call_function("min_max", [pc.call_function("list_value_length", [column])])
    flat = pc.call_function("list_flatten", [column])
    low, high = (pc.call_function("min_max", [flat])[end].as_py() for end in ("min", "max"))
    if widths["min"] != widths["max"]:
        problem = f"{widths['min']} to {widths['max']} numbers, expected the same number in all"
    elif flat.null_count:
        problem = "missing numbers"
    elif low is not None and not -LARGEST_VALUE <= low <= high <= LARGEST_VALUE:
        problem = f"numbers from {low:g} to {high:g}, expected at most {LARGEST_VALUE:g}"
    elif low is not None and pc.call_function("any", [pc.call_function("is_nan", [flat])]).as_py():
        problem = "numbers that are not finite"
    else:
        return
    raise DatasetError(
        f"the vectors of the column {name} of items.parquet have {problem}",
        f"prepare the dataset again, or remove {name} from model.item_features",
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
