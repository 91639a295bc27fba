"""How long the steps of a run last, from a few of them on real batches."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from itertools import cycle

import jax
import jax.numpy as jnp
import msgspec
import numpy as np

from segue.batches import Batch, TrainingBatches
from segue.trainer.loss import Known, known_of
from segue.trainer.step import State, jitted_step, tables_by_rows
from segue.trainer.workload import Workload

PROBE_STEPS = 20
"""Steps that are timed at most for batches of one shape, after one that warms up."""
PROBE_SECONDS = 5.0
"""Time after which no further one is."""


class Times(msgspec.Struct, frozen=True):
    """Seconds, from a few steps on real batches. Validations come on top.

    Attributes:
        batch: to make a batch; another thread does it while a step runs.
        step: the median of those that were taken; of several shapes, the mean by their share.
        steps: how many those are.
        epoch: all its steps.
        run: all steps, were no patience to end it before.
    """

    batch: float
    step: float
    steps: int
    epoch: float
    run: float


def compiled_step(work: Workload, batch: Batch) -> jax.stages.Compiled:
    """The step of a run for batches of one shape; no array of the run is made for it."""
    config = work.config
    graph, state = work.abstract_state()
    key = jax.random.key(config.training.seed)
    step = jitted_step(graph, work.tx, config.loss, key, by_rows=tables_by_rows(config))
    known = known_of(work.data, config, work.features)
    return step.lower(state, known, batch, jnp.int32(1)).compile()


def take_time(work: Workload, batches: TrainingBatches) -> Times:
    """Take a few steps, from a fresh state that is then let go."""
    making = time.perf_counter()
    drawn = [batches[i] for i in range(len(work.sample))]
    making = time.perf_counter() - making
    by_shape: dict[tuple[int, ...], list[Batch]] = defaultdict(list)
    for batch in drawn:
        by_shape[batch.tokens.shape].append(batch)
    known = jax.device_put(known_of(work.data, work.config, work.features))
    state, mean, n_steps = work.fresh_state(), 0.0, 0
    for alike in by_shape.values():
        state, taken = _timed(compiled_step(work, alike[0]), state, known, alike)
        mean += float(np.median(taken)) * len(alike) / len(drawn)
        n_steps += len(taken)
    return Times(
        batch=making / len(drawn),
        step=mean,
        steps=n_steps,
        epoch=mean * work.steps_per_epoch,
        run=mean * work.total_steps,
    )


def _timed(
    step: jax.stages.Compiled, state: State, known: Known, batches: Sequence[Batch]
) -> tuple[State, list[float]]:
    """The seconds of some steps; the state goes in and comes out."""
    taken: list[float] = []
    for number, batch in enumerate(cycle(batches)):
        began = time.perf_counter()
        state, report = step(state, known, batch, jnp.int32(number))
        jax.block_until_ready((state, report))
        if number > 0:  # the first makes room
            taken.append(time.perf_counter() - began)
        if len(taken) == PROBE_STEPS or sum(taken) > PROBE_SECONDS:
            break
    return state, taken
