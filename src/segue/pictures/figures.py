"""Matplotlib figures in one style, written to PNG, SVG or PDF files with reproducible bytes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import msgspec
from matplotlib import style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from segue.errors import RequestError
from segue.pictures.fonts import FIRST_FAMILY
from segue.storage.atomic import replace_file

FORMATS = ("png", "svg", "pdf")

POINTS_PER_INCH = 72
PIXELS_PER_INCH = 144
"""Two pixels per point, for displays with a high resolution."""

INK, MUTED, RULE, PAPER = "#1d2733", "#66717e", "#d9dee4", "#ffffff"
"""Colours of text, secondary text, thin lines and the background."""
ACCENT, SECOND = "#1f6fb2", "#c8553d"
"""Colours of the first and the second curve."""

_STYLE: dict[str, Any] = {
    "font.family": [FIRST_FAMILY],
    "text.color": INK,
    "text.parse_math": False,  # a title may contain dollar signs
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 8.5,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "figure.facecolor": PAPER,
    "figure.dpi": PIXELS_PER_INCH,
    "savefig.dpi": PIXELS_PER_INCH,
    "svg.hashsalt": "segue",  # reproducible ids inside the file
    "pdf.fonttype": 42,  # text that can be searched and copied
}
_NO_DATE = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


class Picture(msgspec.Struct, frozen=True):
    """A picture that was written.

    Attributes:
        file: its path.
        notes: what is missing from the picture or drawn differently, one sentence each.
    """

    file: str
    notes: list[str]


def check_format(file: str | os.PathLike[str]) -> Path:
    """Check that the file name has a supported suffix, and return it as a path.

    Raises:
        RequestError: the suffix is not .png, .svg or .pdf.
    """
    path = Path(file)
    if _format(path) not in FORMATS:
        problem = f"ends in {path.suffix!r}" if path.suffix else "has no suffix"
        message = f"the picture file {path} {problem}, expected .png, .svg or .pdf"
        raise RequestError(message, "the suffix selects the format")
    return path


@contextmanager
def new_figure(file: Path, families: Sequence[str] = ()) -> Iterator[Figure]:
    """Yield a new figure, and write it atomically to a file on exit.

    The user's matplotlib settings do not affect the figure, and are not changed. The same figure
    gives the same bytes.

    Args:
        file: where to write; the suffix selects the format.
        families: fallback fonts for characters that the first font lacks.

    Raises:
        StorageError: no space, no permission or no such folder; an existing file is unchanged.
    """
    settings = {**_STYLE, "font.family": [FIRST_FAMILY, *families]}
    with style.context(["default", settings], after_reset=True):
        figure = Figure()
        FigureCanvasAgg(figure)
        yield figure
        content = BytesIO()
        figure.savefig(content, format=_format(file), metadata=_NO_DATE[_format(file)])
    replace_file(file, lambda partial: partial.write_bytes(content.getvalue()))


def _format(file: Path) -> str:
    return file.suffix.lower().removeprefix(".")
