"""The training step: negatives, loss, gradient and update in one jitted function."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, Bool, Float, Int32, Key

from segue.batches import Batch
from segue.config import Config, LossConfig
from segue.model import Transformer
from segue.optimizers import SparseTable, sparse_update_modes
from segue.trainer.inputs import StepConstants, StepInputs, step_inputs
from segue.trainer.loss import batch_loss
from segue.trainer.sparse_updates import SparseRows
from segue.trainer.train_state import TrainState


class StepReport(NamedTuple):
    """The outcome of a step.

    Attributes:
        loss: mean loss of the batch, in nats, before the update.
        gradient_norm: global norm of the gradient before clipping.
        is_finite: whether both are finite, and the parameters and the optimizer state after the
            update; otherwise the step made no update.
    """

    loss: Float[Array, ""]
    gradient_norm: Float[Array, ""]
    is_finite: Bool[Array, ""]


def jitted_step(
    graph: nnx.GraphDef[Transformer],
    tx: optax.GradientTransformation,
    config: LossConfig,
    key: Key[Array, ""],
    *,
    sparse_tables: frozenset[SparseTable] = frozenset(),
) -> jax.stages.Wrapped:
    """The step as a jitted function ``(state, constants, batch, number) -> (state, report)``.

    The state is donated. If the loss, the gradient norm or a value of the updated state is not
    finite, the state is returned unchanged. The constants are an argument because XLA is slow to
    compile large literals.

    Args:
        graph: the graph of the model, without parameters.
        tx: the optimizer.
        config: of the loss.
        key: of all randomness; the step folds in its number.
        sparse_tables: tables with sparse updates, of which a step reads and writes only the rows
            that its batch uses. The optimizer state of these tables must have one entry per row.
    """

    def step(
        state: TrainState, constants: StepConstants, batch: Batch, number: Int32[Array, ""]
    ) -> tuple[TrainState, StepReport]:
        keys = jax.random.split(jax.random.fold_in(key, number), 3)
        dropout_key, negatives_key, rounding_key = keys
        inputs = step_inputs(config, constants, batch, vocabulary_size(state.params), negatives_key)
        rows = SparseRows(state.params)
        inputs = rows.select_inputs(inputs, sparse_tables)
        updated, report = _update(rows.gather(state), inputs, dropout_key)
        return rows.scatter(state, updated, report.is_finite, rounding_key), report

    def _update(
        state: TrainState, inputs: StepInputs, dropout_key: Key[Array, ""]
    ) -> tuple[TrainState, StepReport]:
        def loss_of(params: nnx.State) -> Float[Array, ""]:
            return batch_loss(nnx.merge(graph, params), inputs, config, dropout_key)

        loss, gradient = jax.value_and_grad(loss_of)(state.params)
        norm = optax.tree.norm(gradient)
        updates, optimizer_state = tx.update(gradient, state.optimizer_state, state.params)
        params = optax.apply_updates(state.params, updates)
        updated = TrainState._make((params, optimizer_state))
        return updated, StepReport(loss, norm, all_finite((loss, norm, updated)))

    return jax.jit(step, donate_argnums=0)


def all_finite(tree: Any) -> Bool[Array, ""]:
    """Whether every number in a tree of arrays is finite; integers are."""
    arrays = [leaf for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    return jnp.stack([jnp.isfinite(array).all() for array in arrays]).all()


def sparse_tables_of(config: Config) -> frozenset[SparseTable]:
    """The tables that the configuration updates sparsely."""
    return frozenset(sparse_update_modes(config.optimizer))


def vocabulary_size(params: nnx.State) -> int:
    """Number of rows of the item embeddings: special tokens and catalogue."""
    return len(params["item_embeddings"][...])
