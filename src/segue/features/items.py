"""What a model reads of items: categories as codes, vectors projected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Array, Float32

from segue.axes import N_SPECIALS
from segue.dataset import Items
from segue.features.bags import MAX_CODES, MIN_COUNT, Bag, bag_of, joined, known_values
from segue.features.checks import are_vectors_as_text, check_known, teaches_nothing
from segue.features.vectors import is_vector, present_vectors, standardised
from segue.sources.schema import RESERVED_COLUMNS


class ItemFeatures(NamedTuple):
    """What is known of each row of the item table.

    Attributes:
        bag: codes; special tokens have none.
        vectors: standardised numbers, zeros where an item has none.
        is_trained: 1 for special tokens and items with a training event. The id of another
            item teaches nothing, so that its vector is made of its features alone.
    """

    bag: Bag
    vectors: Float32[Array | np.ndarray, "table numbers"]
    is_trained: Float32[Array | np.ndarray, " table"]


def item_features(
    items: Items, columns: Sequence[str], table_size: int
) -> tuple[ItemFeatures | None, int]:
    """Encode columns of the items for the rows of an item table.

    Text and numbers are one value each, lists of texts one value an entry, lists of numbers
    a vector. The codes follow from the table alone, so that a run needs to keep no others.

    Returns:
        The features (None without columns), and how many codes there are.

    Raises:
        ConfigError: there is no such column.
    """
    if not columns:
        return None, 0
    table = items.table.slice(0, table_size - N_SPECIALS)
    rows: list[list[list[str]]] = []
    vectors = [np.zeros((table_size, 0), np.float32)]
    for name in columns:
        column = _column(items, table, name)
        if is_vector(column.type):
            vectors.append(standardised(column, table_size))
        else:
            rows.append([_entries(value) for value in column.to_pylist()])
    known = [known_values(values) for values in rows]
    bags = [
        bag_of(values, codes, min(max(map(len, values), default=1), MAX_CODES))
        for values, codes in zip(rows, known, strict=True)
    ]
    bag, n_codes = joined(bags, [len(codes) for codes in known], table.num_rows)
    # Special tokens come first, and have no features.
    bag = Bag(*(np.pad(part, ((N_SPECIALS, 0), (0, 0))) for part in bag))
    is_trained = (items.training_counts[:table_size] > 0).astype(np.float32)
    is_trained[:N_SPECIALS] = 1
    return ItemFeatures(bag, np.concatenate(vectors, axis=1), is_trained), n_codes


def check_item_features(items: Items, columns: Sequence[str], table_size: int) -> None:
    """Refuse columns from which nothing can be learned.

    For a run that begins: one that was trained with such a column is served all the same.

    Raises:
        ConfigError: there is no such column, or no two items of the table share a value of it,
            it has no vectors that differ, or its vectors are written as text.
    """
    table = items.table.slice(0, table_size - N_SPECIALS)
    for name in columns:
        column = _column(items, table, name)
        if is_vector(column.type):
            vectors = present_vectors(column)
            if not len(vectors):
                raise teaches_nothing(name, "item", "no item of the catalogue has a vector")
            if (vectors == vectors[0]).all():
                raise teaches_nothing(name, "item", "its vectors are all the same")
        elif not _repeats(_entries(each.as_py()) for each in column):
            why = "no two items of the catalogue share a value of it"
            raise teaches_nothing(name, "item", why, column)
        elif are_vectors_as_text(column):
            raise teaches_nothing(name, "item", "its values are vectors written as text", column)


def _column(items: Items, table: pa.Table, name: str) -> pa.Array:
    """A column of the items of a table, if it is one that says something of them."""
    check_known(name, items.table.column_names, "item", RESERVED_COLUMNS)
    return table.column(name).combine_chunks()


def _entries(value: Any) -> list[str]:
    """What an item's attribute says: one text, or several different ones."""
    if value is None:
        return []
    entries = value if isinstance(value, list) else [value]
    return list(dict.fromkeys(map(str, entries)))


def _repeats(rows: Iterable[Sequence[str]]) -> bool:
    """Whether any value occurs in as many rows as it takes to get a code."""
    counts: Counter[str] = Counter()
    for values in rows:
        counts.update(values)
        if any(counts[value] >= MIN_COUNT for value in values):
            return True
    return False
