"""Categorical feature values as padded ids with weights, for an embedding bag."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Float32, Int32

MIN_COUNT = 2
"""Minimum number of rows in which a value must occur to get an id. A value of a single row adds
no information to the id of that row."""
MAX_FEATURE_IDS = 8
"""Maximum number of ids per feature and row. Further values are dropped."""


class FeatureIds(NamedTuple):
    """Ids of the categorical values of each row, padded to one width, and their weights.

    Id 0 and weight 0 fill unused slots.
    """

    ids: Int32[Array | np.ndarray, "rows slots"]
    weights: Float32[Array | np.ndarray, "rows slots"]

    def take(self, rows: np.ndarray) -> FeatureIds:
        """Select rows by index, as a copy."""
        return FeatureIds(self.ids[rows], self.weights[rows])


def frequent_values(rows: Sequence[Sequence[str]]) -> dict[str, int]:
    """Number the values that occur in at least ``MIN_COUNT`` rows, from 0, by descending count."""
    counts = Counter(value for values in rows for value in values)
    frequent = [value for value, count in counts.items() if count >= MIN_COUNT]
    ordered = sorted(frequent, key=lambda value: (-counts[value], value))
    return {value: feature_id for feature_id, value in enumerate(ordered)}


def padded_feature_ids(
    rows: Sequence[Sequence[str]], id_of: Mapping[str, int], width: int
) -> FeatureIds:
    """Look up the ids of each row's values and pad them to ``width``.

    Values without an id are dropped. The ids of a row share the weight 1 equally.
    """
    ids = np.zeros((len(rows), width), np.int32)
    weights = np.zeros((len(rows), width), np.float32)
    for i, values in enumerate(rows):
        row_ids = [id_of[value] for value in values if value in id_of][:width]
        ids[i, : len(row_ids)] = row_ids
        weights[i, : len(row_ids)] = 1 / max(len(row_ids), 1)
    return FeatureIds(ids, weights)


def concatenate_features(
    features: Sequence[FeatureIds], vocabulary_sizes: Sequence[int], n_rows: int
) -> tuple[FeatureIds, int]:
    """Concatenate the slots of several features, with ids that are unique across the features.

    Args:
        features: the ids of each feature, from 0.
        vocabulary_sizes: the number of ids of each feature.
        n_rows: rows of the result, needed if there is no feature.

    Returns:
        The ids, from 1, since id 0 is padding; and the number of ids including 0.
    """
    first_ids = 1 + np.cumsum([0, *vocabulary_sizes])
    ids = [np.zeros((n_rows, 0), np.int32)]
    weights = [np.zeros((n_rows, 0), np.float32)]
    for feature, first_id in zip(features, first_ids, strict=False):
        shifted = np.where(feature.weights > 0, feature.ids + np.int32(first_id), 0)
        ids.append(shifted.astype(np.int32))
        weights.append(np.asarray(feature.weights))
    joined = FeatureIds(np.concatenate(ids, axis=1), np.concatenate(weights, axis=1))
    return joined, int(first_ids[-1])
