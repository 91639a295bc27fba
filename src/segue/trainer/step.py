"""The training step: negatives, loss, gradient and update in one jitted function."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, Bool, Float, Int32, Key

from segue.batches import Batch
from segue.config import Config, LossConfig
from segue.model import Transformer
from segue.optimizers import SparseTable, sparse_update_modes
from segue.trainer.loss import NO_CONSTANTS, LossConstants, batch_loss, draw_negatives
from segue.trainer.sparse_updates import SparseRows, StepInputs
from segue.trainer.train_state import TrainState


class StepReport(NamedTuple):
    """The outcome of a step.

    Attributes:
        loss: mean loss of the batch, in nats, before the update.
        gradient_norm: global norm of the gradient before clipping.
        is_finite: whether both are finite; otherwise the step made no update.
    """

    loss: Float[Array, ""]
    gradient_norm: Float[Array, ""]
    is_finite: Bool[Array, ""]


StepFunction = Callable[[TrainState, Batch, Int32[Array, ""]], tuple[TrainState, StepReport]]
"""From state, batch and step number to the next state and the report; donates the state."""


def compile_step(
    graph: nnx.GraphDef[Transformer],
    tx: optax.GradientTransformation,
    config: LossConfig,
    key: Key[Array, ""],
    constants: LossConstants = NO_CONSTANTS,
    *,
    sparse_tables: frozenset[SparseTable] = frozenset(),
) -> StepFunction:
    """The step of a run as a function ``(state, batch, number) -> (state, report)``.

    The state is donated. See ``jitted_step`` for the arguments.
    """
    # The constants are arguments of the jitted function: XLA is slow to compile large literals.
    compiled = jitted_step(graph, tx, config, key, sparse_tables=sparse_tables)
    on_device = jax.device_put(constants)
    return lambda state, batch, number: compiled(state, on_device, batch, number)


def jitted_step(
    graph: nnx.GraphDef[Transformer],
    tx: optax.GradientTransformation,
    config: LossConfig,
    key: Key[Array, ""],
    *,
    sparse_tables: frozenset[SparseTable] = frozenset(),
) -> jax.stages.Wrapped:
    """The step as a jitted function ``(state, constants, batch, number) -> (state, report)``.

    The state is donated. If the loss or the gradient norm is not finite, the state is returned
    unchanged.

    Args:
        graph: the graph of the model, without parameters.
        tx: the optimizer.
        config: of the loss.
        key: of all randomness; the step folds in its number.
        sparse_tables: tables with sparse updates, of which a step reads and writes only the rows
            that its batch uses. The optimizer state of these tables must have one entry per row.
    """

    def step(
        state: TrainState, constants: LossConstants, batch: Batch, number: Int32[Array, ""]
    ) -> tuple[TrainState, StepReport]:
        keys = jax.random.split(jax.random.fold_in(key, number), 3)
        dropout_key, negatives_key, rounding_key = keys
        negatives = draw_negatives(
            config, batch, constants, vocabulary_size(state.params), negatives_key
        )
        rows = SparseRows(state.params)
        inputs = rows.select_inputs(StepInputs(constants.features, batch, negatives), sparse_tables)
        updated, report = _update(rows.gather(state), inputs, dropout_key)
        return rows.scatter(state, updated, report.is_finite, rounding_key), report

    def _update(
        state: TrainState, inputs: StepInputs, dropout_key: Key[Array, ""]
    ) -> tuple[TrainState, StepReport]:
        def loss_of(params: nnx.State) -> Float[Array, ""]:
            model = nnx.merge(graph, params)
            features, batch, negatives = inputs
            return batch_loss(model, features, batch, negatives, config, dropout_key)

        loss, gradient = jax.value_and_grad(loss_of)(state.params)
        norm = optax.tree.norm(gradient)
        updates, optimizer_state = tx.update(gradient, state.optimizer_state, state.params)
        params = optax.apply_updates(state.params, updates)
        report = StepReport(loss, norm, jnp.isfinite(loss) & jnp.isfinite(norm))
        return TrainState._make((params, optimizer_state)), report

    return jax.jit(step, donate_argnums=0)


def sparse_tables_of(config: Config) -> frozenset[SparseTable]:
    """The tables that the configuration updates sparsely."""
    return frozenset(sparse_update_modes(config.optimizer))


def vocabulary_size(params: nnx.State) -> int:
    """Number of rows of the item embeddings: special tokens and catalogue."""
    return len(params["item_embeddings"][...])
