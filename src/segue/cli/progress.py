"""How a run is watched: a bar in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bars

from segue.cli.tables import clock
from segue.trainer import Progress

SECONDS_PER_LINE = 10.0
"""Between two lines where there is no terminal."""


class Watch:
    """Shows progress, and remembers the last step; give it to ``segue.train``."""

    def __init__(self, console: Console, bars: Bars | None = None) -> None:
        self.step = 0
        self._console = console
        self._bars = bars
        self._next_line = 0.0

    def __call__(self, progress: Progress) -> None:
        self.step = progress.step
        if progress.message:
            self._console.print(progress.message)
        if self._bars is not None:
            self._draw(self._bars, progress)
        elif not progress.message and time.monotonic() >= self._next_line:
            place = f"step {progress.step:,}/{progress.total_steps:,}"
            self._console.print(f"{place}  {_pace(progress)}")
            self._next_line = time.monotonic() + SECONDS_PER_LINE

    def _draw(self, bars: Bars, progress: Progress) -> None:
        if not bars.tasks:
            bars.add_task("", total=progress.total_steps, pace="")
        bars.update(bars.tasks[0].id, completed=progress.step, pace=_pace(progress))


@contextmanager
def watching(console: Console) -> Iterator[Watch]:
    """Watch a run on a console: with a bar where it is a terminal."""
    if not console.is_terminal:
        yield Watch(console)
        return
    columns = (
        TextColumn("step {task.completed:,.0f}/{task.total:,.0f}"),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[pace]}"),
    )
    with Bars(*columns, console=console, transient=True) as bars:
        yield Watch(console, bars)


def _pace(progress: Progress) -> str:
    left = clock(progress.seconds_left)
    return f"loss {progress.loss:.4f}  {progress.events_per_s:,.0f} events/s  {left} left"
