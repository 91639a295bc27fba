"""``Features``: the side information of a model, of all its items and sequences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from segue.config import ModelConfig
from segue.dataset import Items, Sequences
from segue.features.feature_ids import FeatureIds
from segue.features.items import ItemFeatures, item_features
from segue.features.sequences import SequenceVocabulary


class FeatureSizes(NamedTuple):
    """Sizes of the feature parameters of a model.

    Attributes:
        n_item_feature_ids: rows of the item feature embeddings.
        item_vector_width: dimensions of the item vectors, summed over the vector columns.
        n_sequence_feature_ids: rows of the sequence feature embeddings.
    """

    n_item_feature_ids: int = 0
    item_vector_width: int = 0
    n_sequence_feature_ids: int = 0


@dataclass(frozen=True)
class Features:
    """The side information of a model: everything besides item ids that it reads.

    A batch or a request carries the features of its sequences alone, as ``FeatureIds``.

    Attributes:
        items: features of the vocabulary's rows; None if the model reads no item features.
        sequences: features of the training dataset's sequences, one row per sequence; None if
            the model reads no sequence features, or is not trained.
        vocabulary: values of the sequence features and their ids.
        sizes: sizes of the parameters that a new model needs for these features.
    """

    items: ItemFeatures | None
    sequences: FeatureIds | None
    vocabulary: SequenceVocabulary
    sizes: FeatureSizes

    @classmethod
    def of(
        cls,
        items: Items,
        vocabulary_size: int,
        config: ModelConfig,
        vocabulary: SequenceVocabulary,
        sequences: Sequences | None = None,
    ) -> Features:
        """Encode the features that the configuration names.

        Args:
            vocabulary_size: number of special tokens and catalogue items.
            sequences: the sequences that the model is trained on; None for a trained model.

        Raises:
            ConfigError: the items do not have such a column.
        """
        encoded, n_feature_ids = item_features(items, config.item_features, vocabulary_size)
        vector_width = 0 if encoded is None else encoded.vectors.shape[1]
        sizes = FeatureSizes(n_feature_ids, vector_width, vocabulary.n_feature_ids)
        rows = None
        if sequences is not None and vocabulary.values:
            rows = vocabulary.encode_rows(sequences)
        return cls(encoded, rows, vocabulary, sizes)


NO_FEATURES = Features(None, None, SequenceVocabulary({}), FeatureSizes())
"""The features of a model that reads item ids only."""
