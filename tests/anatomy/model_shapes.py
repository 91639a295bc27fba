"""Models of every shape, without weights."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from flax import nnx

from segue.config import ModelConfig
from segue.features import Bag, FeatureSizes, ItemFeatures
from segue.model import Transformer

TABLE, CONTEXT, WIDTH, INNER = 104, 12, 32, 64
SIZES = FeatureSizes(item_codes=20, item_numbers=6, sequence_codes=9)


class Shape(NamedTuple):
    """A configuration, and what its model is given beside tokens."""

    config: ModelConfig
    features: ItemFeatures | None = None
    told: Bag | None = None


def bag(rows: int, slots: int) -> Bag:
    return Bag(np.ones((rows, slots), np.int32), np.ones((rows, slots), np.float32))


def config(**changes: Any) -> ModelConfig:
    sizes = {"layers": 2, "heads": 4, "width": WIDTH, "feed_forward": INNER, "context": CONTEXT}
    return ModelConfig(**(sizes | changes))


FEATURES = ItemFeatures(bag(TABLE, 3), np.ones((TABLE, 6), np.float32), np.ones(TABLE, np.float32))
USER = {"sequence_features": ("user",)}
SHAPES = {
    "plain": Shape(config()),
    "post-norm": Shape(config(norm="post", positions="none", layers=1)),
    "free output": Shape(config(tied_output=False)),
    "features": Shape(config(item_features=("artist",), **USER), FEATURES, bag(1, 2)),
    "features out": Shape(config(item_features=("a",), item_features_at="output"), FEATURES),
    "flatten": Shape(
        config(head="flatten", tied_output=False, sequence_width=5, **USER), None, bag(1, 1)
    ),
}


def abstract(shape: Shape) -> Transformer:
    return nnx.eval_shape(lambda: Transformer(shape.config, TABLE, SIZES, rngs=nnx.Rngs(0)))
