"""The items of a prepared dataset: what the caller calls them, and their indices."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int, Int32, Int64

from segue.axes import INDEX_DTYPE, N_SPECIALS, UNK

SPECIAL_TITLES = ("<pad>", "<start>", "<end>", "<unk>")
"""How special tokens are shown to a person, by item index."""

SEARCHED = ("title", "artist", "item_id")
"""Columns that ``Items.search`` looks into."""


def item_order(
    codes: Int64[np.ndarray, " items"],
    training_counts: Int64[np.ndarray, " codes"],
    catalogue: Literal["train", "all"],
) -> tuple[Int64[np.ndarray, " items"], int]:
    """Number the items: by falling training count, ties as they come.

    Args:
        codes: of the items that belong to the dataset, in the order that ties keep.
        training_counts: training events of each code.
        catalogue: ``train`` for the items with a training event, ``all`` for every one.

    Returns:
        The codes in their new order, and how many of the first are the catalogue.
    """
    order = codes[np.argsort(-training_counts[codes], kind="stable")]
    trained = int(np.count_nonzero(training_counts[order]))
    return order, len(order) if catalogue == "all" else trained


def item_table(
    attributes: pa.Table, training_counts: Int64[np.ndarray, " items"], first: int = N_SPECIALS
) -> pa.Table:
    """The table of ``Items``, from ``item_id`` and attributes in the order of the indices.

    Args:
        first: the index of the first row, where these are some rows of the table.
    """
    indices = np.arange(first, first + len(attributes), dtype=INDEX_DTYPE)
    table = attributes.add_column(0, "index", pa.array(indices))
    return table.append_column("training_count", pa.array(training_counts))


class Items:
    """The items by index: the catalogue by falling training count, then those outside it.

    Attributes:
        table: one row an item, item index ``N_SPECIALS`` first; columns ``index``,
            ``item_id``, whatever attributes the source gave (``title``, ``artist``, ...),
            and ``training_count``.
    """

    def __init__(self, table: pa.Table) -> None:
        self.table = table

    def __len__(self) -> int:
        """Items, special tokens not among them."""
        return self.table.num_rows

    @cached_property
    def ids(self) -> list[str]:
        """The caller's ids; item index ``i`` is at ``i - N_SPECIALS``."""
        return self.table.column("item_id").to_pylist()

    @cached_property
    def training_counts(self) -> Int64[np.ndarray, " indices"]:
        """Training events of each item by item index; 0 for special tokens."""
        counts = self.table.column("training_count").to_numpy()
        return np.concatenate([np.zeros(N_SPECIALS, np.int64), counts])

    def codes(self, column: str) -> Int32[np.ndarray, " indices"] | None:
        """A number for each item's value in a column of words, by item index.

        -1 where an item has none, as special tokens; None where no item has one.
        """
        if column not in self.table.column_names:
            return None
        encoded = self.table.column(column).combine_chunks().dictionary_encode()
        codes = np.full(N_SPECIALS + len(self), -1, np.int32)
        codes[N_SPECIALS:] = encoded.indices.fill_null(-1).to_numpy()
        return codes if codes.max(initial=-1) >= 0 else None

    def find(self, ids: Sequence[str]) -> Int32[np.ndarray, " ids"]:
        """Item indices of the caller's ids, ``UNK`` where there is no such item."""
        found = [self._index_of.get(item_id, UNK) for item_id in ids]
        return np.array(found, dtype=INDEX_DTYPE)

    def titles(self, indices: Sequence[int] | Int[np.ndarray, " items"]) -> list[str]:
        """What to show a person for each item index: the title, or else the id."""
        indices = np.asarray(indices, dtype=np.int64)
        special = indices < N_SPECIALS
        rows = pa.array(np.where(special, 0, indices - N_SPECIALS), mask=special)
        shown = self._shown.take(rows).to_pylist()
        return [
            SPECIAL_TITLES[index] if title is None else title
            for index, title in zip(indices.tolist(), shown, strict=True)
        ]

    def describe(self, index: int) -> dict[str, Any]:
        """What is known of one item: its id, attributes that it has, and training count.

        For a person to read: of a vector, only how many numbers it has.
        """
        if index < N_SPECIALS:
            return {"item_id": SPECIAL_TITLES[index]}
        row = self.table.slice(index - N_SPECIALS, 1).to_pylist()[0]
        return {name: _readable(value) for name, value in row.items() if value is not None}

    def search(self, text: str, limit: int) -> Int32[np.ndarray, " found"]:
        """Item indices whose title, artist or id contains ``text`` in any case.

        At most ``limit`` of them, by falling training count.
        """
        options = pc.MatchSubstringOptions(text, ignore_case=True)
        found = np.zeros(len(self), bool)
        for name in set(SEARCHED).intersection(self.table.column_names):
            holds = pc.call_function("match_substring", [self.table.column(name)], options)
            found |= holds.fill_null(False).to_numpy()
        return (np.flatnonzero(found)[:limit] + N_SPECIALS).astype(INDEX_DTYPE)

    @cached_property
    def _index_of(self) -> dict[str, int]:
        return {item_id: index for index, item_id in enumerate(self.ids, start=N_SPECIALS)}

    @cached_property
    def _shown(self) -> pa.ChunkedArray:
        ids = self.table.column("item_id")
        if "title" not in self.table.column_names:
            return ids
        return pc.call_function("coalesce", [self.table.column("title"), ids])


def _readable(value: Any) -> Any:
    is_vector = isinstance(value, list) and bool(value) and isinstance(value[0], float)
    return f"{len(value)} numbers" if is_vector else value
