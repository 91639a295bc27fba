"""Item and sequence features as arrays: ids of categorical values, and item vectors.

Every categorical value and every word becomes a row of an embedding table. ``FeatureIds`` lists
these rows with weights per item or sequence, and the model sums their embeddings. Item vectors
(embeddings of a text or of a sound, for example) are standardised, and the model projects them.

Side information has two carriers: ``Features`` has all that a model reads, and a batch or a request
has the ``FeatureIds`` of its sequences.
"""

from segue.features.feature_ids import MAX_FEATURE_IDS, MIN_COUNT, FeatureIds
from segue.features.features import NO_FEATURES, Features, FeatureSizes
from segue.features.items import ItemFeatures, check_item_features, item_features
from segue.features.sequences import USER, SequenceVocabulary, stored_features

__all__ = [
    "MAX_FEATURE_IDS",
    "MIN_COUNT",
    "NO_FEATURES",
    "USER",
    "FeatureIds",
    "FeatureSizes",
    "Features",
    "ItemFeatures",
    "SequenceVocabulary",
    "check_item_features",
    "item_features",
    "stored_features",
]
