"""The wires of a diagram: lines with an arrow head, corners rounded."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch
from matplotlib.path import Path

from segue.pictures.canvas import MUTED

_ROUNDING = 5.0


def draw_arrow(axes: Axes, x: float, begin: float, end: float) -> None:
    """Draw a wire straight down."""
    _add(axes, Path([(x, begin), (x, end)]))


def draw_detour(axes: Axes, corners: Sequence[tuple[float, float]]) -> None:
    """Draw a wire along right angles, from the first point to the last."""
    points, codes = [corners[0]], [Path.MOVETO]
    for before, corner, after in zip(corners, corners[1:], corners[2:], strict=False):
        points += [_towards(corner, before), corner, _towards(corner, after)]
        codes += [Path.LINETO, Path.CURVE3, Path.CURVE3]
    _add(axes, Path([*points, corners[-1]], [*codes, Path.LINETO]))


def _towards(corner: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    """The point a rounding away from a corner, on the way to another one."""
    across, down = other[0] - corner[0], other[1] - corner[1]
    share = min(_ROUNDING / max(abs(across) + abs(down), 1e-9), 1)
    return corner[0] + share * across, corner[1] + share * down


def _add(axes: Axes, path: Path) -> None:
    style = {"color": MUTED, "linewidth": 1.1, "arrowstyle": "-|>,head_length=4,head_width=2"}
    axes.add_patch(FancyArrowPatch(path=path, mutation_scale=1, zorder=2, **style))
