"""The attributes of items that lists show beside the title: in tables, as JSON and in batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Int

from segue.dataset import Items
from segue.tokens import N_SPECIALS

SHOWN = ("artist", "year", "genres")
"""Attributes that lists show, where the items have them."""


def shown_columns(
    items: Items, indices: Int[np.ndarray, " items"]
) -> dict[str, pa.Array | pa.ChunkedArray]:
    """The columns of ``SHOWN`` that the items have, at some item indices of the catalogue."""
    rows = pa.array(indices.astype(np.int64) - N_SPECIALS)
    names = [name for name in SHOWN if name in items.table.column_names]
    columns = {name: items.table.column(name).take(rows) for name in names}
    return {
        name: c.cast(c.type.value_type) if pa.types.is_dictionary(c.type) else c
        for name, c in columns.items()
    }


def shown_attributes(items: Items, indices: Int[np.ndarray, " items"]) -> list[dict[str, Any]]:
    """The values of ``SHOWN`` that each item has, by name."""
    columns = {name: c.to_pylist() for name, c in shown_columns(items, indices).items()}
    return [
        {name: values[i] for name, values in columns.items() if values[i] is not None}
        for i in range(len(indices))
    ]
