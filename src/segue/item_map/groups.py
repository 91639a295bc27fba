"""Groups of items for the colours of a map: the most frequent genres, categories or artists."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from segue.dataset import Items

GROUPING_ATTRIBUTES = ("genre", "genres", "category", "categories", "artist")
"""Attributes by which items are grouped: the first one that some items have."""
MAX_GROUPS = 11
"""More colours than this are hard to tell apart."""
OTHER = 255
"""The code of items of a rarer group, or of none."""


class Groups(NamedTuple):
    """Groups of items.

    Attributes:
        attribute: what they are; None if the items have no attribute to group by.
        names: the most frequent values, most frequent first.
        codes: per item the place of its value in ``names``, or ``OTHER``.
    """

    attribute: str | None
    names: list[str]
    codes: UInt8[np.ndarray, " items"]


def group_items(items: Items, n_items: int) -> Groups:
    """Group the first items by an attribute; of a list of values the first one counts.

    Args:
        items: the items.
        n_items: how many of them, in the order of the indices.
    """
    for attribute in GROUPING_ATTRIBUTES:
        if attribute not in items.table.column_names:
            continue
        column = items.table.column(attribute).slice(0, n_items).to_pylist()
        values = [_first(value) for value in column]
        counts = Counter(value for value in values if value is not None)
        if counts:
            names = [name for name, _ in counts.most_common(MAX_GROUPS)]
            code_of = {name: code for code, name in enumerate(names)}
            codes = [OTHER if value is None else code_of.get(value, OTHER) for value in values]
            return Groups(attribute, names, np.array(codes, np.uint8))
    return Groups(None, [], np.full(n_items, OTHER, np.uint8))


def _first(value: Any) -> str | None:
    if isinstance(value, list):
        value = value[0] if value else None
    return None if value is None else str(value)
