"""Writes lines of text, and draws boxes, on a page whose unit is the point."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

from segue.pictures.canvas import INK
from segue.pictures.fonts import Lettering, Measure, measure, wrapped

LEADING = 1.3
"""Distance of two lines over the size of their letters."""

_ROUNDING = 4.0


class Pen:
    """Writes and draws on a page.

    Attributes:
        axes: the page.
    """

    def __init__(self, axes: Axes, lettering: Lettering) -> None:
        self.axes = axes
        self._lettering = lettering
        self._measures: dict[tuple[float, str], Measure] = {}

    def text(
        self,
        x: float,
        top: float,
        text: str,
        size: float,
        *,
        colour: str = INK,
        weight: str = "normal",
        align: str = "left",
    ) -> None:
        """Write one line below ``top``."""
        shown = self._lettering.drawable(text)
        style = {"fontsize": size, "color": colour, "fontweight": weight}
        self.axes.text(x, top + size, shown, ha=align, va="baseline", **style)

    def box(
        self,
        corner: tuple[float, float],
        size: tuple[float, float],
        *,
        ground: str,
        edge: str,
        dashed: bool = False,
    ) -> FancyBboxPatch:
        """Draw a box with round corners; ``corner`` is the upper left one."""
        box = FancyBboxPatch(
            corner,
            *size,
            boxstyle=f"round,pad=0,rounding_size={_ROUNDING}",
            facecolor=ground,
            edgecolor=edge,
            linewidth=0.8,
            linestyle=(0, (4, 3)) if dashed else "-",
        )
        self.axes.add_patch(box)
        return box

    def lines(
        self,
        x: float,
        top: float,
        text: str,
        size: float,
        *,
        width: float,
        most: int,
        colour: str = INK,
        weight: str = "normal",
    ) -> float:
        """Write a text in at most ``most`` lines of a width; returns where they end."""
        for line in self.wrapped(text, width, most, size, weight):
            self.text(x, top, line, size, colour=colour, weight=weight)
            top += LEADING * size
        return top

    def wrapped(
        self, text: str, width: float, most: int, size: float, weight: str = "normal"
    ) -> list[str]:
        """The lines that a text is broken into."""
        if (size, weight) not in self._measures:
            self._measures[size, weight] = measure(size, weight, self._lettering.families)
        measured = self._measures[size, weight]
        return wrapped(self._lettering.drawable(text), width, most, measured)
