"""``train``: check, then start or resume a run.

Also the two context managers around the training loop: one stops it cleanly on a signal,
the other converts out-of-memory errors.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import jax

from segue.config import Config
from segue.dataset import Dataset
from segue.errors import ResourceError, RunError
from segue.machine import use_compilation_cache
from segue.recommender import Run
from segue.recommender.attach import attach_histories
from segue.runs import RunFolder
from segue.trainer.budget import Clock, with_steps, without_steps
from segue.trainer.ensemble.conclude import conclude_run
from segue.trainer.loop import Trainer
from segue.trainer.plan.recommendations import check_memory
from segue.trainer.progress import Progress, message_only
from segue.trainer.recipe import GivenOptions, Recipe, choose_recipe
from segue.trainer.run_spec import spec_of
from segue.trainer.search_index import write_search_index
from segue.trainer.start_files import write_start


def train(  # noqa: PLR0913 - one parameter per option
    data: Dataset | str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    preset: str | None = None,
    config: Config | str | os.PathLike[str] | None = None,
    budget: float | int | str | None = None,
    ensemble: bool | None = None,
    resume: bool = False,
    with_histories: bool = False,
    watch: Callable[[Progress], None] | None = None,
    **changes: Any,
) -> Run:
    """Train a model and write a run folder.

    Without ``preset`` and ``config``, the configuration is chosen from the statistics of the
    dataset, and the number of steps from the budget. With one of them, exactly what it names is
    trained.

    SIGINT, SIGTERM or SIGHUP saves a checkpoint and stops the run. ``resume`` continues a run that
    was stopped or killed; it ends with the same weights as a run without interruption, unless the
    clock of its budget ends one of them earlier.

    Args:
        data: a prepared dataset, or its folder.
        out: the folder to write. Unless ``resume``, it must be empty or not exist.
        preset: a name from ``segue.presets()``.
        config: a configuration, or a TOML file with one.
        budget: core-seconds (process time) of the whole run, or text such as ``30m``; by default
            1,800, fifteen minutes of two cores, unless a preset or a configuration is given. On an
            accelerator each second counts as two core-seconds.
        ensemble: whether count-based and linear models are fitted and weighted beside the
            transformer; by default unless a preset or a configuration is given.
        resume: continue the run in the folder from its last checkpoint, with its own
            configuration.
        with_histories: copy the histories of the dataset into the run, as ``Run.attach`` does; the
            run then contains the data of people.
        watch: a function that is called with the progress every few steps.
        changes: values of configuration keys, which take precedence over ``preset`` and
            ``config``: ``epochs=3``, or with the section ``**{"training.epochs": 3}``.

    Returns:
        The run. It is path-like.

    Raises:
        DatasetError: the dataset cannot be opened, or was overwritten during training.
        ConfigError: the configuration is invalid or does not fit the dataset.
        ResourceError: the run would need more memory than is available (nothing is written), or
            memory ran out during training.
        RunError: the folder is not empty or cannot be resumed, or the run diverged.
        StorageError: a file could not be written; the last checkpoint is intact.
    """
    use_compilation_cache()
    clock = Clock()
    data = data if isinstance(data, Dataset) else Dataset.open(data)
    folder, watch = RunFolder(out), watch or (lambda _: None)
    given = GivenOptions(preset, config, budget, ensemble, changes)
    recipe = _resumed(folder, data, given) if resume else choose_recipe(data, given)
    with memory_errors():
        spec, batches = spec_of(recipe.config, data)
        check_memory(spec)
    with folder.locked(), memory_errors():
        with stop_signals() as is_stopped:
            if not resume:
                folder.create()
                recipe = with_steps(recipe, data, clock)
                spec, batches = spec_of(recipe.config, data)
                write_start(folder, recipe, spec)
                for reason in recipe.reasons:
                    watch(message_only(reason))
            if with_histories:
                attach_histories(folder, data)
            conclude = None
            if recipe.config.ensemble.is_fitted:
                conclude = partial(conclude_run, recipe.config, data, folder, watch)
            Trainer(spec, folder, batches, watch, clock.spent_s, conclude).run(is_stopped)
        write_search_index(folder, data.items, watch)
    return Run(folder.path)


def _resumed(folder: RunFolder, data: Dataset, given: GivenOptions) -> Recipe:
    """Read the recipe of a run to resume, and check that the arguments agree with it."""
    if folder.path.is_dir() and folder.is_unstarted():
        raise RunError(
            f"there is no run to resume in {folder.path}",
            "start one without --resume",
        )
    saved, dataset = folder.read_config()
    if dataset["fingerprint"] != data.fingerprint:
        raise RunError(
            f"{folder.path} was trained on another dataset than {data.path}",
            f"give the dataset of the run: {dataset['path']}",
        )
    if given.any and without_steps(choose_recipe(data, given).config) != without_steps(saved):
        raise RunError(
            f"{folder.path} was started with another configuration",
            "resume it without configuration options, or start another run",
        )
    return Recipe(saved, ())


@contextmanager
def stop_signals() -> Iterator[Callable[[], bool]]:
    """Catch the first SIGINT, SIGTERM or SIGHUP; a second one acts as usual.

    Outside the main thread signals are not caught, nor is a SIGHUP that ``nohup`` ignores.

    Yields:
        A function that says whether a signal was received.
    """
    received: list[int] = []
    old_handlers: dict[int, Any] = {}

    def receive(number: int, _frame: object) -> None:
        # The handler stays until the second signal, so that others can tell who handles the first.
        received.append(number)
        if len(received) > 1:
            signal.signal(number, old_handlers[number])
            signal.raise_signal(number)

    numbers = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    try:
        for number in numbers:
            old_handlers[number] = signal.signal(number, receive)
    except ValueError:  # not the main thread
        old_handlers.clear()
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in old_handlers.items():
            signal.signal(number, handler)


@contextmanager
def memory_errors() -> Iterator[None]:
    """Convert out-of-memory errors of the process or the device into a ``ResourceError``.

    The estimate in ``check_memory`` is not exact, so memory may still run out during training.

    Raises:
        ResourceError: no memory was left, on the device or in the process.
    """
    try:
        yield
    except (MemoryError, jax.errors.JaxRuntimeError) as error:
        reason = str(error).split("\n", 1)[0]
        if not isinstance(error, MemoryError) and "RESOURCE_EXHAUSTED" not in reason:
            raise
        raise ResourceError(
            f"the run ran out of memory: {reason or 'none is left'}",
            "free some memory, then continue with --resume",
        ) from error
