"""How gradients become updates: clipping, AdamW and its learning-rate schedule."""

from __future__ import annotations

from typing import Any

import jax
import optax

from segue.config import OptimizerConfig
from segue.optimizers.rows import is_of_table, scale_by_lean_rows, scale_by_rows


def schedule(config: OptimizerConfig, total_steps: int) -> optax.Schedule:
    """Learning rate by step: linear warm-up from zero, then constant or falling to zero."""
    peak, warmup = config.learning_rate, config.warmup_steps
    rest = max(total_steps - warmup, 1)
    after = {
        "constant": optax.constant_schedule(peak),
        "cosine": optax.cosine_decay_schedule(peak, rest),
        "linear": optax.linear_schedule(peak, 0.0, rest),
    }[config.schedule]
    if warmup == 0:
        return after
    # Step 0 of the ramp is already a step, so it does not waste one at zero.
    ramp = optax.linear_schedule(peak / warmup, peak, max(warmup - 1, 1))
    return optax.join_schedules([ramp, after], [warmup])


def optimizer(config: OptimizerConfig, total_steps: int) -> optax.GradientTransformation:
    """AdamW (Loshchilov and Hutter, 2019) after clipping by the global norm.

    Tables of items may have moments that are kept by rows: see ``rows``. The norm is then that
    of the same gradient, since rows that a batch does not touch have none.
    """
    norm = config.clip_norm
    clip = optax.identity() if norm is None else optax.clip_by_global_norm(norm)
    rate = schedule(config, total_steps)
    adamw = optax.adamw(
        rate,
        b1=config.beta1,
        b2=config.beta2,
        eps=config.epsilon,
        weight_decay=config.weight_decay,
    )
    if config.item_table == "dense":
        return optax.chain(clip, adamw)
    by_rows = optax.chain(
        scale_by_rows(config.beta1, config.beta2, config.epsilon)
        if config.item_table == "sparse"
        else scale_by_lean_rows(config.beta2, config.epsilon),
        optax.add_decayed_weights(config.weight_decay),
        optax.scale_by_learning_rate(rate),
    )
    return optax.chain(clip, optax.partition({"table": by_rows, "rest": adamw}, _kinds))


def _kinds(params: optax.Params) -> optax.Params:
    """Which parameters are tables of items, as a tree of names."""

    def kind(path: tuple[Any, ...], _: Any) -> str:
        return "table" if is_of_table(path) else "rest"

    return jax.tree_util.tree_map_with_path(kind, params)
