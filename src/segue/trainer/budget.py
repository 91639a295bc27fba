"""The budget of a run: process time, which a probe turns into a number of steps once."""

from __future__ import annotations

import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from segue.batches import Batches
from segue.config import Config
from segue.dataset import Dataset
from segue.errors import quantity
from segue.trainer.recipe import Recipe
from segue.trainer.run_spec import RunSpec, spec_of
from segue.trainer.second import (
    MIN_EPOCHS,
    MIN_KNOWN_SHARE,
    known_share,
    second_budget_s,
    second_config,
)

STEP_SHARE = 0.8
"""Share of the budget for training steps. The rest is for the probe, compilation, validations and
the ensemble members."""
STOP_SHARE = 0.9
"""Share of the budget until which steps may be taken; the clock stops them then if they take longer
than the probe measured. A tenth is kept for the last validation and the members."""
VALIDATIONS = 6
"""Number of validations of a run with a budget, unless the configuration says otherwise."""
PROBE_SHARE = 0.01
"""Share of the budget that the probe may take after its first step."""
MIN_TIMED_STEPS, MAX_TIMED_STEPS = 2, 20
CORES_OF_ACCELERATOR = 2
"""Core-seconds that a second counts for where steps run on an accelerator, whose time is not part
of the process time."""


class Clock:
    """Core-seconds that a run has taken, over all its processes.

    They are the process time, of all threads. On an accelerator each second counts as
    ``CORES_OF_ACCELERATOR`` core-seconds.
    """

    def __init__(self, spent_s: float = 0.0) -> None:
        """Start at the core-seconds that earlier processes of the run have taken."""
        self._start_s = now_s() - spent_s

    @property
    def spent_s(self) -> float:
        """Core-seconds so far."""
        return now_s() - self._start_s


def now_s() -> float:
    """Core-seconds since an arbitrary moment of this process."""
    if jax.default_backend() == "cpu":
        return time.process_time()
    return CORES_OF_ACCELERATOR * time.perf_counter()


class StepCost(NamedTuple):
    """What the probe measured, in core-seconds.

    Attributes:
        step_s: a training step, the median over a few.
        setup_s: the initial state and the compilation of the step, which the run pays again.
    """

    step_s: float
    setup_s: float


def probe(spec: RunSpec, batches: Batches, limit_s: float) -> StepCost:
    """Time training steps on the first batches, from an initial state that is then discarded.

    Args:
        spec: the run.
        batches: its training batches.
        limit_s: core-seconds after which no more steps are timed, beyond the first two.
    """
    times: list[float] = []
    start_s = now_s()
    step, constants, state = spec.step(), spec.constants(), spec.initial_state()
    for number in range(1 + MAX_TIMED_STEPS):
        batch = batches[number % len(batches)]
        state, report = step(state, constants, batch, jnp.int32(1))
        jax.block_until_ready((state, report))
        times.append(now_s() - start_s)
        start_s = now_s()
        if len(times) > MIN_TIMED_STEPS and sum(times[1:]) > limit_s:
            break
    return StepCost(float(np.median(times[1:])), times[0])


def stop_s(config: Config) -> float:
    """Core-seconds after which a run takes no more steps of the first transformer."""
    budget_s = config.training.budget_s
    return float("inf") if budget_s is None else STOP_SHARE * budget_s - second_budget_s(config)


def affordable_steps(
    cost: StepCost, budget_s: float, spent_s: float = 0.0, reserved_s: float = 0.0
) -> int:
    """The number of steps that a budget allows; at least 1.

    Args:
        cost: of a step and of the setup.
        budget_s: core-seconds of the whole run.
        spent_s: core-seconds of it that are spent. With the setup, they count where they exceed the
            share that is not for steps.
        reserved_s: core-seconds of it for the second transformer.
    """
    until_stop_s = STOP_SHARE * budget_s - spent_s - cost.setup_s
    available_s = min(STEP_SHARE * budget_s, until_stop_s) - reserved_s
    return max(1, int(available_s / max(cost.step_s, 1e-9)))


def with_steps(recipe: Recipe, data: Dataset, clock: Clock) -> Recipe:
    """The recipe with the numbers of steps that its budget allows, as probes measure them.

    The warm-up takes at most a tenth of them. A recipe without a budget stays as it is.

    Args:
        recipe: the configuration and its reasons.
        data: the dataset.
        clock: the core-seconds of the run so far.
    """
    if recipe.config.training.budget_s is None:
        return recipe
    if recipe.config.ensemble.has_second and recipe.config.ensemble.second_steps is None:
        recipe = _with_second_steps(recipe, data)
    config = recipe.config
    budget_s, reserved_s = config.training.budget_s, second_budget_s(config)
    assert budget_s is not None
    spec, batches = spec_of(config, data)
    cost = probe(spec, batches, PROBE_SHARE * budget_s)
    steps = min(affordable_steps(cost, budget_s, clock.spent_s, reserved_s), spec.total_steps)
    update: dict[str, int] = {"max_steps": steps}
    if config.training.validate_every is None:
        update["validate_every"] = max(1, -(-steps // VALIDATIONS))
    warmup_steps = min(config.optimizer.warmup_steps, steps // 10)
    reason = (
        f"{quantity(steps, 'step')}, {steps / spec.steps_per_epoch:.2g} epochs: "
        f"{cost.step_s:.3g} core-seconds per step, a budget of {budget_s:,.0f} core-seconds"
    )
    sections = {
        "training": config.training.model_copy(update=update),
        "optimizer": config.optimizer.model_copy(update={"warmup_steps": warmup_steps}),
    }
    return Recipe(config.model_copy(update=sections), (*recipe.reasons, reason))


def _with_second_steps(recipe: Recipe, data: Dataset) -> Recipe:
    """The recipe with the number of steps of the second transformer; 0 leaves it out.

    That is so if the budget allows too few passes over the targets, or if too few users are known.
    """
    config, budget_s, share = recipe.config, second_budget_s(recipe.config), known_share(data)
    if share < MIN_KNOWN_SHARE:
        steps, reason = 0, f"{share:.0%} of the validation sequences have training events"
    else:
        spec, batches = spec_of(second_config(config, data), data)
        cost = probe(spec, batches, PROBE_SHARE * budget_s)
        steps = min(affordable_steps(cost, budget_s), spec.total_steps)
        epochs = steps / spec.steps_per_epoch
        reason = f"{quantity(steps, 'step')}, {epochs:.2g} epochs"
        if epochs < MIN_EPOCHS:
            steps, reason = 0, f"the budget allows {epochs:.2g} epochs of it"
    start = "second transformer" if steps else "no second transformer"
    ensemble = config.ensemble.model_copy(update={"second_steps": steps})
    config = config.model_copy(update={"ensemble": ensemble})
    return Recipe(config, (*recipe.reasons, f"{start}: {reason}"))


def without_steps(config: Config) -> Config:
    """A configuration without what follows from its budget, if it has one."""
    if config.training.budget_s is None:
        return config
    sections = {
        "training": config.training.model_copy(update={"max_steps": None, "validate_every": None}),
        "optimizer": config.optimizer.model_copy(update={"warmup_steps": 0}),
        "ensemble": config.ensemble.model_copy(update={"second_steps": None}),
    }
    return config.model_copy(update=sections)
