"""``plan``: the memory and time of a training run on this machine, without starting it."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Sequence
from itertools import cycle
from typing import Any

import jax
import jax.numpy as jnp
import msgspec
import numpy as np

from segue.batches import Batch, Batches
from segue.config import Config, resolve_config
from segue.dataset import Dataset
from segue.machine import available_memory, use_compilation_cache
from segue.trainer.inputs import StepConstants
from segue.trainer.plan.memory import MemoryUse, estimate_memory
from segue.trainer.plan.recommendations import (
    TrainingOption,
    fits,
    recommended_option,
    training_options,
)
from segue.trainer.run_spec import RunSpec, training_inputs
from segue.trainer.train_state import TrainState

MAX_TIMED_STEPS = 20
"""Steps that are timed per batch shape, after one that warms up."""
MAX_TIMED_SECONDS = 5.0
"""Seconds per batch shape after which no further step is timed."""


class Peaks(msgspec.Struct, frozen=True):
    """Peak memory of the process in bytes, mapped pages of the dataset included.

    Attributes:
        training: during a run from its start.
        saving: while a checkpoint is written.
        resuming: while a checkpoint is read.
    """

    training: int
    saving: int
    resuming: int

    @classmethod
    def of(cls, memory: MemoryUse) -> Peaks:
        """The peaks that follow from the memory of a run."""
        return cls(memory.training, memory.saving, memory.resuming)


class StepTimes(msgspec.Struct, frozen=True):
    """Times in seconds, measured on a few real batches. Validations are not included.

    Attributes:
        batch: time to make a batch; another thread does it while a step runs.
        step: median time of a step; for several batch shapes, their weighted mean.
        steps: number of timed steps.
        epoch: time of an epoch.
        run: time of all steps unless ``training.patience`` ends the run earlier.
    """

    batch: float
    step: float
    steps: int
    epoch: float
    run: float


class Plan(msgspec.Struct, frozen=True):
    """The estimated memory and time of a run.

    Attributes:
        dataset: name of the dataset.
        vocabulary_size: number of rows of the item embeddings.
        steps_per_epoch: number of batches per epoch.
        total_steps: number of steps of the run unless ``training.patience`` ends it earlier.
        softmax_logits: logits of the exact softmax in memory at a time; null for a sampled one.
        memory: memory by purpose; ``step`` is XLA's own figure.
        estimated_step: the same figure by the formula that ``train`` uses.
        peaks: peak memory of the process.
        available: bytes that the run may use; null if unknown.
        needed: bytes that must be free for the run.
        fits: whether they are; null if unknown.
        compilation: seconds that compiling the step took; almost none if it was in the cache.
        times: measured times; null if no step was taken.
        recommendations: values of the configuration keys to change, as keywords of ``train``;
            empty if no change is recommended.
        options: options with which the model can be trained; their peaks are by the formula.
    """

    dataset: str
    vocabulary_size: int
    steps_per_epoch: int
    total_steps: int
    softmax_logits: int | None
    memory: MemoryUse
    estimated_step: int
    peaks: Peaks
    available: int | None
    needed: int
    fits: bool | None
    compilation: float
    times: StepTimes | None
    recommendations: dict[str, Any]
    options: list[TrainingOption]

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain JSON values."""
        return msgspec.to_builtins(self)


def plan(
    data: Dataset | str | os.PathLike[str],
    *,
    preset: str | None = None,
    config: Config | str | os.PathLike[str] | None = None,
    probe: bool = True,
    **changes: Any,
) -> Plan:
    """Estimate the memory and time of a training run, without writing a run folder.

    The training step is compiled. The compilation cache on disk keeps it, so that the run does not
    compile it again.

    Args:
        data: a prepared dataset, or its folder.
        preset: a name from ``segue.presets()``.
        config: a configuration, or a TOML file with one.
        probe: whether to time a few steps. None are taken if the run does not fit into memory.
        changes: values of configuration keys, as for ``train``.

    Raises:
        DatasetError: the dataset cannot be opened.
        ConfigError: the configuration is invalid or does not fit the dataset.
    """
    use_compilation_cache()
    data = data if isinstance(data, Dataset) else Dataset.open(data)
    resolved = resolve_config(preset, config, changes)
    features, batches = training_inputs(resolved, data)
    spec = RunSpec.of(resolved, data, features, batches)
    # Estimated before compilation, whose memory would be counted as that of the process.
    available, estimated = available_memory(), estimate_memory(spec)
    options = training_options(spec, available)
    recommended = recommended_option(spec, options)
    start = time.perf_counter()
    analysis = compiled_step(spec, spec.widest_batch).memory_analysis()
    compilation = time.perf_counter() - start
    step_bytes = estimated.step if analysis is None else analysis.temp_size_in_bytes
    memory = msgspec.structs.replace(estimated, step=step_bytes)
    is_fitting = fits(memory.needed, available)
    times = time_steps(spec, batches) if probe and is_fitting is not False else None
    return Plan(
        dataset=data.name,
        vocabulary_size=spec.vocabulary_size,
        steps_per_epoch=spec.steps_per_epoch,
        total_steps=spec.total_steps,
        softmax_logits=spec.softmax_logits,
        memory=memory,
        estimated_step=estimated.step,
        peaks=Peaks.of(memory),
        available=available,
        needed=memory.needed,
        fits=is_fitting,
        compilation=compilation,
        times=times,
        recommendations=recommended.settings if recommended else {},
        options=options,
    )


def compiled_step(spec: RunSpec, batch: Batch) -> jax.stages.Compiled:
    """Compile the step of a run for batches of one shape, without allocating its arguments."""
    _, state = spec.abstract_state()
    constants = spec.abstract_constants()
    return spec.step().lower(state, constants, batch, jnp.int32(1)).compile()


def time_steps(spec: RunSpec, batches: Batches) -> StepTimes:
    """Time a few steps on the first batches, from an initial state that is then discarded."""
    start = time.perf_counter()
    sample = [batches[i] for i in range(len(spec.sample_batches))]
    batch_seconds = time.perf_counter() - start
    by_shape: dict[tuple[int, ...], list[Batch]] = defaultdict(list)
    for batch in sample:
        by_shape[batch.tokens.shape].append(batch)
    state, constants = spec.initial_state(), spec.constants()
    mean, n_steps = 0.0, 0
    for group in by_shape.values():
        state, seconds = _step_seconds(compiled_step(spec, group[0]), state, constants, group)
        mean += float(np.median(seconds)) * len(group) / len(sample)
        n_steps += len(seconds)
    return StepTimes(
        batch=batch_seconds / len(sample),
        step=mean,
        steps=n_steps,
        epoch=mean * spec.steps_per_epoch,
        run=mean * spec.total_steps,
    )


def _step_seconds(
    step: jax.stages.Compiled,
    state: TrainState,
    constants: StepConstants,
    batches: Sequence[Batch],
) -> tuple[TrainState, list[float]]:
    """Run steps on batches of one shape; return the last state and the seconds of each step."""
    seconds: list[float] = []
    for number, batch in enumerate(cycle(batches)):
        start = time.perf_counter()
        state, report = step(state, constants, batch, jnp.int32(number))
        jax.block_until_ready((state, report))
        if number > 0:  # the first step allocates memory
            seconds.append(time.perf_counter() - start)
        if len(seconds) == MAX_TIMED_STEPS or sum(seconds) > MAX_TIMED_SECONDS:
            break
    return state, seconds
