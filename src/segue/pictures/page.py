"""A page with text lines and boxes, in points from the upper left corner."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from segue.pictures.figures import INK, POINTS_PER_INCH
from segue.pictures.fonts import TextFonts, TextWidth, text_width, wrap

LINE_HEIGHT = 1.3
"""Distance between two lines, as a multiple of the font size."""

_ROUNDING = 4.0


class Page:
    """A page that covers a figure.

    Attributes:
        axes: the axes that cover the figure, with points as units and y pointing down.
    """

    def __init__(self, figure: Figure, width: float, height: float, fonts: TextFonts) -> None:
        """Set the size of the figure and cover it with one set of axes.

        Args:
            figure: the figure to cover.
            width: in points.
            height: in points.
            fonts: fonts for all text on the page.
        """
        figure.set_size_inches(width / POINTS_PER_INCH, height / POINTS_PER_INCH)
        self.axes = figure.add_axes((0, 0, 1, 1))
        self.axes.set(xlim=(0, width), ylim=(height, 0))
        self.axes.set_axis_off()
        self._fonts = fonts
        self._text_widths: dict[tuple[float, str], TextWidth] = {}

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
        """Write one line of text below ``top``.

        Args:
            x: left end, or right end with ``align="right"``.
            top: upper end.
            text: the text.
            size: font size in points.
            colour: matplotlib colour.
            weight: ``normal`` or ``bold``.
            align: ``left`` or ``right``.
        """
        drawable = self._fonts.drawable(text)
        style = {"fontsize": size, "color": colour, "fontweight": weight}
        self.axes.text(x, top + size, drawable, ha=align, va="baseline", **style)

    def box(
        self,
        corner: tuple[float, float],
        size: tuple[float, float],
        *,
        ground: str,
        edge: str,
        dashed: bool = False,
    ) -> FancyBboxPatch:
        """Draw a box with rounded corners.

        Args:
            corner: upper left corner.
            size: width and height.
            ground: colour of the background.
            edge: colour of the edge.
            dashed: whether the edge is dashed.
        """
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
        max_lines: int,
        colour: str = INK,
        weight: str = "normal",
    ) -> float:
        """Write a text in lines of at most ``width`` points; return the y below the last line."""
        for line in self.wrap(text, width, max_lines, size, weight):
            self.text(x, top, line, size, colour=colour, weight=weight)
            top += LINE_HEIGHT * size
        return top

    def wrap(
        self, text: str, width: float, max_lines: int, size: float, weight: str = "normal"
    ) -> list[str]:
        """Break a text into at most ``max_lines`` lines of at most ``width`` points.

        The last line ends in an ellipsis if the text is longer."""
        if (size, weight) not in self._text_widths:
            self._text_widths[size, weight] = text_width(size, weight, self._fonts.families)
        return wrap(self._fonts.drawable(text), width, max_lines, self._text_widths[size, weight])
