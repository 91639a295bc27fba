"""The optimizer of a run: clipping, AdamW, learning-rate schedule, sparse Adam."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int32

from segue.config import OptimizerConfig
from segue.optimizers.sparse import (
    SparseTable,
    scale_by_rowwise_adam,
    scale_by_sparse_adam,
    sparse_table_of,
)

Count = int | Int32[Array, ""]


def learning_rate_schedule(config: OptimizerConfig, total_steps: int) -> Callable[[Count], Array]:
    """Learning rate by step: linear warm-up, then constant or decaying to zero."""
    return partial(
        _learning_rate, config, warmup_steps=config.warmup_steps, total_steps=total_steps
    )


def _learning_rate(
    config: OptimizerConfig, step: Count, *, warmup_steps: Count, total_steps: Count
) -> Array:
    """The learning rate of a step, of which the first has number 0."""
    # The ramp starts at peak / warmup_steps, because a step at rate zero would be wasted.
    ramp = (jnp.float32(step) + 1) / jnp.maximum(warmup_steps, 1)
    after = jnp.float32(step) - warmup_steps
    progress = jnp.clip(after / jnp.maximum(total_steps - warmup_steps, 1), 0, 1)
    after_warmup = {
        "constant": jnp.float32(1),
        "cosine": (1 + jnp.cos(jnp.pi * progress)) / 2,
        "linear": 1 - progress,
    }[config.schedule]
    return jnp.where(step < warmup_steps, ramp, after_warmup) * jnp.float32(config.learning_rate)


class ScheduleState(NamedTuple):
    """Position in the schedule of the learning rate, and its lengths.

    The lengths are part of the state, so that a step compiled for one number of steps serves any:
    a run with a budget learns its number of steps from steps that it has timed.
    """

    step: Int32[Array, ""]
    warmup_steps: Int32[Array, ""]
    total_steps: Int32[Array, ""]


def scale_by_schedule(config: OptimizerConfig, total_steps: int) -> optax.GradientTransformation:
    """Multiply updates by minus the learning rate of the step."""

    def init(params: optax.Params) -> ScheduleState:
        del params
        return ScheduleState(*map(jnp.int32, (0, config.warmup_steps, total_steps)))

    def update(
        updates: optax.Updates, state: optax.OptState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, ScheduleState]:
        del params
        assert isinstance(state, ScheduleState)
        rate = _learning_rate(
            config, state.step, warmup_steps=state.warmup_steps, total_steps=state.total_steps
        )
        updates = jax.tree.map(lambda update: -rate.astype(update.dtype) * update, updates)
        return updates, state._replace(step=state.step + 1)

    return optax.GradientTransformation(init, update)


def optimizer(config: OptimizerConfig, total_steps: int) -> optax.GradientTransformation:
    """AdamW (Loshchilov and Hutter, 2019) after clipping by the global norm.

    Embedding tables with sparse updates have sparse or row-wise Adam instead (see
    ``segue.optimizers.sparse``). Clipping is not affected: the gradient of a row that the batch
    does not use is zero and adds nothing to the norm.
    """
    norm = config.clip_norm
    clip = optax.identity() if norm is None else optax.clip_by_global_norm(norm)
    decay = optax.add_decayed_weights(config.weight_decay)
    scale = scale_by_schedule(config, total_steps)
    adam = optax.scale_by_adam(config.beta1, config.beta2, config.epsilon)
    adamw = optax.chain(adam, decay, scale)
    modes = sparse_update_modes(config)
    if not modes:
        return optax.chain(clip, adamw)
    directions = {
        "sparse": scale_by_sparse_adam(
            config.beta1, config.beta2, config.epsilon, config.state_precision
        ),
        "sparse-rowwise": scale_by_rowwise_adam(config.beta2, config.epsilon),
    }
    sparse_transforms = {
        mode: optax.chain(
            direction,
            optax.scale(config.sparse_learning_rate_scale),
            decay,
            scale,
        )
        for mode, direction in directions.items()
        if mode in modes.values()
    }

    def mode_of(path: tuple[Any, ...], _: Any) -> str:
        table = sparse_table_of(path)
        return modes.get(table, "dense") if table else "dense"

    def modes_of(params: optax.Params) -> optax.Params:
        return jax.tree_util.tree_map_with_path(mode_of, params)

    return optax.chain(clip, optax.partition({**sparse_transforms, "dense": adamw}, modes_of))


def sparse_update_modes(config: OptimizerConfig) -> dict[SparseTable, str]:
    """The tables with sparse updates, with the mode: ``sparse`` or ``sparse-rowwise``."""
    modes: dict[SparseTable, str] = {
        "items": config.embedding_updates,
        "item features": config.feature_embedding_updates,
        "sequence features": config.feature_embedding_updates,
    }
    return {table: mode for table, mode in modes.items() if mode != "dense"}
