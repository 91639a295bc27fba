"""All that a model reads beside ids, as one value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from segue.config import ModelConfig
from segue.dataset import Items
from segue.features.items import ItemFeatures, item_features
from segue.features.sequences import SequenceVocabulary


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
