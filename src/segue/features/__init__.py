"""What a model reads of items and sequences beside their ids, as arrays.

Words and categories become *codes*, rows of one embedding table; a row of a bag lists the
codes of one item or sequence with their weights, so that a model sums embeddings and knows
nothing of columns. Lists of numbers of the items (vectors of a text or of a sound) are
standardised and projected.
"""

from segue.features.bags import MAX_CODES, MIN_COUNT, Bag
from segue.features.features import Features, FeatureSizes
from segue.features.items import ItemFeatures, check_item_features, item_features
from segue.features.sequences import USER, SequenceVocabulary

__all__ = [
    "MAX_CODES",
    "MIN_COUNT",
    "USER",
    "Bag",
    "FeatureSizes",
    "Features",
    "ItemFeatures",
    "SequenceVocabulary",
    "check_item_features",
    "item_features",
]
