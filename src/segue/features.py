"""What a model reads of items and sequences beside their ids, as arrays.

Words and categories become *codes*, rows of one embedding table; a row of a bag lists the
codes of one item or sequence with their weights, so that a model sums embeddings and knows
nothing of columns. Lists of numbers of the items (vectors of a text or of a sound) are
standardised and projected.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Array, Float32, Int32

from segue.axes import N_SPECIALS
from segue.config import ModelConfig
from segue.dataset import Items, Sequences
from segue.dataset.encoding import RESERVED_COLUMNS
from segue.errors import ConfigError

USER = "user"
"""The sequence feature that is the sequence's own id."""

MIN_COUNT = 2
"""Rows that a value must occur in to get a code: one that is met once can teach nothing."""
MAX_CODES = 8
"""Codes of one feature of one row; what comes after them is left out."""

_WORD = re.compile(r"[^\W_]+")
_NUMBER = r"[-+]?(\d+(\.\d*)?|\.\d+)(e[-+]?\d+)?"
_NUMBERS = re.compile(rf"[\[(]?\s*{_NUMBER}([,;|\s]+{_NUMBER})+\s*[\])]?", re.IGNORECASE)
"""What a vector looks like that was written as text."""


class Bag(NamedTuple):
    """Codes of some rows, with the weight of each; weight 0 where there is none."""

    codes: Int32[Array | np.ndarray, "rows slots"]
    weights: Float32[Array | np.ndarray, "rows slots"]

    def take(self, rows: np.ndarray) -> Bag:
        """Some of the rows; an empty one for a negative number."""
        known = (rows >= 0)[:, None]
        return Bag(self.codes[rows], np.where(known, self.weights[rows], 0).astype(np.float32))


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


class FeatureSizes(NamedTuple):
    """What a model must know to make room: rows of each code table, numbers of an item."""

    item_codes: int = 0
    item_numbers: int = 0
    sequence_codes: int = 0


@dataclass(frozen=True)
class Features:
    """All that a model reads beside ids.

    Attributes:
        items: of the rows of the item table; None where it reads nothing of them.
        vocabulary: of what it is told of sequences.
        sizes: what a fresh model must make room for.
    """

    items: ItemFeatures | None
    vocabulary: SequenceVocabulary
    sizes: FeatureSizes

    @classmethod
    def of(
        cls, items: Items, table_size: int, config: ModelConfig, vocabulary: SequenceVocabulary
    ) -> Features:
        """Encode what a configuration names.

        Raises:
            ConfigError: the items have no such column.
        """
        found, n_codes = item_features(items, config.item_features, table_size)
        n_numbers = 0 if found is None else found.vectors.shape[1]
        return cls(found, vocabulary, FeatureSizes(n_codes, n_numbers, vocabulary.n_codes))


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
        if _is_vector(column.type):
            vectors.append(_standardised(column, table_size))
        else:
            rows.append([_entries(value) for value in column.to_pylist()])
    known = [_known_values(values) for values in rows]
    bags = [
        _bag(values, codes, min(max(map(len, values), default=1), MAX_CODES))
        for values, codes in zip(rows, known, strict=True)
    ]
    bag, n_codes = _joined(bags, [len(codes) for codes in known], table.num_rows)
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
            or it has no vectors that differ.
    """
    table = items.table.slice(0, table_size - N_SPECIALS)
    for name in columns:
        column = _column(items, table, name)
        if _is_vector(column.type):
            vectors = _vectors(column)
            if not len(vectors):
                raise _useless(name, "item", "no item of the catalogue has a vector")
            if (vectors == vectors[0]).all():
                raise _useless(name, "item", "its vectors are all the same")
        elif not _repeats(_entries(each.as_py()) for each in column):
            why = "no two items of the catalogue share a value of it"
            raise _useless(name, "item", why, column)


@dataclass(frozen=True)
class SequenceVocabulary:
    """The values that a model knows of each sequence feature.

    A text stands for itself and for each of its words, in lower case, so that a playlist's
    name shares what it has in common with others.

    Attributes:
        values: for each feature its values, in the order of their codes.
    """

    values: Mapping[str, Sequence[str]]

    @classmethod
    def of(cls, sequences: Sequences, features: Sequence[str]) -> SequenceVocabulary:
        """Collect the values that occur in sequences with a training event.

        Raises:
            ConfigError: there is no such attribute, or no two of the sequences share a word of it.
        """
        trained = pa.array(sequences.train_end > 0)
        values = {}
        for name in features:
            _check_known(name, [USER, *sequences.attributes.column_names], "sequence", ())
            if name == USER:
                values[name] = sequences.ids.filter(trained).to_pylist()
            else:
                column = sequences.attributes.column(name).filter(trained)
                values[name] = list(_known_values([_words(each) for each in column.to_pylist()]))
                if not values[name]:
                    why = "no two training sequences share a word of it"
                    raise _useless(name, "sequence", why)
        return cls(values)

    @property
    def n_codes(self) -> int:
        """Rows of the table of codes; the first stands for nothing."""
        return 1 + sum(map(len, self.values.values())) if self.values else 0

    def encode(self, rows: Sequence[Mapping[str, Any]]) -> Bag:
        """Codes of sequences described by some of the features; what is unknown is left out."""
        bags = []
        for name, slots in zip(self.values, self.slots, strict=True):
            parts = [self._parts(name, row.get(name)) for row in rows]
            bags.append(_bag(parts, self._codes[name], slots.stop - slots.start))
        sizes = [len(codes) for codes in self._codes.values()]
        return _joined(bags, sizes, len(rows))[0]

    def encode_all(self, sequences: Sequences) -> Bag:
        """Codes of every sequence of a dataset; attributes that it lacks are left out."""
        columns = {
            name: sequences.attributes.column(name).to_pylist()
            for name in self.values
            if name in sequences.attributes.column_names
        }
        if USER in self.values:
            columns[USER] = sequences.ids.to_pylist()
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        return self.encode(rows or [{}] * len(sequences))

    def is_unknown(self, name: str, value: str) -> bool:
        """Whether nothing is known of a value, not even a word of it."""
        codes = self._codes[name]
        return not any(part in codes for part in self._parts(name, value))

    @property
    def slots(self) -> list[slice]:
        """The columns of a bag that belong to each feature."""
        widths = [1 if name == USER else MAX_CODES for name in self.values]
        ends = np.cumsum([0, *widths]).tolist()
        return [slice(begin, end) for begin, end in itertools.pairwise(ends)]

    def _parts(self, name: str, value: Any) -> list[str]:
        if name == USER:
            return [value] if value is not None else []
        return _words(value)

    @cached_property
    def _codes(self) -> dict[str, dict[str, int]]:
        return {
            name: {value: code for code, value in enumerate(values)}
            for name, values in self.values.items()
        }


def _check_known(name: str, columns: Sequence[str], what: str, forbidden: Sequence[str]) -> None:
    known = [column for column in columns if column not in forbidden]
    if name not in known:
        raise ConfigError(
            f"model.{what}_features names {name!r}, which the dataset's {what}s do not have",
            f"they have: {', '.join(known) or 'nothing'}",
        )


def _column(items: Items, table: pa.Table, name: str) -> pa.Array:
    """A column of the items of a table, if it is one that says something of them."""
    _check_known(name, items.table.column_names, "item", RESERVED_COLUMNS)
    return table.column(name).combine_chunks()


def _useless(name: str, what: str, why: str, values: pa.Array | None = None) -> ConfigError:
    """What to say of a feature that teaches nothing."""
    hint = f"leave it out of model.{what}_features"
    first = "" if values is None else str(next(iter(values.drop_null()), ""))
    if _NUMBERS.fullmatch(first.strip()):
        hint += "; vectors take an items file in Parquet or JSON Lines"
    return ConfigError(f"model.{what}_features names {name!r}, which teaches nothing: {why}", hint)


def _repeats(rows: Iterable[Sequence[str]]) -> bool:
    """Whether any value occurs in as many rows as it takes to get a code."""
    counts: Counter[str] = Counter()
    for values in rows:
        counts.update(values)
        if any(counts[value] >= MIN_COUNT for value in values):
            return True
    return False


def _is_vector(kind: pa.DataType) -> bool:
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    return is_list and pa.types.is_floating(kind.value_type)


def _standardised(column: pa.Array, table_size: int) -> Float32[np.ndarray, "table numbers"]:
    """Vectors of the items with mean 0 and variance 1 in each place; zeros without one."""
    present = np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False))
    vectors = _vectors(column)
    if not len(vectors):
        return np.zeros((table_size, 0), np.float32)
    # The mean in 64 bits: it is exact where all are equal, and nothing is left of them.
    centred = vectors - vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
    spread = centred.std(axis=0)
    found = np.zeros((table_size, vectors.shape[1]), np.float32)
    found[N_SPECIALS + present] = centred / np.where(spread > 0, spread, 1)
    return found


def _vectors(column: pa.Array) -> Float32[np.ndarray, "items numbers"]:
    """The vectors of the items that have one."""
    n_present = len(column) - column.null_count
    flat = column.flatten().to_numpy(zero_copy_only=False).astype(np.float32, copy=False)
    return flat.reshape(n_present, -1) if n_present else np.zeros((0, 0), np.float32)


def _entries(value: Any) -> list[str]:
    """What an item's attribute says: one text, or several different ones."""
    if value is None:
        return []
    entries = value if isinstance(value, list) else [value]
    return list(dict.fromkeys(map(str, entries)))


def _words(value: Any) -> list[str]:
    """A text in lower case, and its words where there are several."""
    if value is None:
        return []
    words = _WORD.findall(str(value).casefold())
    return list(dict.fromkeys([" ".join(words), *words])) if words else []


def _known_values(rows: Sequence[Sequence[str]]) -> dict[str, int]:
    """Codes of the values that occur often enough, by falling count."""
    counts = Counter(value for values in rows for value in values)
    often = [value for value, count in counts.items() if count >= MIN_COUNT]
    ordered = sorted(often, key=lambda value: (-counts[value], value))
    return {value: code for code, value in enumerate(ordered)}


def _bag(rows: Sequence[Sequence[str]], codes: Mapping[str, int], width: int) -> Bag:
    """The codes of each row; the weights of a row sum to 1 where it has any."""
    found = np.zeros((len(rows), width), np.int32)
    weights = np.zeros((len(rows), width), np.float32)
    for i, values in enumerate(rows):
        known = [codes[value] for value in values if value in codes][:width]
        found[i, : len(known)] = known
        weights[i, : len(known)] = 1 / max(len(known), 1)
    return Bag(found, weights)


def _joined(bags: Sequence[Bag], sizes: Sequence[int], n_rows: int) -> tuple[Bag, int]:
    """Bags of several features side by side, their codes counted on from 1; 0 is nothing."""
    firsts = 1 + np.cumsum([0, *sizes])
    codes = [np.zeros((n_rows, 0), np.int32)]
    weights = [np.zeros((n_rows, 0), np.float32)]
    for bag, first in zip(bags, firsts, strict=False):
        codes.append(np.where(bag.weights > 0, bag.codes + np.int32(first), 0).astype(np.int32))
        weights.append(np.asarray(bag.weights))
    return Bag(np.concatenate(codes, axis=1), np.concatenate(weights, axis=1)), int(firsts[-1])
