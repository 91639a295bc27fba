"""``draw_curves``: the training curves of a run (loss, validation metric, learning rate)."""

from __future__ import annotations

import os
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from segue.errors import quantity
from segue.pictures.figures import (
    ACCENT,
    INK,
    MUTED,
    POINTS_PER_INCH,
    RULE,
    SECOND,
    Picture,
    check_format,
    new_figure,
)
from segue.pictures.fonts import TextFonts
from segue.runs import RunFolder
from segue.runs.metrics_log import LOSS, BestValidation, MetricsLog, Series

_WIDTH, _PANEL, _GAP = 640.0, 150.0, 26.0
"""Width of the picture, height of a panel and distance between panels, in points."""
_LEFT, _RIGHT, _ABOVE, _BELOW = 74.0, 26.0, 78.0, 52.0
"""Margins around the panels, in points."""

SMOOTHED_FROM = 100
"""Minimum number of logged losses for which their running mean is drawn."""
SMOOTHED_SHARE = 0.04
"""Share of the logged losses that each running mean averages."""

_TINTS = ("#8fb3d1", "#b7a26c", "#94b894", "#ae9cc4")
"""Colours of the validation metric at cut-offs other than the selected one."""
_LEGEND: dict[str, Any] = {"frameon": False, "fontsize": 8, "labelcolor": MUTED}


def draw_curves(run: str | os.PathLike[str], out: str | os.PathLike[str]) -> Picture:
    """Draw the metrics log of a run, with its best step marked.

    The run may be finished or still in training.

    Args:
        run: a run, or its folder.
        out: the .png, .svg or .pdf file to write.

    Returns:
        The file, and notes on damaged lines of the log and on characters of the run's name
        without a glyph.

    Raises:
        RequestError: the suffix of the file is not supported.
        RunError: the folder is not a run, or no step was logged yet.
        StorageError: the file cannot be written.
    """
    file, folder = check_format(out), RunFolder(run)
    log = MetricsLog(folder)
    best = log.best()
    has_metric_panel = best is not None and log.metric != LOSS
    name = folder.path.resolve().name
    fonts = TextFonts([name])
    with new_figure(file, fonts.families) as figure:
        panels = _panels(figure, 2 + has_metric_panel)
        _draw_loss(panels[0], log)
        if has_metric_panel:
            _draw_metrics(panels[1], log)
        _draw_rate(panels[-1], log)
        _draw_heading(figure, fonts.drawable(name), log, best)
        if best is not None:
            metric_panel = panels[has_metric_panel]
            metric_panel.plot(best.step, best.value, "o", color=INK, markersize=5, zorder=4)
            for panel in panels:
                panel.axvline(best.step, color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
    notes = fonts.notes()
    if log.damaged_lines:
        lines = quantity(log.damaged_lines, "line")
        notes = [f"{lines} of {folder.metrics.name} could not be read", *notes]
    return Picture(str(file), notes)


def _draw_loss(axes: Axes, log: MetricsLog) -> None:
    steps, losses = log.series("train", LOSS)
    mean = _running_mean(losses)
    is_smoothed = len(losses) >= SMOOTHED_FROM
    _line(axes, steps, losses, ACCENT, "" if is_smoothed else "training", faint=is_smoothed)
    if is_smoothed:
        _line(axes, steps, mean, ACCENT, "training (running mean)")
    validation_steps, validation_losses = log.series("validation", LOSS)
    if len(validation_losses):
        _line(axes, validation_steps, validation_losses, SECOND, "validation", marked=True)
        axes.legend(**_LEGEND)
    axes.set_ylabel("loss\n(nats per label)")


def _draw_metrics(axes: Axes, log: MetricsLog) -> None:
    colours = cycle(_TINTS)
    for name in log.metric_at_all_cutoffs():
        is_selected = name == log.metric
        colour = SECOND if is_selected else next(colours)
        _line(axes, *log.series("validation", name), colour, name, marked=is_selected)
    axes.legend(**_LEGEND)
    axes.set_ylabel(f"{log.metric} on validation\n(0 to 1)")


def _draw_rate(axes: Axes, log: MetricsLog) -> None:
    steps, rates = log.series("train", "learning_rate")
    all_steps, _ = log.series("train", LOSS)
    _line(axes, steps, rates, ACCENT, "")
    axes.set_ylim(bottom=0)
    axes.set_ylabel("learning rate\n(per step)")
    axes.set_xlim(0, max(1.03 * all_steps.max(initial=0), 1))
    _, epochs = log.series("train", "epoch")
    n_epochs = f", {epochs[-1]:.3g} epochs in all" if len(epochs) else ""
    axes.set_xlabel(f"training step{n_epochs}")


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
    """Draw a line; with a dot at each value if it is the only one, or few and ``marked``."""
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
    """Centred running mean, over fewer values at the ends; NaN and infinity are ignored."""
    reach = max(1, round(SMOOTHED_SHARE * len(values) / 2))
    return np.array(
        [_mean(values[max(0, index - reach) : index + reach + 1]) for index in range(len(values))]
    )


def _mean(values: Series) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else np.nan


def _panels(figure: Figure, n: int) -> list[Axes]:
    """Create ``n`` panels, one below the other, with the same steps on the x axis."""
    height = _ABOVE + n * (_PANEL + _GAP) - _GAP + _BELOW
    figure.set_size_inches(_WIDTH / POINTS_PER_INCH, height / POINTS_PER_INCH)
    panels: list[Axes] = []
    for number in range(n):
        bottom = height - _ABOVE - number * (_PANEL + _GAP) - _PANEL
        area = (_LEFT / _WIDTH, bottom / height, 1 - (_LEFT + _RIGHT) / _WIDTH, _PANEL / height)
        panel = figure.add_axes(area, sharex=panels[0] if panels else None)
        panel.grid(color=RULE, linewidth=0.6)
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(labelsize=8, labelbottom=number == n - 1, length=3)
        panel.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
        panel.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:,.0f}"))
        panel.yaxis.set_label_coords(-50 / (_WIDTH - _LEFT - _RIGHT), 0.5)
        panels.append(panel)
    return panels


def _draw_heading(figure: Figure, name: str, log: MetricsLog, best: BestValidation | None) -> None:
    height = figure.get_figheight() * POINTS_PER_INCH
    remark = "no validation yet"
    if best is not None:
        remark = f"best {log.metric} {best.value:.4f} on validation, at step {best.step:,}"
    figure.text(30 / _WIDTH, 1 - 40 / height, name, fontsize=14, fontweight="bold")
    figure.text(30 / _WIDTH, 1 - 56 / height, remark, fontsize=9, color=MUTED)
