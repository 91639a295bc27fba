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
from segue.features import ItemFeatures
from segue.losses import mean_over, sampled_softmax, softmax_cross_entropy
from segue.model import Transformer
from segue.negatives import PROPOSALS


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
    features: ItemFeatures | None = None,
) -> StepFunction:
    """The step of a run: ``(state, batch, number) -> (state, report)``; the state is donated.

    All randomness of step ``number`` is folded in from ``key``. An update that is not
    finite is not made: the state stays as it was, and the report says so.
    """

    def step(
        state: State, features: ItemFeatures | None, batch: Batch, number: Int32[Array, ""]
    ) -> tuple[State, StepReport]:
        own_key = jax.random.fold_in(key, number)

        def loss_of(params: nnx.State) -> Float[Array, ""]:
            return batch_loss(nnx.merge(graph, params), features, batch, config, own_key)

        loss, gradient = jax.value_and_grad(loss_of)(state.params)
        norm = optax.tree.norm(gradient)
        is_finite = jnp.isfinite(loss) & jnp.isfinite(norm)
        updates, moments = tx.update(gradient, state.moments, state.params)
        updated = (optax.apply_updates(state.params, updates), moments)
        kept = jax.tree.map(lambda new, old: jnp.where(is_finite, new, old), updated, tuple(state))
        return State(*kept), StepReport(loss, norm, is_finite)

    # An argument and no constant, which the compiler would take its time to look through.
    compiled, on_device = jax.jit(step, donate_argnums=0), jax.device_put(features)
    return lambda state, batch, number: compiled(state, on_device, batch, number)


def batch_loss(
    model: Transformer,
    features: ItemFeatures | None,
    batch: Batch,
    config: LossConfig,
    key: Key[Array, ""],
    *,
    train: bool = True,
) -> Float[Array, ""]:
    """Weighted mean loss over the labels of a batch, in nats; PAD never counts.

    Args:
        train: whether there is dropout.
    """
    dropout_key, negatives_key = jax.random.split(key)
    labels = jnp.asarray(batch.labels).reshape(-1)
    hidden = hidden_at_labels(model, features, batch, dropout_key if train else None)
    losses = _losses(model, features, hidden, labels, config, negatives_key)
    weights = (labels != PAD).astype(losses.dtype)
    if batch.weights is not None:
        weights = weights * jnp.asarray(batch.weights).reshape(-1)
    return mean_over(losses, weights)


def hidden_at_labels(
    model: Transformer,
    features: ItemFeatures | None,
    batch: Batch,
    key: Key[Array, ""] | None,
) -> Float[Array, "label dim"]:
    """The state that predicts each label of a batch, row by row."""
    tokens = jnp.asarray(batch.tokens)
    if batch.last is not None:
        return model.last(tokens, jnp.asarray(batch.last), features, batch.told, key)
    hidden = model(tokens, features, batch.told, key)
    return hidden.reshape(-1, hidden.shape[-1])


def _losses(
    model: Transformer,
    features: ItemFeatures | None,
    hidden: Float[Array, "label dim"],
    labels: Int32[Array, " label"],
    config: LossConfig,
    key: Key[Array, ""],
) -> Float[Array, " label"]:
    if config.kind == "softmax":
        return softmax_cross_entropy(hidden, model.output_table(features), labels)
    draws = () if config.shared_negatives else (len(labels),)
    draw = PROPOSALS[config.proposal]
    drawn = draw(key, (*draws, config.negatives), model.n_rows)
    log_expected = drawn.log_expected if config.log_q else None
    own = model.output_rows(labels, features)
    negatives = model.output_rows(drawn.items, features)
    hits = drawn.hits(labels)
    return sampled_softmax(hidden, own, negatives, hits, log_expected, config.estimator)
