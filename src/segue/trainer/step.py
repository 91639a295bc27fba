"""One training step, as one compiled function."""

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
from segue.optimizers import Table, by_rows_of
from segue.trainer.loss import NOTHING_KNOWN, Known, batch_loss, draw_negatives
from segue.trainer.touched import Asked, TouchedRows


class State(NamedTuple):
    """What a step changes."""

    params: nnx.State
    moments: optax.OptState


class StepReport(NamedTuple):
    """What a step tells."""

    loss: Float[Array, ""]
    gradient_norm: Float[Array, ""]
    is_finite: Bool[Array, ""]


StepFunction = Callable[[State, Batch, Int32[Array, ""]], tuple[State, StepReport]]


def compile_step(
    graph: nnx.GraphDef[Transformer],
    tx: optax.GradientTransformation,
    config: LossConfig,
    key: Key[Array, ""],
    known: Known = NOTHING_KNOWN,
    *,
    by_rows: frozenset[Table] = frozenset(),
) -> StepFunction:
    """The step of a run: ``(state, batch, number) -> (state, report)``; the state is donated.

    See ``jitted_step`` for the arguments.
    """
    # Arguments and no constants, which the compiler would take its time to look through.
    compiled = jitted_step(graph, tx, config, key, by_rows=by_rows)
    on_device = jax.device_put(known)
    return lambda state, batch, number: compiled(state, on_device, batch, number)


def jitted_step(
    graph: nnx.GraphDef[Transformer],
    tx: optax.GradientTransformation,
    config: LossConfig,
    key: Key[Array, ""],
    *,
    by_rows: frozenset[Table] = frozenset(),
) -> jax.stages.Wrapped:
    """The same as ``(state, known, batch, number) -> (state, report)``, not compiled yet.

    All randomness of step ``number`` is folded in from ``key``. An update that is not
    finite is not made: the state stays as it was, and the report says so.

    Args:
        by_rows: tables of which a step reads and writes only the rows that its batch touches,
            which takes an optimizer whose state for them is kept by rows.
    """

    def step(
        state: State, known: Known, batch: Batch, number: Int32[Array, ""]
    ) -> tuple[State, StepReport]:
        keys = jax.random.split(jax.random.fold_in(key, number), 3)
        dropout_key, drawing_key, rounding_key = keys
        negatives = draw_negatives(config, batch, known, table_size(state.params), drawing_key)
        touched = TouchedRows(state.params)
        asked = touched.touch_all(Asked(known.features, batch, negatives), by_rows)
        updated, report = _update(touched.take(state), asked, dropout_key)
        return touched.put(state, updated, report.is_finite, rounding_key), report

    def _update(
        state: State, asked: Asked, dropout_key: Key[Array, ""]
    ) -> tuple[State, StepReport]:
        def loss_of(params: nnx.State) -> Float[Array, ""]:
            model = nnx.merge(graph, params)
            features, batch, negatives = asked
            return batch_loss(model, features, batch, negatives, config, dropout_key)

        loss, gradient = jax.value_and_grad(loss_of)(state.params)
        norm = optax.tree.norm(gradient)
        updates, moments = tx.update(gradient, state.moments, state.params)
        params = optax.apply_updates(state.params, updates)
        report = StepReport(loss, norm, jnp.isfinite(loss) & jnp.isfinite(norm))
        return State._make((params, moments)), report

    return jax.jit(step, donate_argnums=0)


def tables_by_rows(config: Config) -> frozenset[Table]:
    """The tables of which a run's steps read and write only the rows that they touch."""
    return frozenset(by_rows_of(config.optimizer))


def table_size(params: nnx.State) -> int:
    """Rows of the item table, special tokens included."""
    return len(params["item_table"][...])
