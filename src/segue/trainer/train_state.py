"""``TrainState``: the parameters and optimizer state of a run, and how they are initialised."""

from __future__ import annotations

from typing import NamedTuple

import jax
import optax
from flax import nnx

from segue.config import Config
from segue.dataset import Dataset
from segue.features import FeatureSizes
from segue.model import Transformer
from segue.trainer.singular_vectors import initialise_from_singular_vectors


class TrainState(NamedTuple):
    """What a training step updates: the parameters and the state of the optimizer."""

    params: nnx.State
    optimizer_state: optax.OptState


def initial_state(
    config: Config, data: Dataset, sizes: FeatureSizes, tx: optax.GradientTransformation
) -> TrainState:
    """Initialise the parameters as configured, and the optimizer state for them."""
    _, params = nnx.split(_new_model(config, data.vocabulary_size, sizes))
    if config.model.initialisation == "singular-vectors":
        initialise_from_singular_vectors(params, config, data)
    return TrainState(params, tx.init(params))


def abstract_state(
    config: Config, vocabulary_size: int, sizes: FeatureSizes, tx: optax.GradientTransformation
) -> tuple[nnx.GraphDef[Transformer], TrainState]:
    """The model graph, and the state with shapes and dtypes instead of arrays.

    Nothing is allocated.
    """
    graph, params = nnx.split(nnx.eval_shape(lambda: _new_model(config, vocabulary_size, sizes)))
    return graph, TrainState(params, jax.eval_shape(tx.init, params))


def _new_model(config: Config, vocabulary_size: int, sizes: FeatureSizes) -> Transformer:
    return Transformer(config.model, vocabulary_size, sizes, rngs=nnx.Rngs(config.training.seed))
