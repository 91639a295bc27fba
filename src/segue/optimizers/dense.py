"""The optimizer of a run: clipping, AdamW, learning-rate schedule, sparse Adam."""

from __future__ import annotations

from typing import Any

import jax
import optax

from segue.config import OptimizerConfig
from segue.optimizers.sparse import (
    SparseTable,
    scale_by_rowwise_adam,
    scale_by_sparse_adam,
    sparse_table_of,
)


def learning_rate_schedule(config: OptimizerConfig, total_steps: int) -> optax.Schedule:
    """Learning rate by step: linear warm-up from zero, then constant or decaying to zero."""
    peak, warmup = config.learning_rate, config.warmup_steps
    remaining = max(total_steps - warmup, 1)
    after_warmup = {
        "constant": optax.constant_schedule(peak),
        "cosine": optax.cosine_decay_schedule(peak, remaining),
        "linear": optax.linear_schedule(peak, 0.0, remaining),
    }[config.schedule]
    if warmup == 0:
        return after_warmup
    # The ramp starts at peak / warmup, because a step at rate zero would be wasted.
    ramp = optax.linear_schedule(peak / warmup, peak, max(warmup - 1, 1))
    return optax.join_schedules([ramp, after_warmup], [warmup])


def optimizer(config: OptimizerConfig, total_steps: int) -> optax.GradientTransformation:
    """AdamW (Loshchilov and Hutter, 2019) after clipping by the global norm.

    Embedding tables with sparse updates have sparse or row-wise Adam instead (see
    ``segue.optimizers.sparse``). Clipping is not affected: the gradient of a row that the batch
    does not use is zero and adds nothing to the norm.
    """
    norm = config.clip_norm
    clip = optax.identity() if norm is None else optax.clip_by_global_norm(norm)
    rate = learning_rate_schedule(config, total_steps)
    adamw = optax.adamw(
        rate,
        b1=config.beta1,
        b2=config.beta2,
        eps=config.epsilon,
        weight_decay=config.weight_decay,
    )
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
            optax.add_decayed_weights(config.weight_decay),
            optax.scale_by_learning_rate(rate),
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
