"""Small models, and random tokens, item features and sequence features as their inputs."""

from __future__ import annotations

import jax
import numpy as np
from flax import nnx

from segue.config import ModelConfig
from segue.features import FeatureIds, FeatureSizes, ItemFeatures
from segue.model import Transformer
from segue.tokens import N_SPECIALS

VOCABULARY_SIZE = 30
CONTEXT = 8
KEY = jax.random.key(0)
SIZES = FeatureSizes(n_item_feature_ids=7, item_vector_width=3, n_sequence_feature_ids=5)

ITEM_FEATURES = {"item_features": ("genres", "sound")}
SEQUENCE_FEATURES = {"sequence_features": ("name",)}
FLATTEN = {"head": "flatten", "tied_output": False, "head_width": 6, "item_features_at": "input"}


def small_model_config(**changes) -> ModelConfig:
    small = {"heads": 2, "width": 8, "feed_forward": 16, "context": CONTEXT, "dropout": 0.0}
    return ModelConfig(**{**small, **changes})


def small_model(seed: int = 0, **changes) -> Transformer:
    return Transformer(small_model_config(**changes), VOCABULARY_SIZE, SIZES, rngs=nnx.Rngs(seed))


def random_tokens(batch: int = 2, length: int = CONTEXT, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.integers(4, VOCABULARY_SIZE, (batch, length)).astype(np.int32)


def replaced(array: np.ndarray, index, values) -> np.ndarray:
    """A copy with ``values`` at ``index``."""
    copy = array.copy()
    copy[index] = values
    return copy


def random_feature_ids(rows: int, n_ids: int, slots: int = 2, seed: int = 0) -> FeatureIds:
    """Random ids with random weights, some of them zero."""
    random = np.random.default_rng(seed)
    ids = random.integers(1, n_ids, (rows, slots)).astype(np.int32)
    weights = random.choice([0.0, 0.5, 1.0], (rows, slots)).astype(np.float32)
    return FeatureIds(ids, weights)


def random_item_features(seed: int = 0) -> ItemFeatures:
    """Features of all items; none for special tokens, and every third item is untrained."""
    random = np.random.default_rng(seed)
    feature_ids = random_feature_ids(VOCABULARY_SIZE, SIZES.n_item_feature_ids, seed=seed)
    feature_ids.weights[:N_SPECIALS] = 0
    vectors = random.normal(size=(VOCABULARY_SIZE, SIZES.item_vector_width)).astype(np.float32)
    vectors[:N_SPECIALS] = 0
    is_trained = np.ones(VOCABULARY_SIZE, np.float32)
    is_trained[N_SPECIALS + 2 :: 3] = 0
    return ItemFeatures(feature_ids, vectors, is_trained)


# Without jit, each operation compiles separately for every shape. So models run under jit, and
# tests slice and compare their results as numpy arrays.


def hidden_states(model, tokens, key=None, features=None, sequence_features=None) -> np.ndarray:
    return np.asarray(_hidden_states(model, tokens, key, features, sequence_features))


@nnx.jit
def _hidden_states(model, tokens, key, features, sequence_features):
    return model(tokens, features, sequence_features, key)


@nnx.jit
def _last_states(model, tokens, positions, features, sequence_features):
    return model.states_at(tokens, positions, features, sequence_features)


def last_states(model, tokens, positions, features=None, sequence_features=None) -> np.ndarray:
    return np.asarray(
        _last_states(model, tokens, np.asarray(positions, np.int32), features, sequence_features)
    )


@nnx.jit
def _output_embeddings(model, features):
    return model.output_embeddings(features)


def output_embeddings(model, features) -> np.ndarray:
    return np.asarray(_output_embeddings(model, features))


@nnx.jit
def _output_rows(model, rows, features):
    return model.output_embeddings_at(rows, features)


def output_embeddings_at(model, rows, features) -> np.ndarray:
    return np.asarray(_output_rows(model, rows, features))


@nnx.jit
def states_of_buckets(model, tokens, positions, features, sequence_features):
    """The states at all positions of all buckets, and those at one position per row."""
    inputs = (features, sequence_features)
    return (
        model.states_of_buckets(tokens, None, *inputs),
        model.states_of_buckets(tokens, positions, *inputs),
    )
