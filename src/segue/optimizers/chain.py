"""How gradients become updates: clipping, AdamW and its learning-rate schedule."""

from __future__ import annotations

from typing import Any

import jax
import optax

from segue.config import OptimizerConfig
from segue.optimizers.rows import Table, scale_by_lean_rows, scale_by_rows, table_of


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

    Tables may have moments that are kept by rows: see ``rows``. The norm is then that of the
    same gradient, since rows that a batch does not touch have none.
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
    by_rows = by_rows_of(config)
    if not by_rows:
        return optax.chain(clip, adamw)
    moments = {
        "sparse": scale_by_rows(
            config.beta1, config.beta2, config.epsilon, config.moment_precision
        ),
        "sparse-lean": scale_by_lean_rows(config.beta2, config.epsilon),
    }
    ways = {
        kind: optax.chain(
            direction,
            optax.scale(config.row_rate),
            optax.add_decayed_weights(config.weight_decay),
            optax.scale_by_learning_rate(rate),
        )
        for kind, direction in moments.items()
        if kind in by_rows.values()
    }

    def way(path: tuple[Any, ...], _: Any) -> str:
        table = table_of(path)
        return by_rows.get(table, "dense") if table else "dense"

    def way_of_each(params: optax.Params) -> optax.Params:
        return jax.tree_util.tree_map_with_path(way, params)

    return optax.chain(clip, optax.partition({**ways, "dense": adamw}, way_of_each))


def by_rows_of(config: OptimizerConfig) -> dict[Table, str]:
    """The tables of which a step updates only the rows that it touches, and how."""
    kinds: dict[Table, str] = {
        "items": config.item_table,
        "item codes": config.code_tables,
        "sequence codes": config.code_tables,
    }
    return {table: kind for table, kind in kinds.items() if kind != "dense"}
