"""Sequence features: the vocabulary of users, names and attributes, and their encoding."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Int64

from segue.dataset import SESSION_OF, Sequences, readable_lengths
from segue.features.checks import no_information, require_column
from segue.features.feature_ids import (
    MAX_FEATURE_IDS,
    FeatureIds,
    concatenate_features,
    frequent_values,
    padded_feature_ids,
)

USER = "user"
"""The sequence feature that is the sequence's own id."""
ID_FEATURES = (USER, SESSION_OF)
"""Features whose values are ids. They are matched exactly and not split into words."""
_WORD = re.compile(r"[^\W_]+")


def stored_features(sequences: Sequences, rows: Int64[np.ndarray, " rows"]) -> list[dict[str, Any]]:
    """The values that a dataset has for the sequence features of some sequences, by name.

    They are the sequence's attributes, and its id as ``user``, which replaces an attribute of
    this name.

    Args:
        rows: row numbers of the sequences. A negative number stands for a sequence that is not
            in the dataset: all its values are None.
    """
    indices = pa.array(rows, mask=rows < 0)
    columns = {
        name: sequences.attributes.column(name).take(indices).to_pylist()
        for name in sequences.attributes.column_names
    }
    columns[USER] = sequences.ids.take(indices).to_pylist()
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


@dataclass(frozen=True)
class SequenceVocabulary:
    """The values of each sequence feature that have an embedding.

    A text is matched in lower case, as a whole and word by word, so that playlists whose names
    share a word share its embedding. The values of ``ID_FEATURES`` are matched exactly.

    Attributes:
        values: for each feature its values, in the order of their ids.
    """

    values: Mapping[str, Sequence[str]]

    @classmethod
    def of(cls, sequences: Sequences, features: Sequence[str]) -> SequenceVocabulary:
        """Collect the values that occur in sequences with a training event.

        Raises:
            ConfigError: there is no such attribute, or no two of the sequences share a word of it.
        """
        trained = pa.array(readable_lengths(sequences) > 0)
        values = {}
        for name in features:
            require_column(name, [USER, *sequences.attributes.column_names], "sequence", ())
            if name == USER:
                values[name] = sequences.ids.filter(trained).to_pylist()
            else:
                column = sequences.attributes.column(name).filter(trained)
                rows = [_lookup_keys(name, value) for value in column.to_pylist()]
                values[name] = list(frequent_values(rows))
                if not values[name]:
                    reason = "no two training sequences share a word of it"
                    raise no_information(name, "sequence", reason)
        return cls(values)

    @property
    def n_feature_ids(self) -> int:
        """Rows of the sequence feature embeddings; row 0 is padding."""
        return 1 + sum(map(len, self.values.values())) if self.values else 0

    def encode(self, rows: Sequence[Mapping[str, Any]]) -> FeatureIds:
        """Encode feature values given by name, one mapping per row.

        Features that are missing and values that are unknown get no ids.
        """
        features = []
        for name, slots in zip(self.values, self.feature_slots, strict=True):
            keys = [_lookup_keys(name, row.get(name)) for row in rows]
            features.append(padded_feature_ids(keys, self._ids[name], slots.stop - slots.start))
        sizes = [len(ids) for ids in self._ids.values()]
        return concatenate_features(features, sizes, len(rows))[0]

    def encode_rows(
        self, sequences: Sequences, rows: Int64[np.ndarray, " rows"] | None = None
    ) -> FeatureIds:
        """Encode the features of sequences; a feature without a column in the dataset gets no ids.

        Args:
            rows: row numbers of the sequences; all when None. A negative number stands for a
                sequence without known features.
        """
        rows = np.arange(len(sequences)) if rows is None else rows
        indices = pa.array(rows, mask=rows < 0)
        columns = {
            name: sequences.attributes.column(name).take(indices).to_pylist()
            for name in self.values
            if name in sequences.attributes.column_names
        }
        if USER in self.values:
            columns[USER] = sequences.ids.take(indices).to_pylist()
        features_by_row = [
            dict(zip(columns, values, strict=True))
            for values in zip(*columns.values(), strict=True)
        ]
        return self.encode(features_by_row or [{}] * len(rows))

    def is_unknown(self, name: str, value: Any) -> bool:
        """Whether neither the value of a feature nor any word of it has an id."""
        ids = self._ids[name]
        return not any(key in ids for key in _lookup_keys(name, value))

    @property
    def feature_slots(self) -> list[slice]:
        """The slots of ``FeatureIds`` that belong to each feature."""
        widths = [1 if name in ID_FEATURES else MAX_FEATURE_IDS for name in self.values]
        bounds = np.cumsum([0, *widths]).tolist()
        return [slice(start, stop) for start, stop in itertools.pairwise(bounds)]

    @cached_property
    def _ids(self) -> dict[str, dict[str, int]]:
        """For each feature the ids of its values, from 0."""
        return {
            name: {value: feature_id for feature_id, value in enumerate(values)}
            for name, values in self.values.items()
        }


def _lookup_keys(name: str, value: Any) -> list[str]:
    """The keys under which a value is looked up: an id itself, or a text and its words."""
    if name in ID_FEATURES:
        return [value] if value is not None else []
    return _text_and_words(value)


def _text_and_words(value: Any) -> list[str]:
    """A text in lower case, followed by its words if there are several."""
    if value is None:
        return []
    words = _WORD.findall(str(value).casefold())
    return list(dict.fromkeys([" ".join(words), *words])) if words else []
