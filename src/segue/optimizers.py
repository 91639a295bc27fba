"""How gradients become updates: clipping, AdamW and its learning-rate schedule."""

from __future__ import annotations

import optax

from segue.config import OptimizerConfig


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
    """AdamW (Loshchilov and Hutter, 2019) after clipping by the global norm."""
    norm = config.clip_norm
    adamw = optax.adamw(
        schedule(config, total_steps),
        b1=config.beta1,
        b2=config.beta2,
        eps=config.epsilon,
        weight_decay=config.weight_decay,
    )
    return optax.chain(optax.identity() if norm is None else optax.clip_by_global_norm(norm), adamw)
