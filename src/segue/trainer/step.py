"""One training step, as one compiled function."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, Bool, Float, Int32, Key

from segue.axes import PAD
from segue.batches import Batch
from segue.config import LossConfig
from segue.losses import mean_over, sampled_softmax, softmax_cross_entropy
from segue.model import Transformer
from segue.negatives import uniform


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
) -> StepFunction:
    """The step of a run: ``(state, batch, number) -> (state, report)``; the state is donated.

    All randomness of step ``number`` is folded in from ``key``. An update that is not
    finite is not made: the state stays as it was, and the report says so.
    """

    def step(state: State, batch: Batch, number: Int32[Array, ""]) -> tuple[State, StepReport]:
        own_key = jax.random.fold_in(key, number)

        def loss_of(params: nnx.State) -> Float[Array, ""]:
            return batch_loss(nnx.merge(graph, params), batch, config, own_key)

        loss, gradient = jax.value_and_grad(loss_of)(state.params)
        norm = optax.tree.norm(gradient)
        is_finite = jnp.isfinite(loss) & jnp.isfinite(norm)
        updates, moments = tx.update(gradient, state.moments, state.params)
        updated = (optax.apply_updates(state.params, updates), moments)
        kept = jax.tree.map(lambda new, old: jnp.where(is_finite, new, old), updated, tuple(state))
        return State(*kept), StepReport(loss, norm, is_finite)

    return jax.jit(step, donate_argnums=0)


def batch_loss(
    model: Transformer, batch: Batch, config: LossConfig, key: Key[Array, ""]
) -> Float[Array, ""]:
    """Mean loss over the labels of a batch, in nats; PAD never counts."""
    dropout_key, negatives_key = jax.random.split(key)
    hidden = model(jnp.asarray(batch.tokens), dropout_key)
    hidden = hidden.reshape(-1, hidden.shape[-1])
    labels = jnp.asarray(batch.labels).reshape(-1)
    table = model.output_table
    if config.kind == "softmax":
        losses = softmax_cross_entropy(hidden, table, labels)
    else:
        draws = () if config.shared_negatives else (len(labels),)
        drawn = uniform(negatives_key, (*draws, config.negatives), len(table))
        log_expected = drawn.log_expected if config.log_q else None
        losses = sampled_softmax(hidden, table, labels, drawn.items, log_expected)
    return mean_over(losses, (labels != PAD).astype(losses.dtype))
