"""``Features``: the item features, sequence vocabulary and table sizes of one model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from segue.config import ModelConfig
from segue.dataset import Items
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
    """Everything besides item ids that a model reads.

    Attributes:
        items: features of the vocabulary's rows; None if the model reads no item features.
        vocabulary: values of the sequence features and their ids.
        sizes: sizes of the parameters that a new model needs for these features.
    """

    items: ItemFeatures | None
    vocabulary: SequenceVocabulary
    sizes: FeatureSizes

    @classmethod
    def of(
        cls, items: Items, vocabulary_size: int, config: ModelConfig, vocabulary: SequenceVocabulary
    ) -> Features:
        """Encode the item features that the configuration names.

        Args:
            vocabulary_size: number of special tokens and catalogue items.

        Raises:
            ConfigError: the items do not have such a column.
        """
        encoded, n_feature_ids = item_features(items, config.item_features, vocabulary_size)
        vector_width = 0 if encoded is None else encoded.vectors.shape[1]
        sizes = FeatureSizes(n_feature_ids, vector_width, vocabulary.n_feature_ids)
        return cls(encoded, vocabulary, sizes)
