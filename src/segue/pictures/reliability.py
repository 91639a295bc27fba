"""``draw_reliability``: the reliability diagram of a run's next-item probabilities."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from segue.errors import RunError, quantity
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

_WIDTH, _HEIGHT = 480.0, 500.0
"""Size of the picture, in points."""
_LEFT, _RIGHT, _ABOVE, _BELOW = 74.0, 26.0, 78.0, 52.0
"""Margins around the diagram, in points."""
_LABELS = {"top-1": "best item", "top-10": "ten best items"}
_COLOURS = {"top-1": SECOND, "top-10": ACCENT}


def draw_reliability(run: str | os.PathLike[str], out: str | os.PathLike[str]) -> Picture:
    """Draw how often listed items came next, against their probability.

    Each point is a bin of listed items of similar probability, with one standard error. Calibrated
    probabilities lie on the diagonal. They are those of the validation requests on which the card
    reports the calibration error, at a temperature fitted on the other half of them.

    Source: the reliability diagram of DeGroot and Fienberg, The comparison and evaluation of
    forecasters, The Statistician 32, 1983. The error is the mean distance from the diagonal.

    Args:
        run: a run, or its folder.
        out: the .png, .svg or .pdf file to write.

    Returns:
        The file, and notes on characters of the run's name without a glyph.

    Raises:
        RequestError: the suffix of the file is not supported.
        RunError: the folder is not a run, or its probabilities were not calibrated.
        StorageError: the file cannot be written.
    """
    file, folder = check_format(out), RunFolder(run)
    calibration = folder.read_card()["ensemble"].get("calibration")
    if calibration is None:
        message = f"the probabilities of {folder.path} were not calibrated"
        raise RunError(message, "train with an ensemble and validation events")
    name = folder.path.resolve().name
    fonts = TextFonts([name])
    with new_figure(file, fonts.families) as figure:
        figure.set_size_inches(_WIDTH / POINTS_PER_INCH, _HEIGHT / POINTS_PER_INCH)
        area = (_LEFT / _WIDTH, _BELOW / _HEIGHT)
        size = (1 - (_LEFT + _RIGHT) / _WIDTH, 1 - (_ABOVE + _BELOW) / _HEIGHT)
        axes = figure.add_axes((*area, *size))
        _draw_bins(axes, calibration["reliability"])
        _draw_heading(figure, fonts.drawable(name), calibration)
    return Picture(str(file), fonts.notes())


def _draw_bins(axes: Axes, reliability: dict[str, Any]) -> None:
    largest = 0.0
    for name, of_name in reliability.items():
        bins = of_name["bins"]
        probabilities = np.array([group["probability"] for group in bins])
        shares = np.array([group["share"] for group in bins])
        counts = np.array([group["n"] for group in bins])
        errors = np.sqrt(shares * (1 - shares) / np.maximum(counts, 1))
        label = f"{_LABELS.get(name, name)}: error {of_name['error']:.4f}, by chance "
        axes.errorbar(
            probabilities,
            shares,
            errors,
            color=_COLOURS.get(name, INK),
            label=f"{label}{of_name['error_by_chance']:.4f}",
            marker="o",
            markersize=3.5,
            linewidth=1.2,
            elinewidth=0.8,
        )
        largest = max(largest, probabilities.max(initial=0), (shares + errors).max(initial=0))
    limit = min(1.05 * largest or 1.0, 1.05)
    axes.plot([0, limit], [0, limit], color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
    axes.set_xlim(0, limit)
    axes.set_ylim(0, limit)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g} %"))
    axes.grid(color=RULE, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8, length=3)
    axes.set_xlabel("probability of being the next item")
    axes.set_ylabel("share of items that came next")
    axes.legend(frameon=False, fontsize=8, labelcolor=MUTED, loc="upper left")


def _draw_heading(figure: Figure, name: str, calibration: dict[str, Any]) -> None:
    requests = quantity(calibration["requests"], "validation request")
    remark = f"temperature {calibration['temperature']:.3f}, {requests} in two halves"
    figure.text(30 / _WIDTH, 1 - 40 / _HEIGHT, name, fontsize=14, fontweight="bold")
    figure.text(30 / _WIDTH, 1 - 56 / _HEIGHT, remark, fontsize=9, color=MUTED)
