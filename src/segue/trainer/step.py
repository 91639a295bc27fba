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
from segue.features import ItemFeatures
from segue.model import Transformer
from segue.negatives import Negatives
from segue.trainer.loss import NOTHING_KNOWN, Known, batch_loss, draw_negatives
from segue.trainer.touched import TouchedRows


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
    by_rows: bool = False,
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
    by_rows: bool = False,
) -> jax.stages.Wrapped:
    """The same as ``(state, known, batch, number) -> (state, report)``, not compiled yet.

    All randomness of step ``number`` is folded in from ``key``. An update that is not
    finite is not made: the state stays as it was, and the report says so.

    Args:
        by_rows: whether a step reads and writes only those rows of the item tables that its
            batch touches, which takes an optimizer whose state for them is kept by rows.
    """

    def step(
        state: State, known: Known, batch: Batch, number: Int32[Array, ""]
    ) -> tuple[State, StepReport]:
        keys = jax.random.split(jax.random.fold_in(key, number))
        negatives = draw_negatives(config, batch, known, table_size(state.params), keys[1])
        if not by_rows:
            updated, report = _update(state, known.features, batch, negatives, keys[0])
            kept = jax.tree.map(
                lambda new, old: jnp.where(report.is_finite, new, old), updated, state
            )
            return kept, report
        assert negatives is not None, "an exact softmax touches every row"
        tokens = [jnp.asarray(batch.tokens), jnp.asarray(batch.labels), negatives.items]
        touched = TouchedRows(tokens, table_size(state.params))
        inputs, labels, items = touched.inside
        updated, report = _update(
            touched.take(state),
            touched.take_features(known.features),
            batch._replace(tokens=inputs, labels=labels),
            negatives._replace(items=items),
            keys[0],
        )
        return touched.put(state, updated, report.is_finite), report

    def _update(
        state: State,
        features: ItemFeatures | None,
        batch: Batch,
        negatives: Negatives | None,
        dropout_key: Key[Array, ""],
    ) -> tuple[State, StepReport]:
        def loss_of(params: nnx.State) -> Float[Array, ""]:
            model = nnx.merge(graph, params)
            return batch_loss(model, features, batch, negatives, config, dropout_key)

        loss, gradient = jax.value_and_grad(loss_of)(state.params)
        norm = optax.tree.norm(gradient)
        updates, moments = tx.update(gradient, state.moments, state.params)
        params = optax.apply_updates(state.params, updates)
        report = StepReport(loss, norm, jnp.isfinite(loss) & jnp.isfinite(norm))
        return State._make((params, moments)), report

    return jax.jit(step, donate_argnums=0)


def is_by_rows(config: Config) -> bool:
    """Whether the steps of a run read and write only the rows that they touch."""
    return config.optimizer.item_table != "dense"


def table_size(params: nnx.State) -> int:
    """Rows of the item table, special tokens included."""
    return len(params["item_table"][...])
