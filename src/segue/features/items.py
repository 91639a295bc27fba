"""Item features: categorical columns as feature ids, vector columns standardised."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Array, Float32

from segue.dataset import Items
from segue.features.checks import (
    are_vectors_as_text,
    check_vectors,
    no_information,
    require_column,
)
from segue.features.feature_ids import (
    MAX_FEATURE_IDS,
    MIN_COUNT,
    FeatureIds,
    concatenate_features,
    frequent_values,
    padded_feature_ids,
)
from segue.sources.schema import RESERVED_COLUMNS
from segue.tokens import N_SPECIALS


class ItemFeatures(NamedTuple):
    """Features of every row of the vocabulary.

    Attributes:
        feature_ids: ids of the categorical values; special tokens have none.
        vectors: standardised vectors; zeros for items that have none.
        is_trained: 1 for special tokens and items with a training event. The id embedding of
            any other item is untrained, so the model represents that item by its features
            alone.
    """

    feature_ids: FeatureIds
    vectors: Float32[Array | np.ndarray, "vocabulary vector_dim"]
    is_trained: Float32[Array | np.ndarray, " vocabulary"]


def item_features(
    items: Items, columns: Sequence[str], vocabulary_size: int
) -> tuple[ItemFeatures | None, int]:
    """Encode columns of the items for the rows of the vocabulary.

    A text or a number is one categorical value. A list of texts has one value per entry. A
    list of floating-point numbers is a vector. The ids follow from the items alone, so a run
    does not store them.

    Args:
        vocabulary_size: number of special tokens and catalogue items. Items past it are not
            encoded and do not count.

    Returns:
        The features (None without columns), and the number of feature ids.

    Raises:
        ConfigError: there is no such column.
        DatasetError: its vectors have different widths, or numbers that are missing or too large.
    """
    if not columns:
        return None, 0
    table = items.table.slice(0, vocabulary_size - N_SPECIALS)
    rows: list[list[list[str]]] = []
    vectors = [np.zeros((vocabulary_size, 0), np.float32)]
    for name in columns:
        column = _column(items, table, name)
        if _is_vector(column.type):
            check_vectors(name, column)
            vectors.append(_standardised(column, vocabulary_size))
        else:
            rows.append([_categories(value) for value in column.to_pylist()])
    id_maps = [frequent_values(values) for values in rows]
    features = [
        padded_feature_ids(values, id_of, min(max(map(len, values), default=1), MAX_FEATURE_IDS))
        for values, id_of in zip(rows, id_maps, strict=True)
    ]
    sizes = [len(id_of) for id_of in id_maps]
    feature_ids, n_feature_ids = concatenate_features(features, sizes, table.num_rows)
    # The special tokens come first and have no features.
    feature_ids = FeatureIds(*(np.pad(array, ((N_SPECIALS, 0), (0, 0))) for array in feature_ids))
    is_trained = (items.training_counts[:vocabulary_size] > 0).astype(np.float32)
    is_trained[:N_SPECIALS] = 1
    return ItemFeatures(feature_ids, np.concatenate(vectors, axis=1), is_trained), n_feature_ids


def check_item_features(items: Items, columns: Sequence[str], vocabulary_size: int) -> None:
    """Refuse columns from which nothing can be learned.

    Called before a run starts. A run that was trained with such a column can still be served.

    Raises:
        ConfigError: a column does not exist, no two items of the catalogue share a value of
            it, it has no vectors that differ, or its vectors are written as text.
    """
    table = items.table.slice(0, vocabulary_size - N_SPECIALS)
    for name in columns:
        column = _column(items, table, name)
        if _is_vector(column.type):
            check_vectors(name, column)
            vectors = _present_vectors(column)
            if not len(vectors):
                raise no_information(name, "item", "no item of the catalogue has a vector")
            if (vectors == vectors[0]).all():
                raise no_information(name, "item", "its vectors are all the same")
        elif not _has_shared_value(_categories(value.as_py()) for value in column):
            reason = "no two items of the catalogue share a value of it"
            raise no_information(name, "item", reason, column)
        elif are_vectors_as_text(column):
            raise no_information(name, "item", "its values are vectors written as text", column)


def _column(items: Items, table: pa.Table, name: str) -> pa.Array:
    """An attribute column of the catalogue's items."""
    require_column(name, items.table.column_names, "item", RESERVED_COLUMNS)
    return table.column(name).combine_chunks()


def _categories(value: Any) -> list[str]:
    """The categorical values of an attribute: a single one, or the distinct entries of a list."""
    if value is None:
        return []
    entries = value if isinstance(value, list) else [value]
    return list(dict.fromkeys(map(str, entries)))


def _has_shared_value(rows: Iterable[Sequence[str]]) -> bool:
    """Whether any value occurs in at least ``MIN_COUNT`` rows."""
    counts: Counter[str] = Counter()
    for values in rows:
        counts.update(values)
        if any(counts[value] >= MIN_COUNT for value in values):
            return True
    return False


def _is_vector(kind: pa.DataType) -> bool:
    """Whether the values of a column are lists of floating-point numbers."""
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    return is_list and pa.types.is_floating(kind.value_type)


def _standardised(
    column: pa.Array, vocabulary_size: int
) -> Float32[np.ndarray, "vocabulary vector_dim"]:
    """Item vectors with mean 0 and variance 1 per dimension; zeros for items without a vector."""
    present = np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False))
    vectors = _present_vectors(column)
    if not len(vectors):
        return np.zeros((vocabulary_size, 0), np.float32)
    # A mean in float64 is exact where all values are equal, so that they become exactly 0.
    centred = vectors - vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
    deviation = centred.std(axis=0)
    standardised = np.zeros((vocabulary_size, vectors.shape[1]), np.float32)
    standardised[N_SPECIALS + present] = centred / np.where(deviation > 0, deviation, 1)
    return standardised


def _present_vectors(column: pa.Array) -> Float32[np.ndarray, "items vector_dim"]:
    """The vectors of a column, without the items that have none."""
    n_present = len(column) - column.null_count
    flat = column.flatten().to_numpy(zero_copy_only=False).astype(np.float32, copy=False)
    return flat.reshape(n_present, -1) if n_present else np.zeros((0, 0), np.float32)
