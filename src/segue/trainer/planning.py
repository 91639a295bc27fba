"""What a run would take, before it is begun: memory and time on this machine."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgspec

from segue.config import Config
from segue.dataset import Dataset
from segue.runtime import available_memory, use_compilation_cache
from segue.trainer.advice import Option, advised, fits, options
from segue.trainer.memory import MemoryUse, estimate
from segue.trainer.probe import Times, compiled_step, take_time
from segue.trainer.start import chosen_config, inputs
from segue.trainer.workload import Workload


class Peaks(msgspec.Struct, frozen=True):
    """Bytes of the process at its largest, what is mapped of the dataset included.

    Attributes:
        training: of a run from its beginning.
        saving: while a checkpoint is written.
        resuming: while one is read.
    """

    training: int
    saving: int
    resuming: int

    @classmethod
    def of(cls, memory: MemoryUse) -> Peaks:
        """The peaks of a run."""
        return cls(memory.training, memory.saving, memory.resuming)


class Plan(msgspec.Struct, frozen=True):
    """What a run would take.

    Attributes:
        table_size: rows of the item table.
        steps_per_epoch: batches of an epoch.
        total_steps: of all epochs, were no patience to end it before.
        softmax_block: rows that an exact softmax takes at a time; null for a sampled one.
        memory: by what it is for; ``step`` is XLA's own figure.
        estimated_step: the same by the formula that ``train`` goes by.
        available: bytes that the run may take; null where nothing says.
        needed: what it takes beside what is there already and can be dropped.
        compilation: seconds that compiling the step took; next to none where it was before.
        times: null where no step was taken.
        advice: settings to change, as ``key=value``; nothing where all is well.
        options: ways to train the model; their peaks go by the formula.
    """

    dataset: str
    table_size: int
    steps_per_epoch: int
    total_steps: int
    softmax_block: int | None
    memory: MemoryUse
    estimated_step: int
    peaks: Peaks
    available: int | None
    needed: int
    fits: bool | None
    compilation: float
    times: Times | None
    advice: list[str]
    options: list[Option]

    def to_json(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        return msgspec.to_builtins(self)


def plan(
    data: Dataset | str | Path,
    *,
    preset: str | None = None,
    config: Config | str | Path | None = None,
    overrides: dict[str, Any] | list[str] | None = None,
    probe: bool = True,
) -> Plan:
    """Tell what a run would take; nothing is written.

    The step is compiled, which a run that follows is spared.

    Args:
        data: a prepared dataset.
        preset: a name of ``segue.presets()``.
        config: a configuration, or a TOML file with one.
        overrides: keys to change, as ``{"model.layers": 4}`` or ``["model.layers=4"]``.
        probe: take a few steps, to see how long they last; none are where the run does not
            fit.

    Raises:
        DatasetError: the dataset cannot be opened.
        ConfigError: the configuration is wrong, or does not go with the dataset.
    """
    use_compilation_cache()
    data = data if isinstance(data, Dataset) else Dataset.open(data)
    chosen = chosen_config(preset, config, overrides)
    features, batches = inputs(chosen, data)
    work = Workload.of(chosen, data, features, batches)
    # Counted before anything is compiled or made, which would be taken for the libraries'.
    available, estimated = available_memory(), estimate(work)
    found = options(work, available)
    best = advised(work, found)
    began = time.perf_counter()
    analysis = compiled_step(work, work.batch).memory_analysis()
    compilation = time.perf_counter() - began
    held = estimated.step if analysis is None else analysis.temp_size_in_bytes
    memory = msgspec.structs.replace(estimated, step=held)
    fitting = fits(memory.needed, available)
    times = take_time(work, batches) if probe and fitting is not False else None
    return Plan(
        dataset=data.name,
        table_size=work.table_size,
        steps_per_epoch=work.steps_per_epoch,
        total_steps=work.total_steps,
        softmax_block=work.block_rows,
        memory=memory,
        estimated_step=estimated.step,
        peaks=Peaks.of(memory),
        available=available,
        needed=memory.needed,
        fits=fitting,
        compilation=compilation,
        times=times,
        advice=best.settings if best else [],
        options=found,
    )
