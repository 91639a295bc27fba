"""Model configurations of every kind, and models without weights for them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from flax import nnx

from segue.config import ModelConfig
from segue.features import FeatureIds, FeatureSizes, ItemFeatures
from segue.model import Transformer

VOCABULARY, CONTEXT, WIDTH, INNER = 104, 12, 32, 64
SIZES = FeatureSizes(n_item_feature_ids=20, item_vector_width=6, n_sequence_feature_ids=9)


class Shape(NamedTuple):
    """A configuration, and the features that its model reads."""

    config: ModelConfig
    item_features: ItemFeatures | None = None
    sequence_features: FeatureIds | None = None


def feature_ids(rows: int, slots: int) -> FeatureIds:
    return FeatureIds(np.ones((rows, slots), np.int32), np.ones((rows, slots), np.float32))


def config(**changes: Any) -> ModelConfig:
    sizes = {"layers": 2, "heads": 4, "width": WIDTH, "feed_forward": INNER, "context": CONTEXT}
    return ModelConfig(**(sizes | changes))


ITEM_FEATURES = ItemFeatures(
    feature_ids(VOCABULARY, 3),
    np.ones((VOCABULARY, 6), np.float32),
    np.ones(VOCABULARY, np.float32),
)
USER = {"sequence_features": ("user",)}
SHAPES = {
    "plain": Shape(config()),
    "post-norm": Shape(config(norm="post", positions="none", layers=1)),
    "untied output": Shape(config(tied_output=False)),
    "features": Shape(config(item_features=("artist",), **USER), ITEM_FEATURES, feature_ids(1, 2)),
    "output features": Shape(
        config(item_features=("a",), item_features_at="output"), ITEM_FEATURES
    ),
    "flatten": Shape(
        config(head="flatten", tied_output=False, sequence_width=5, **USER), None, feature_ids(1, 1)
    ),
}


def abstract_model(shape: Shape) -> Transformer:
    """A model without weights."""
    return nnx.eval_shape(lambda: Transformer(shape.config, VOCABULARY, SIZES, rngs=nnx.Rngs(0)))
