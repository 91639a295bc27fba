"""Encoding of requests: item ids and sequence features of a request to model input."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Int32

from segue.dataset import Items
from segue.errors import RequestError
from segue.features import FeatureIds, SequenceVocabulary
from segue.tokens import UNK


class EncodedRequest(NamedTuple):
    """A request as model input.

    Attributes:
        history: item indices, oldest first; UNK for unknown ids.
        feature_ids: the sequence features, in one row.
        unknown_items: item ids that are not in the model's catalogue.
        notes: caveats for the answer, such as ignored values.
    """

    history: Int32[np.ndarray, " history"]
    feature_ids: FeatureIds
    unknown_items: list[str]
    notes: list[str]


def encode_items(
    item_ids: list[str], items: Items, vocabulary_size: int
) -> tuple[Int32[np.ndarray, " history"], list[str]]:
    """Look up the item indices of a request.

    Args:
        item_ids: a history, oldest first.
        items: the items of the model, catalogue first.
        vocabulary_size: number of special tokens and catalogue items.

    Returns:
        The item indices (UNK for unknown ids), and the ids that are not in the catalogue.
    """
    indices = items.find(item_ids)
    is_outside = (indices == UNK) | (indices >= vocabulary_size)
    unknown = [item_id for item_id, is_out in zip(item_ids, is_outside, strict=True) if is_out]
    return indices, unknown


def encode_sequence_features(
    vocabulary: SequenceVocabulary,
    requested: Mapping[str, str],
    stored: Mapping[str, str | None],
    *,
    model_name: str,
    always_in_training: bool,
) -> tuple[FeatureIds, list[str]]:
    """Encode the sequence features of one request.

    Args:
        vocabulary: the sequence features of the model, with their values.
        requested: values given by the caller; they take precedence over ``stored``.
        stored: values from the dataset.
        model_name: name of the model in messages.
        always_in_training: whether every training sequence had its features.

    Returns:
        The feature ids in one row, and a note for each value that was ignored and for features
        that are missing.

    Raises:
        RequestError: the model does not have a requested feature.
    """
    for name in requested:
        if name not in vocabulary.values:
            message = f"the model {model_name} has no sequence feature {name!r}"
            available = ", ".join(vocabulary.values) or "none"
            raise RequestError(message, f"its sequence features: {available}")
    notes = [
        f"unknown {name} {value!r} was ignored"
        for name, value in requested.items()
        if vocabulary.is_unknown(name, value)
    ]
    feature_ids = vocabulary.encode([{**stored, **requested}])
    if always_in_training and vocabulary.values and not np.any(feature_ids.weights):
        notes.append(
            f"this request has no {' or '.join(vocabulary.values)}, which the model always had "
            "in training (train with training.feature_dropout to allow requests without)"
        )
    return feature_ids, notes
