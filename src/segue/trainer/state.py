"""What a run begins with, and the shape of it before there is any."""

from __future__ import annotations

import jax
import optax
from flax import nnx

from segue.config import Config
from segue.dataset import Dataset
from segue.features import FeatureSizes
from segue.model import Transformer
from segue.trainer.singular_vectors import begin_with_singular_vectors
from segue.trainer.step import State


def fresh_state(
    config: Config, data: Dataset, sizes: FeatureSizes, tx: optax.GradientTransformation
) -> State:
    """Parameters as the configuration has them begin, and moments of nothing."""
    _, params = nnx.split(_fresh_model(config, data.table_size, sizes))
    if config.model.initialisation == "singular-vectors":
        begin_with_singular_vectors(params, config, data)
    return State(params, tx.init(params))


def abstract_state(
    config: Config, table_size: int, sizes: FeatureSizes, tx: optax.GradientTransformation
) -> tuple[nnx.GraphDef[Transformer], State]:
    """The model without its parameters, and shapes and dtypes in the place of a state's arrays.

    Nothing is allocated.
    """
    graph, params = nnx.split(nnx.eval_shape(lambda: _fresh_model(config, table_size, sizes)))
    return graph, State(params, jax.eval_shape(tx.init, params))


def _fresh_model(config: Config, table_size: int, sizes: FeatureSizes) -> Transformer:
    return Transformer(config.model, table_size, sizes, rngs=nnx.Rngs(config.training.seed))
