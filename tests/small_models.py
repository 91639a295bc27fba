"""Small models, with features of items and sequences to feed them."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from segue.axes import N_SPECIALS
from segue.config import ModelConfig
from segue.features import Bag, FeatureSizes, ItemFeatures
from segue.model import Transformer

TABLE = 30
CONTEXT = 8
KEY = jax.random.key(0)
SIZES = FeatureSizes(item_codes=7, item_numbers=3, sequence_codes=5)

FEATURES_OF_ITEMS = {"item_features": ("genres", "sound")}
FEATURES_OF_SEQUENCES = {"sequence_features": ("name",)}
FLATTEN = {"head": "flatten", "tied_output": False, "head_width": 6, "item_features_at": "input"}


def config_of(**changes) -> ModelConfig:
    small = {"heads": 2, "width": 8, "feed_forward": 16, "context": CONTEXT, "dropout": 0.0}
    return ModelConfig(**{**small, **changes})


def model_of(seed: int = 0, **changes) -> Transformer:
    return Transformer(config_of(**changes), TABLE, SIZES, rngs=nnx.Rngs(seed))


def tokens_of(batch: int = 2, length: int = CONTEXT, seed: int = 0) -> jax.Array:
    random = np.random.default_rng(seed)
    return jnp.asarray(random.integers(4, TABLE, (batch, length)), jnp.int32)


def bag_of(rows: int, n_codes: int, slots: int = 2, seed: int = 0) -> Bag:
    """Codes with any weights, some of them zero."""
    random = np.random.default_rng(seed)
    codes = random.integers(1, n_codes, (rows, slots)).astype(np.int32)
    weights = random.choice([0.0, 0.5, 1.0], (rows, slots)).astype(np.float32)
    return Bag(codes, weights)


def features_of(seed: int = 0) -> ItemFeatures:
    """Of the rows of the table; nothing of special tokens, and every third item untrained."""
    random = np.random.default_rng(seed)
    bag = bag_of(TABLE, SIZES.item_codes, seed=seed)
    bag.weights[:N_SPECIALS] = 0
    vectors = random.normal(size=(TABLE, SIZES.item_numbers)).astype(np.float32)
    vectors[:N_SPECIALS] = 0
    is_trained = np.ones(TABLE, np.float32)
    is_trained[N_SPECIALS + 2 :: 3] = 0
    return ItemFeatures(bag, vectors, is_trained)


@nnx.jit
def hidden_states(model, tokens, key=None, features=None, told=None):
    return model(tokens, features, told, key)
