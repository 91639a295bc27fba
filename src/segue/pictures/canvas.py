"""What pictures are drawn on: a figure in one style, and how it gets into a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import msgspec
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from segue.errors import RequestError
from segue.files import replace_file
from segue.pictures.fonts import FIRST_FAMILY

FORMATS = ("png", "svg", "pdf")

POINTS_PER_INCH = 72
PIXELS_PER_INCH = 144
"""Two pixels a point: sharp where a page shows it at its own size."""

INK, MUTED, RULE, PAPER = "#1d2733", "#66717e", "#d9dee4", "#ffffff"
ACCENT, SECOND = "#1f6fb2", "#c8553d"

_STYLE: dict[str, Any] = {
    "font.family": [FIRST_FAMILY],
    "text.color": INK,
    "text.parse_math": False,  # a title may hold dollar signs
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 8.5,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "figure.facecolor": PAPER,
    "figure.dpi": PIXELS_PER_INCH,
    "savefig.dpi": PIXELS_PER_INCH,
    "svg.hashsalt": "segue",  # names inside the file are the same every time
    "pdf.fonttype": 42,  # text that can be searched and copied
}
_NO_DATE = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


class Drawn(msgspec.Struct, frozen=True):
    """A picture that was written.

    Attributes:
        file: where it is.
        notes: what the viewer should know of what is not on it, a sentence each.
    """

    file: str
    notes: list[str]


def check_format(file: str | Path) -> Path:
    """The file as a path, if a picture can be written under its name.

    Raises:
        RequestError: its name ends otherwise than in .png, .svg or .pdf.
    """
    file = Path(file)
    if _format(file) not in FORMATS:
        got = f"ends in {file.suffix!r}" if file.suffix else "has no ending"
        message = f"the picture's file {file} {got}, expected .png, .svg or .pdf"
        raise RequestError(message, "the ending decides the format")
    return file


@contextmanager
def figure_for(file: Path, families: Sequence[str] = ()) -> Iterator[Figure]:
    """A figure of its own, written whole to a file at the end.

    The user's own settings of matplotlib do not reach it, and it reaches none of theirs.
    The same figure gives the same bytes.

    Args:
        families: fonts to fall back on for characters that the first one lacks.

    Raises:
        StorageError: no space, no permission or no such folder; an older file is still there.
    """
    chosen = {**_STYLE, "font.family": [FIRST_FAMILY, *families]}
    with style.context(["default", chosen], after_reset=True):
        figure = Figure()
        FigureCanvasAgg(figure)
        yield figure
        content = BytesIO()
        figure.savefig(content, format=_format(file), metadata=_NO_DATE[_format(file)])
    replace_file(file, lambda partial: partial.write_bytes(content.getvalue()))


def page(figure: Figure, width: float, height: float) -> Axes:
    """One area over the whole figure, in points from the upper left corner."""
    figure.set_size_inches(width / POINTS_PER_INCH, height / POINTS_PER_INCH)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    return axes


def _format(file: Path) -> str:
    return file.suffix.lower().removeprefix(".")
