"""``draw_model``: the model graph as boxes with shapes and parameters, connected by arrows."""

from __future__ import annotations

import os
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.patches import Circle, FancyArrowPatch
from matplotlib.path import Path as Line

from segue.inspection import (
    Node,
    build_graph,
    drawing_order,
    fold_repeats,
    summarise_model,
    trace_encoder,
)
from segue.pictures.diagram_layout import BOX_WIDTH, FRAME, RADIUS, DiagramLayout, PlacedNode, Point
from segue.pictures.figures import INK, MUTED, RULE, Picture, check_format, new_figure
from segue.pictures.fonts import TextFonts
from segue.pictures.page import Page
from segue.recommender import Recommender

_MARGIN, _HEADING, _REPEATS = 30.0, 58.0, 30.0
_PADDING = 10.0
"""Distances in points."""
_NAME, _SMALL = 9.5, 8.0
"""Font sizes in points."""
_ROUNDING = 5.0

_COLOURS = {
    "input": "#ffffff",
    "table": "#e4eef7",
    "module": "#fbf0e4",
    "norm": "#f3f4f6",
    "scores": "#e6f2ea",
}
_INPUT_KINDS = {"tokens": "item indices", "sequence": "sequence features"}


def draw_model(model: Recommender, out: str | os.PathLike[str]) -> Picture:
    """Draw the graph of a model, from the tokens of a sequence to the scores of all items.

    Equal parts, such as the transformer blocks, are drawn once.

    Args:
        model: the model.
        out: the .png, .svg or .pdf file to write.

    Raises:
        RequestError: the suffix of the file is not supported.
        StorageError: the file cannot be written.
    """
    file = check_format(out)
    forward_pass = trace_encoder(model.encoder)
    nodes, repeats = fold_repeats(build_graph(forward_pass))
    layout = DiagramLayout(drawing_order(nodes), repeats)
    summary = summarise_model(forward_pass)
    fonts = TextFonts([model.name])
    left, top = _MARGIN + (_REPEATS + FRAME if layout.frames else 0), _MARGIN + _HEADING
    width = left + layout.width + _MARGIN
    with new_figure(file, fonts.families) as figure:
        page = Page(figure, width, top + layout.height + _MARGIN, fonts)
        page.text(_MARGIN, _MARGIN, model.name, 14.0, weight="bold")
        size = f"{summary.parameters:,} parameters, {_format_flops(summary.flops)}"
        remark = f"{size} for a sequence of {summary.context}"
        page.text(_MARGIN, _MARGIN + 20, remark, 9.0, colour=MUTED)
        _draw_layout(page, layout, left, top)
    return Picture(str(file), fonts.notes())


def _draw_layout(page: Page, layout: DiagramLayout, left: float, top: float) -> None:
    """Draw frames first, then connections, then boxes on top."""
    middle = left + BOX_WIDTH / 2
    for frame in layout.frames:
        corner = (left - FRAME, top + frame.top)
        size = (BOX_WIDTH + frame.lanes_width + 2 * FRAME, frame.bottom - frame.top)
        page.box(corner, size, ground="none", edge=MUTED, dashed=True)
        y = top + (frame.top + frame.bottom) / 2 - 8
        page.text(left - FRAME - 8, y, f"× {frame.repeats}", 12.0, weight="bold", align="right")
    for arrow in layout.arrows:
        _draw_arrow(page.axes, Line([(middle, top + arrow.top), (middle, top + arrow.bottom)]))
    for corners in layout.skip_connections:
        points = [(middle + x, top + y) for x, y in corners]
        _draw_arrow(page.axes, _rounded_line(points))
    for placed in layout.placed_nodes:
        _draw_node(page, placed, left, top)


def _draw_node(page: Page, placed: PlacedNode, left: float, top: float) -> None:
    node, y = placed.node, top + placed.top
    if node.role == "add":
        _draw_addition(page.axes, (left + BOX_WIDTH / 2, y + RADIUS))
        return
    height = placed.bottom - placed.top
    edge = MUTED if node.role == "input" else RULE
    page.box((left, y), (BOX_WIDTH, height), ground=_colour(node), edge=edge)
    x, right = left + _PADDING, left + BOX_WIDTH - _PADDING
    page.text(x, y + 8, node.name.replace("_", " "), _NAME, weight="bold")
    kind = _INPUT_KINDS.get(node.name, node.kind) if node.role == "input" else node.kind
    page.lines(x, y + 23, kind, _SMALL, width=BOX_WIDTH - 2 * _PADDING, max_lines=1, colour=MUTED)
    shape = " × ".join(f"{length:,}" for length in node.output)
    page.text(right, y + 8, shape, _NAME, align="right")
    if node.parameters:
        size = f"{node.parameters:,} parameters"
        page.text(right, y + 23, size, _SMALL, colour=MUTED, align="right")


def _draw_addition(axes: Axes, centre: Point) -> None:
    """Draw a plus sign in a circle."""
    axes.add_patch(Circle(centre, RADIUS, facecolor="#ffffff", edgecolor=INK, zorder=3))
    for across, down in ((0.5, 0), (0, 0.5)):
        xs = [centre[0] - across * RADIUS, centre[0] + across * RADIUS]
        ys = [centre[1] - down * RADIUS, centre[1] + down * RADIUS]
        axes.plot(xs, ys, color=INK, linewidth=1.2, zorder=4)


def _draw_arrow(axes: Axes, line: Line) -> None:
    style = {"color": MUTED, "linewidth": 1.1, "arrowstyle": "-|>,head_length=4,head_width=2"}
    axes.add_patch(FancyArrowPatch(path=line, mutation_scale=1, zorder=2, **style))


def _rounded_line(points: Sequence[Point]) -> Line:
    """A line through the points, with rounded corners."""
    vertices, codes = [points[0]], [Line.MOVETO]
    for previous, corner, following in zip(points, points[1:], points[2:], strict=False):
        vertices += [_towards(corner, previous), corner, _towards(corner, following)]
        codes += [Line.LINETO, Line.CURVE3, Line.CURVE3]
    return Line([*vertices, points[-1]], [*codes, Line.LINETO])


def _towards(corner: Point, point: Point) -> Point:
    """The position that is ``_ROUNDING`` away from a corner, in the direction of a point."""
    across, down = point[0] - corner[0], point[1] - corner[1]
    share = min(_ROUNDING / max(abs(across) + abs(down), 1e-9), 1)
    return corner[0] + share * across, corner[1] + share * down


def _colour(node: Node) -> str:
    return _COLOURS["norm" if node.kind.endswith("Norm") else node.role]


def _format_flops(flops: int) -> str:
    for unit, size in (("GFLOPs", 1e9), ("MFLOPs", 1e6)):
        if flops >= size:
            return f"{flops / size:.3g} {unit}"
    return f"{flops:,} FLOPs"
