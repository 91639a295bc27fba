"""Small models, with features of items and sequences to feed them."""

from __future__ import annotations

import jax
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


def tokens_of(batch: int = 2, length: int = CONTEXT, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.integers(4, TABLE, (batch, length)).astype(np.int32)


def changed(array: np.ndarray, place, to) -> np.ndarray:
    """A copy with other values at a place."""
    copy = array.copy()
    copy[place] = to
    return copy


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


# Outside of a compiled function each operation compiles by itself, for every shape: models run
# whole, and what they give is cut and compared on the host.


def hidden_states(model, tokens, key=None, features=None, told=None) -> np.ndarray:
    return np.asarray(_hidden_states(model, tokens, key, features, told))


@nnx.jit
def _hidden_states(model, tokens, key, features, told):
    return model(tokens, features, told, key)


@nnx.jit
def _last_states(model, tokens, places, features, told):
    return model.last(tokens, places, features, told)


def last_states(model, tokens, places, features=None, told=None) -> np.ndarray:
    return np.asarray(_last_states(model, tokens, np.asarray(places, np.int32), features, told))


@nnx.jit
def _output_table(model, features):
    return model.output_table(features)


def output_table(model, features) -> np.ndarray:
    return np.asarray(_output_table(model, features))


@nnx.jit
def _output_rows(model, rows, features):
    return model.output_rows(rows, features)


def output_rows(model, rows, features) -> np.ndarray:
    return np.asarray(_output_rows(model, rows, features))
