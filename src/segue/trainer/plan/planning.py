"""``plan``: the memory and time of a training run on this machine, without starting it."""

from __future__ import annotations

import os
import time
from itertools import cycle
from typing import Any

import jax
import jax.numpy as jnp
import msgspec
import numpy as np

from segue.batches import Batches
from segue.config import Config
from segue.dataset import Dataset
from segue.machine import available_memory, use_compilation_cache
from segue.trainer.budget import Clock, with_steps
from segue.trainer.plan.memory import MemoryUse, estimate_memory
from segue.trainer.plan.recommendations import (
    TrainingOption,
    fits,
    recommended_option,
    training_options,
)
from segue.trainer.recipe import GivenOptions, choose_recipe
from segue.trainer.run_spec import RunSpec, spec_of

MAX_TIMED_STEPS = 20
"""Steps that are timed, after one that warms up."""
MAX_TIMED_SECONDS = 5.0
"""Seconds after which no further step is timed."""


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
        reasons: why the configuration was chosen, one line per group of settings; empty if a
            preset or a configuration was given.
        config: the configuration, by section.
        vocabulary_size: number of rows of the item embeddings.
        steps_per_epoch: number of batches per epoch.
        total_steps: number of steps of the run unless ``training.patience`` ends it earlier; with
            a budget, those that it allows, if steps were timed.
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
    reasons: list[str]
    config: dict[str, Any]
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
    budget: float | int | str | None = None,
    ensemble: bool | None = None,
    probe: bool = True,
    **changes: Any,
) -> Plan:
    """Estimate the memory and time of a training run, without writing a run folder.

    The configuration is chosen as by ``train``.

    The training step is compiled. The compilation cache on disk keeps it, so that a run does not
    compile it again.

    Args:
        data: a prepared dataset, or its folder.
        preset: a name from ``segue.presets()``.
        config: a configuration, or a TOML file with one.
        budget: core-seconds of the whole run, as for ``train``.
        ensemble: whether further models are added to the transformer, as for ``train``.
        probe: whether to time a few steps. None are taken if the run does not fit into memory.
        changes: values of configuration keys, as for ``train``.

    Raises:
        DatasetError: the dataset cannot be opened.
        ConfigError: the configuration is invalid or does not fit the dataset.
    """
    use_compilation_cache()
    data = data if isinstance(data, Dataset) else Dataset.open(data)
    recipe = choose_recipe(data, GivenOptions(preset, config, budget, ensemble, changes))
    spec, batches = spec_of(recipe.config, data)
    # Estimated before compilation, whose memory would be counted as that of the process.
    available, estimated = available_memory(), estimate_memory(spec)
    options = training_options(spec, available)
    recommended = recommended_option(spec, options)
    start = time.perf_counter()
    analysis = compiled_step(spec).memory_analysis()
    compilation = time.perf_counter() - start
    step_bytes = estimated.step if analysis is None else analysis.temp_size_in_bytes
    memory = msgspec.structs.replace(estimated, step=step_bytes)
    is_fitting = fits(memory.needed, available)
    times = None
    if probe and is_fitting is not False:
        recipe = with_steps(recipe, data, Clock())
        spec, batches = spec_of(recipe.config, data)
        times = time_steps(spec, batches)
    return Plan(
        dataset=data.name,
        reasons=list(recipe.reasons),
        config=recipe.config.model_dump(mode="json"),
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


def compiled_step(spec: RunSpec) -> jax.stages.Compiled:
    """Compile the step of a run, without allocating its arguments."""
    _, state = spec.abstract_state()
    constants = spec.abstract_constants()
    return spec.step().lower(state, constants, spec.sample_batches[0], jnp.int32(1)).compile()


def time_steps(spec: RunSpec, batches: Batches) -> StepTimes:
    """Time a few steps on the first batches, from an initial state that is then discarded."""
    start = time.perf_counter()
    sample = [batches[i] for i in range(len(spec.sample_batches))]
    batch_seconds = (time.perf_counter() - start) / len(sample)
    step, state, constants = compiled_step(spec), spec.initial_state(), spec.constants()
    seconds: list[float] = []
    for number, batch in enumerate(cycle(sample)):
        start = time.perf_counter()
        state, report = step(state, constants, batch, jnp.int32(number))
        jax.block_until_ready((state, report))
        if number > 0:  # the first step allocates memory
            seconds.append(time.perf_counter() - start)
        if len(seconds) == MAX_TIMED_STEPS or sum(seconds) > MAX_TIMED_SECONDS:
            break
    mean = float(np.median(seconds))
    return StepTimes(
        batch=batch_seconds,
        step=mean,
        steps=len(seconds),
        epoch=mean * spec.steps_per_epoch,
        run=mean * spec.total_steps,
    )
