"""``segue train``: from a prepared dataset to a run; progress display and card summary."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segue.cli.console import duration, key_values, print_json, stderr, stdout
from segue.cli.option_values import parse_changes, parse_path
from segue.cli.options import Budget, Changes, ConfigFile, DatasetPath, EnsembleOption, Json, Preset
from segue.errors import RequestError, quantity

if TYPE_CHECKING:
    from rich import progress as rich_progress
    from rich.console import Console

    from segue.trainer import OverfitResult, Progress

STOPPED = 130
"""Exit code after a signal stopped the training; the run is saved."""

SECONDS_PER_LINE = 10.0
"""Minimum time between two progress lines, in seconds, where stderr is not a terminal."""


def train(  # noqa: PLR0913, PLR0917 - one parameter per option
    data: DatasetPath,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", parser=parse_path, metavar="RUN", help="The run folder to write."
        ),
    ] = None,
    preset: Preset = None,
    config: ConfigFile = None,
    changes: Changes = None,
    budget: Budget = None,
    ensemble: EnsembleOption = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the run from its last checkpoint.")
    ] = False,
    with_histories: Annotated[
        bool,
        typer.Option(
            "--with-histories",
            help="Copy the histories of the dataset into the run, as segue attach does.",
        ),
    ] = False,
    overfit: Annotated[
        bool,
        typer.Option(
            "--overfit-one-batch",
            help="Only check that the model can memorise one batch; nothing is written.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Train a model on a prepared dataset.

    Without --preset and --config, the configuration is chosen from the data, the number of steps
    from the budget, and count-based models are added where they help. With one of them, exactly
    what it names is trained.

    Ctrl-C saves a checkpoint and stops, with exit code 130; --resume then continues to the
    same result as an uninterrupted run.
    """
    from segue import trainer
    from segue.dataset import Dataset
    from segue.trainer.recipe import GivenOptions, choose_recipe

    changed = parse_changes(changes)
    if overfit:
        options = {
            "-o": out is not None,
            "--resume": resume,
            "--with-histories": with_histories,
        }
        if unusable := [name for name, is_given in options.items() if is_given]:
            message = f"{unusable[0]} cannot be used with --overfit-one-batch, which writes nothing"
            raise RequestError(message, "leave it out")
        dataset = Dataset.open(data)
        given = GivenOptions(preset, config, budget, ensemble, changed)
        chosen = choose_recipe(dataset, given).config
        print_overfit_result(trainer.overfit_one_batch(dataset, chosen), as_json)
        return
    if out is None:
        raise RequestError("no run folder was given", "add -o RUN")
    with show_progress(stderr()) as display:
        run = trainer.train(
            data,
            out,
            preset=preset,
            config=config,
            budget=budget,
            ensemble=ensemble,
            resume=resume,
            with_histories=with_histories,
            watch=display,
            **changed,
        )
    card = run.card if run.is_finished else None
    if as_json:
        step = display.step if card is None else card["steps"]
        status = "stopped" if card is None else "finished"
        print_json({"run": str(run), "status": status, "step": step, "card": card})
    if card is None:
        raise stopped(data, run.path, display.step)
    if not as_json:
        stdout().print(key_values(card_summary(run.path, card)))


class ProgressDisplay:
    """Prints the progress of a training run; pass it to ``segue.train`` as ``watch``.

    Attributes:
        step: the last step that was reported.
    """

    def __init__(self, console: Console, bar: rich_progress.Progress | None = None) -> None:
        """Print to a console, with a progress bar if there is one, else as lines."""
        self.step = 0
        self._console = console
        self._bar = bar
        self._next_line_s = 0.0

    def __call__(self, progress: Progress) -> None:
        """Show a progress report."""
        if progress.message:
            self._console.print(progress.message)
        if not progress.total_steps:
            return
        self.step = max(self.step, progress.step)  # a second transformer starts again at 1
        if self._bar is not None:
            self._update_bar(self._bar, progress)
        elif not progress.message and time.monotonic() >= self._next_line_s:
            position = f"step {progress.step:,}/{progress.total_steps:,}"
            self._console.print(f"{position}  {_figures(progress)}")
            self._next_line_s = time.monotonic() + SECONDS_PER_LINE

    def _update_bar(self, bar: rich_progress.Progress, progress: Progress) -> None:
        if not bar.tasks:
            bar.add_task("", total=progress.total_steps, figures="")
        bar.update(
            bar.tasks[0].id,
            completed=progress.step,
            total=progress.total_steps,  # that of a second transformer differs
            figures=_figures(progress),
        )


@contextmanager
def show_progress(console: Console) -> Iterator[ProgressDisplay]:
    """A progress display: a bar if the console is a terminal, else a line every 10 seconds."""
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as ProgressBar

    if not console.is_terminal:
        yield ProgressDisplay(console)
        return
    columns = (
        TextColumn("step {task.completed:,.0f}/{task.total:,.0f}"),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[figures]}"),
    )
    with ProgressBar(*columns, console=console, transient=True) as bar:
        yield ProgressDisplay(console, bar)


def _figures(progress: Progress) -> str:
    """Loss, events per second and remaining time of a progress report."""
    remaining = duration(progress.seconds_left)
    return f"loss {progress.loss:.4f}  {progress.events_per_s:,.0f} events/s  {remaining} left"


def stopped(dataset: Path, run: Path, step: int) -> typer.Exit:
    """Print the command that resumes a stopped run, and return the exit for the verb to raise."""
    command = f"segue train {dataset} -o {run} --resume"
    stderr().print(f"stopped at step {step:,}; continue with: {command}", soft_wrap=True)
    return typer.Exit(STOPPED)


def card_summary(run: Path, card: dict[str, Any]) -> dict[str, str]:
    """The card of a run as one line per subject."""
    machine, dataset = card["machine"], card["dataset"]
    epochs = "1 epoch" if card["epochs"] == 1 else f"{card['epochs']:g} epochs"
    return {
        "run": str(run),
        "dataset": f"{dataset['name']} ({dataset['fingerprint']})",
        "transformer": _best_validation(card),
        **_ensemble(card["ensemble"]),
        "steps": f"{card['steps']:,} in {duration(card['seconds'])}, {epochs}",
        "ended": card["finished"],
        "parameters": f"{card['parameters']:,}",
        "machine": f"{machine['device']}, {machine['cores']} cores, jax {machine['jax']}, "
        f"segue {card['segue_version']}",
    }


def _best_validation(card: dict[str, Any]) -> str:
    """``ndcg@10 0.1234 on validation, at step 800, seen exclude``; a loss ranks no items."""
    metric, best, step = (card["validation"][key] for key in ("metric", "best", "step"))
    if best is None:
        return "none: the dataset has no validation events, or the run ended before a validation"
    protocol = card["results"].get("protocol", {})
    seen = f", seen {protocol['seen']}" if protocol else ""
    return f"{metric} {best:.4f} on validation, at step {step:,}{seen}"


def _ensemble(ensemble: dict[str, Any]) -> dict[str, str]:
    """The chosen combination, its weights, and NDCG@10 on validation; nothing without members."""
    if not ensemble:
        return {}
    if "why" in ensemble:
        return {"ensemble": f"{ensemble['choice']} alone: {ensemble['why']}"}
    fitted = ensemble.get("weights", {})
    weights = [f"{name} {weight:.2g}" for name, weight in fitted.items() if weight]
    text, choice = " + ".join(weights), ensemble.get("choice")
    values = ensemble.get("held_out_ndcg@10", {})
    if choice in values:
        text += f", ndcg@10 {values[choice]:.4f} on held-out halves of validation"
    return {"ensemble": text, **_calibration(ensemble.get("calibration"))}


def _calibration(calibration: dict[str, Any] | None) -> dict[str, str]:
    """The temperature of the probabilities, and how reliable they are."""
    if calibration is None:
        return {"probabilities": "not calibrated"}
    errors = [
        f"{name} {of_name['error']:.4f} (by chance {of_name['error_by_chance']:.4f})"
        for name, of_name in calibration["reliability"].items()
    ]
    return {
        "probabilities": f"temperature {calibration['temperature']:.3f}, calibration error "
        f"{', '.join(errors)} on held-out halves of validation"
    }


def print_overfit_result(result: OverfitResult, as_json: bool) -> None:
    """Print after how many steps one batch was memorised."""
    if as_json:
        print_json(result._asdict())
        return
    ambiguous = quantity(result.ambiguous, "ambiguous label was", "ambiguous labels were")
    note = f"; {ambiguous} left out" if result.ambiguous else ""
    stdout().print(
        f"overfitted one batch: {quantity(result.targets, 'target')} predicted correctly after "
        f"{quantity(result.steps, 'step')}, with a loss of {result.loss:.4f}{note}"
    )
