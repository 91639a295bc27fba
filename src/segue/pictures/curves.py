"""The picture of a training run: loss, validation and learning rate by step."""

from __future__ import annotations

from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from segue.pictures.canvas import (
    ACCENT,
    INK,
    MUTED,
    POINTS_PER_INCH,
    RULE,
    SECOND,
    Drawn,
    check_format,
    figure_for,
)
from segue.pictures.fonts import Lettering
from segue.pictures.training_log import LOSS, Best, Log, Series
from segue.run_folder import RunFolder

_WIDTH, _PANEL, _GAP = 640.0, 150.0, 26.0
_LEFT, _RIGHT, _ABOVE, _BELOW = 74.0, 26.0, 78.0, 52.0
"""Of the panels on the page, in points."""

SMOOTHED_FROM = 100
"""Records of the loss from which on a running mean is drawn over them."""
SMOOTHED_SHARE = 0.04
"""Share of the records that a running mean reaches over."""

_TINTS = ("#8fb3d1", "#b7a26c", "#94b894", "#ae9cc4")
"""Of the same metric at other cut-offs."""
_LEGEND: dict[str, Any] = {"frameon": False, "fontsize": 8, "labelcolor": MUTED}


def draw_curves(run: str | Path, file: str | Path) -> Drawn:
    """Draw what a run logged, finished or not, with its best step marked.

    Args:
        run: the folder that ``segue.train`` returned.
        file: where the picture goes; .png, .svg or .pdf.

    Returns:
        The file, and notes on lines of the log that could not be read and on characters of the
        run's name that were not drawn.

    Raises:
        RequestError: another ending of the file.
        RunError: the folder is not a run, or it has logged nothing yet.
        StorageError: the file cannot be written.
    """
    file, folder = check_format(file), RunFolder(run)
    log = Log(folder)
    best = log.best()
    shows_metric = best is not None and log.metric != LOSS
    name = folder.path.resolve().name
    lettering = Lettering([name])
    with figure_for(file, lettering.families) as figure:
        panels = _panels(figure, 2 + shows_metric)
        _draw_loss(panels[0], log)
        if shows_metric:
            _draw_metrics(panels[1], log)
        _draw_rate(panels[-1], log)
        _head(figure, lettering.drawable(name), log, best)
        if best is not None:
            panels[shows_metric].plot(best.step, best.value, "o", color=INK, markersize=5, zorder=4)
            for panel in panels:
                panel.axvline(best.step, color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
    lines = "line" if log.n_damaged == 1 else "lines"
    damaged = f"{log.n_damaged} {lines} of {folder.metrics.name} could not be read"
    return Drawn(str(file), [*([damaged] if log.n_damaged else []), *lettering.notes()])


def _draw_loss(axes: Axes, log: Log) -> None:
    steps, losses = log.series("train", LOSS)
    mean = _running_mean(losses)
    faint = len(losses) >= SMOOTHED_FROM
    _line(axes, steps, losses, ACCENT, "" if faint else "training", faint=faint)
    if faint:
        _line(axes, steps, mean, ACCENT, "training (running mean)")
    validated, values = log.series("validation", LOSS)
    if len(values):
        _line(axes, validated, values, SECOND, "validation", marked=True)
        axes.legend(**_LEGEND)
    axes.set_ylabel("loss\n(nats a label)")


def _draw_metrics(axes: Axes, log: Log) -> None:
    colours = cycle(_TINTS)
    for name in log.families():
        is_chosen = name == log.metric
        colour = SECOND if is_chosen else next(colours)
        _line(axes, *log.series("validation", name), colour, name, marked=is_chosen)
    axes.legend(**_LEGEND)
    axes.set_ylabel(f"{log.metric} on validation\n(0 to 1)")


def _draw_rate(axes: Axes, log: Log) -> None:
    steps, rates = log.series("train", "learning_rate")
    _line(axes, steps, rates, ACCENT, "")
    axes.set_ylim(bottom=0)
    axes.set_ylabel("learning rate\n(a step)")
    axes.set_xlim(0, 1.03 * steps[-1])
    _, epochs = log.series("train", "epoch")
    passed = f", {epochs[-1]:.3g} epochs in all" if len(epochs) else ""
    axes.set_xlabel(f"training step{passed}")


def _line(
    axes: Axes,
    steps: Series,
    values: Series,
    colour: str,
    label: str,
    *,
    marked: bool = False,
    faint: bool = False,
) -> None:
    """A line with its points where there are few of them, or a single one."""
    marker = "." if (marked and len(values) <= 60) or len(values) == 1 else None
    axes.plot(
        steps,
        values,
        color=colour,
        label=label or None,
        marker=marker,
        linewidth=0.8 if faint else 1.5,
        alpha=0.35 if faint else 1,
    )


def _running_mean(values: Series) -> Series:
    """Mean of the values around each, fewer at the ends; without those that are no numbers."""
    reach = max(1, round(SMOOTHED_SHARE * len(values) / 2))
    return np.array(
        [_mean(values[max(0, place - reach) : place + reach + 1]) for place in range(len(values))]
    )


def _mean(values: Series) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else np.nan


def _panels(figure: Figure, n: int) -> list[Axes]:
    """Panels one below the other over the same steps."""
    height = _ABOVE + n * (_PANEL + _GAP) - _GAP + _BELOW
    figure.set_size_inches(_WIDTH / POINTS_PER_INCH, height / POINTS_PER_INCH)
    panels: list[Axes] = []
    for number in range(n):
        bottom = height - _ABOVE - number * (_PANEL + _GAP) - _PANEL
        place = (_LEFT / _WIDTH, bottom / height, 1 - (_LEFT + _RIGHT) / _WIDTH, _PANEL / height)
        panel = figure.add_axes(place, sharex=panels[0] if panels else None)
        panel.grid(color=RULE, linewidth=0.6)
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(labelsize=8, labelbottom=number == n - 1, length=3)
        panel.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
        panel.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:,.0f}"))
        panel.yaxis.set_label_coords(-50 / (_WIDTH - _LEFT - _RIGHT), 0.5)
        panels.append(panel)
    return panels


def _head(figure: Figure, name: str, log: Log, best: Best | None) -> None:
    height = figure.get_figheight() * POINTS_PER_INCH
    found = "no validation yet"
    if best is not None:
        found = f"best {log.metric} {best.value:.4f} on validation, at step {best.step:,}"
    figure.text(30 / _WIDTH, 1 - 40 / height, name, fontsize=14, fontweight="bold")
    figure.text(30 / _WIDTH, 1 - 56 / height, found, fontsize=9, color=MUTED)
