"""Options and progress of batches: ``recommend`` and ``generate`` with ``--input``."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import typer

from segue.cli.console import duration, key_values, print_json, stderr, stdout
from segue.cli.option_values import parse_path
from segue.cli.options import without_none
from segue.errors import RequestError

if TYPE_CHECKING:
    from rich import progress as rich_progress
    from rich.console import Console

    from segue.recommender.batch import BatchProgress, BatchSummary, Watch

SECONDS_PER_LINE = 10.0
"""Minimum time between two progress lines where stderr is not a terminal."""

Input = Annotated[
    Path | None,
    typer.Option(
        "--input",
        parser=parse_path,
        metavar="FILE|DATASET",
        help="Answer every row of a Parquet file or of JSON lines, or every sequence of a prepared "
        "dataset.",
    ),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        parser=parse_path,
        metavar="FILE",
        help="Where the lists of --input are written: .parquet, .csv or .jsonl.",
    ),
]
IdColumn = Annotated[
    str | None,
    typer.Option(
        "--id-column",
        metavar="NAME",
        help="The column of --input with the ids of its rows; id by default.",
    ),
]
Before = Annotated[
    Literal["validation", "test"] | None,
    typer.Option(
        help="With a dataset as --input, use the events before this part only; by default all."
    ),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace the file of --output if it exists.")
]


class BatchFiles(NamedTuple):
    """The files of a batch and how they are read."""

    source: Path
    output: Path
    id_column: str | None
    before: Literal["validation", "test"] | None
    overwrite: bool

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of ``recommend_file``."""
        return {**self._asdict()}


def batch_files(
    source: Path | None,
    output: Path | None,
    id_column: str | None,
    before: Literal["validation", "test"] | None,
    overwrite: bool,
    **single: Any,
) -> BatchFiles | None:
    """The files of a batch; None for a single request.

    Args:
        single: options of a single request that a batch has in its rows, by name.

    Raises:
        RequestError: only some of the options of a batch are given, or those of both.
    """
    if source is None or output is None:
        given = without_none(input=source, output=output, id_column=id_column, before=before)
        if given or overwrite:
            name = next(iter(given), "overwrite").replace("_", "-")
            missing = "input" if source is None else "output"
            message = f"--{name} is given without --{missing}"
            raise RequestError(message, "a batch needs --input FILE --output FILE")
        return None
    if in_rows := [name for name, value in single.items() if value]:
        option = {"locked": "lock"}.get(in_rows[0], in_rows[0])
        message = f"--{option} (or a --query file with it) is for one request, not for --input"
        in_column = "leave it out" if option == "lock" else f"give it as the column {option}"
        raise RequestError(message, f"{in_column}; a --query file may have options of all rows")
    return BatchFiles(source, output, id_column, before, overwrite)


def run_batch(compute: Callable[[Watch], BatchSummary], as_json: bool) -> None:
    """Compute a batch with a progress display, and print its summary.

    Args:
        compute: runs the batch, with a function that is called with the progress.
    """
    try:
        with show_progress(stderr()) as display:
            summary = compute(display)
    except KeyboardInterrupt:
        stderr().print("stopped; the same command continues")
        raise
    if as_json:
        print_json(summary.to_dict())
        return
    stdout().print(key_values(summary_lines(summary)))
    for note in summary.notes:
        stderr().print(note, soft_wrap=True)


def summary_lines(summary: BatchSummary) -> dict[str, str]:
    """What a batch has written and what was incomplete, by name; zeros are left out."""
    incomplete = {
        "without items": summary.rows_without_items,
        "with unknown items": summary.rows_with_unknown_items,
        "unknown items": summary.unknown_items,
        "truncated to the context": summary.rows_truncated,
        "with notes": summary.rows_with_notes,
        "from before the restart": summary.resumed_rows,
    }
    lines = {"rows": f"{summary.rows:,}", "items": f"{summary.items:,}"}
    lines |= {name: f"{count:,}" for name, count in incomplete.items() if count}
    if summary.ignored_columns:
        lines["ignored columns"] = ", ".join(summary.ignored_columns)
    lines["output"] = summary.output
    if summary.notes_output:
        lines["notes"] = summary.notes_output
    return lines | {"time": duration(summary.took_s)}


class BatchDisplay:
    """Prints the progress of a batch; pass it as ``watch``."""

    def __init__(self, console: Console, bar: rich_progress.Progress | None = None) -> None:
        """Print to a console, with a progress bar if there is one, else as lines."""
        self._console = console
        self._bar = bar
        self._phase = ""
        self._start_s = self._next_line_s = time.monotonic()

    def __call__(self, progress: BatchProgress) -> None:
        """Show a progress report."""
        now = time.monotonic()
        if progress.phase != self._phase:
            self._phase, self._start_s, self._next_line_s = progress.phase, now, now
            if progress.resumed:
                rows = f"{progress.resumed:,} of {progress.total:,} rows"
                self._console.print(f"continuing: {rows} were computed before")
        if self._bar is not None:
            task = self._bar.tasks[0].id if self._bar.tasks else self._bar.add_task("", figures="")
            figures = self._figures(progress, now)
            self._bar.update(
                task,
                completed=progress.rows,
                total=progress.total or progress.rows,
                figures=figures,
            )
        elif now >= self._next_line_s + SECONDS_PER_LINE:
            self._console.print(self._figures(progress, now))
            self._next_line_s = now

    def _figures(self, progress: BatchProgress, now: float) -> str:
        """The phase, rows, rows per second and the remaining time."""
        names = {"check": "checking", "answer": "computing", "write": "writing"}
        rows = f"{progress.rows:,}" + ("" if progress.total is None else f"/{progress.total:,}")
        n_new, seconds = progress.rows - progress.resumed, now - self._start_s
        text = f"{names[progress.phase]} {rows} rows"
        if progress.total is None or not n_new or not seconds:
            return text
        remaining = duration((progress.total - progress.rows) * seconds / n_new)
        return f"{text}  {n_new / seconds:,.0f} rows/s  {remaining} left"


@contextmanager
def show_progress(console: Console) -> Iterator[BatchDisplay]:
    """A progress display: a bar if the console is a terminal, else a line every 10 seconds."""
    from rich.progress import BarColumn, Progress, TextColumn

    if not console.is_terminal:
        yield BatchDisplay(console)
        return
    columns = (BarColumn(bar_width=20), TextColumn("{task.fields[figures]}"))
    with Progress(*columns, console=console, transient=True) as bar:
        yield BatchDisplay(console, bar)
