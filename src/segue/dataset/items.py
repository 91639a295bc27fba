"""The items of a prepared dataset: the caller's ids, item indices and attributes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Int, Int32, Int64

from segue.errors import DatasetError
from segue.tokens import INDEX_DTYPE, N_SPECIALS, UNK

SPECIAL_TITLES = ("<pad>", "<start>", "<end>", "<unk>")
"""Display titles of the special tokens, by item index."""
MAX_LISTED_TITLES = 1 << 17
"""Largest number of items whose titles are kept as Python strings: some 10 MB."""


def item_order(
    codes: Int64[np.ndarray, " items"],
    training_counts: Int64[np.ndarray, " codes"],
    catalogue: Literal["train", "all"],
) -> tuple[Int64[np.ndarray, " items"], int]:
    """Number the items by descending training count; ties keep the given order.

    Args:
        codes: the provisional codes of the dataset's items, in the order that ties keep.
        training_counts: training events per code.
        catalogue: ``train`` for the items with a training event, ``all`` for all items.

    Returns:
        The codes in the order of their indices, and the size of the catalogue, which comes
        first.
    """
    order = codes[np.argsort(-training_counts[codes], kind="stable")]
    n_trained = int(np.count_nonzero(training_counts[order]))
    return order, len(order) if catalogue == "all" else n_trained


def build_items_table(
    attributes: pa.Table, training_counts: Int64[np.ndarray, " items"], first: int = N_SPECIALS
) -> pa.Table:
    """The table of ``Items``, from ``item_id`` and attributes in the order of the indices.

    Args:
        first: the item index of the first row; above ``N_SPECIALS`` for a later block of the
            table.
    """
    indices = np.arange(first, first + len(attributes), dtype=INDEX_DTYPE)
    table = attributes.add_column(0, "index", pa.array(indices))
    return table.append_column("training_count", pa.array(training_counts))


class PopularityOrder(NamedTuple):
    """The special tokens, then the catalogue by descending training count.

    Ties go to the lower index.

    Attributes:
        items: the item index at each position.
        positions: the position of each item index, from 0.
    """

    items: Int32[np.ndarray, " vocabulary"]
    positions: Int32[np.ndarray, " vocabulary"]

    @classmethod
    def of(cls, training_counts: Int64[np.ndarray, " vocabulary"]) -> PopularityOrder:
        """Sort the vocabulary."""
        catalogue = N_SPECIALS + np.argsort(-training_counts[N_SPECIALS:], kind="stable")
        items = np.concatenate([np.arange(N_SPECIALS), catalogue]).astype(INDEX_DTYPE)
        positions = np.empty_like(items)
        positions[items] = np.arange(len(items), dtype=INDEX_DTYPE)
        return cls(items, positions)

    @property
    def tie_order(self) -> Int32[np.ndarray, " vocabulary"] | None:
        """``items``, or None where these are ascending, as after a fresh ``prepare``."""
        return None if (self.items[:-1] < self.items[1:]).all() else self.items


class Items:
    """The items by index: the catalogue, then all others.

    Attributes:
        table: one row per item, starting at item index ``N_SPECIALS``; columns ``index``,
            ``item_id``, the attributes given by the source (``title``, ``artist``, ...),
            ``training_count``, and optionally ``is_candidate``.
    """

    def __init__(self, table: pa.Table) -> None:
        self.table = table

    def __len__(self) -> int:
        """Number of items, without the special tokens."""
        return self.table.num_rows

    @cached_property
    def ids(self) -> list[str]:
        """The caller's ids; that of item index ``i`` is at ``i - N_SPECIALS``."""
        return self.table.column("item_id").to_pylist()

    @cached_property
    def training_counts(self) -> Int64[np.ndarray, " indices"]:
        """Training events per item, by item index; 0 for special tokens."""
        counts = self.table.column("training_count").to_numpy()
        return np.concatenate([np.zeros(N_SPECIALS, np.int64), counts])

    def candidate_mask(self, vocabulary_size: int) -> Bool[np.ndarray, " indices"]:
        """By item index, whether an item may be recommended.

        It is the catalogue, without the items whose ``is_candidate`` is false in the table.

        Args:
            vocabulary_size: number of special tokens and catalogue items.
        """
        mask = np.zeros(N_SPECIALS + len(self), bool)
        mask[N_SPECIALS:vocabulary_size] = True
        if "is_candidate" in self.table.column_names:
            mask[N_SPECIALS:] &= self.table.column("is_candidate").to_numpy()
        return mask

    def category_codes(self, column: str) -> Int32[np.ndarray, " indices"] | None:
        """The values of a categorical column as codes from 0, by item index.

        -1 for special tokens and items without a value; None where no item has a value.
        """
        if column not in self.table.column_names:
            return None
        encoded = self.table.column(column).combine_chunks().dictionary_encode()
        codes = np.full(N_SPECIALS + len(self), -1, np.int32)
        codes[N_SPECIALS:] = encoded.indices.fill_null(-1).to_numpy()
        return codes if codes.max(initial=-1) >= 0 else None

    def find(self, ids: Sequence[str | None]) -> Int32[np.ndarray, " ids"]:
        """Item indices of the caller's ids; ``UNK`` for unknown ids and None.

        Raises:
            DatasetError: several items have the same id.
        """
        indices = [self._index_of.get(item_id, UNK) for item_id in ids]
        return np.array(indices, dtype=INDEX_DTYPE)

    def titles(self, indices: Sequence[int] | Int[np.ndarray, " items"]) -> list[str]:
        """The display title of each item index: the title, or the id where there is none."""
        indices = np.asarray(indices, dtype=np.int64)
        if self._listed_titles is not None:
            return [self._listed_titles[index] for index in indices.tolist()]
        is_special = indices < N_SPECIALS
        rows = pa.array(np.where(is_special, 0, indices - N_SPECIALS), mask=is_special)
        titles = self._display_titles.take(rows).to_pylist()
        return [
            SPECIAL_TITLES[index] if title is None else title
            for index, title in zip(indices.tolist(), titles, strict=True)
        ]

    def describe(self, index: int) -> dict[str, Any]:
        """An item's index, id, the attributes that it has, and its training count, for display.

        A vector is shown by its width only.
        """
        if index < N_SPECIALS:
            return {"item_id": SPECIAL_TITLES[index]}
        row = self.table.slice(index - N_SPECIALS, 1).to_pylist()[0]
        return {name: _readable(value) for name, value in row.items() if value is not None}

    @cached_property
    def _index_of(self) -> dict[str | None, int]:
        index_of: dict[str | None, int] = {
            item_id: index for index, item_id in enumerate(self.ids, start=N_SPECIALS)
        }
        if len(index_of) < len(self):
            repeated = next(
                item_id
                for index, item_id in enumerate(self.ids, start=N_SPECIALS)
                if index_of[item_id] != index
            )
            raise DatasetError(
                f"items.parquet is damaged: it has several items of the id {repeated!r}",
                "prepare the dataset again, and train again",
            )
        return index_of

    @cached_property
    def _listed_titles(self) -> list[str] | None:
        """All titles by item index, where they are few: Arrow takes ten times as long for some."""
        if len(self) > MAX_LISTED_TITLES:
            return None
        return [*SPECIAL_TITLES, *self._display_titles.to_pylist()]

    @cached_property
    def _display_titles(self) -> pa.ChunkedArray:
        ids = self.table.column("item_id")
        if "title" not in self.table.column_names:
            return ids
        return pc.call_function("coalesce", [self.table.column("title"), ids])


def _readable(value: Any) -> Any:
    is_vector = isinstance(value, list) and bool(value) and isinstance(value[0], float)
    return f"{len(value)} numbers" if is_vector else value
