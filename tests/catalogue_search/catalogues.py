"""Small catalogues to search."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from segue.dataset import Items
from segue.tokens import N_SPECIALS


def items_of(columns: dict[str, list], counts: list[int] | None = None) -> Items:
    """Items with the given attributes; the ids are ``i0``, ``i1``, ... unless they are given."""
    n = len(next(iter(columns.values())))
    return Items(
        pa.table(
            {
                "index": np.arange(N_SPECIALS, N_SPECIALS + n, dtype=np.int32),
                "item_id": columns.pop("item_id", [f"i{i}" for i in range(n)]),
                **columns,
                "training_count": np.array(counts or range(n, 0, -1), np.int64),
            }
        )
    )


def titled(*titles: str | None, counts: list[int] | None = None) -> Items:
    """Items with titles and no other attribute."""
    return items_of({"title": list(titles)}, counts)
