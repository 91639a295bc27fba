"""The picture of a model: boxes in the order of the data flow, with shapes and parameters."""

from __future__ import annotations

from pathlib import Path

from matplotlib.patches import Circle

from segue.anatomy import Node, flow_of, folded, in_drawing_order, summarise
from segue.pictures.canvas import INK, MUTED, RULE, Drawn, check_format, figure_for, page
from segue.pictures.diagram_layout import BOX_WIDTH, FRAME, RADIUS, Layout, Place
from segue.pictures.fonts import Lettering
from segue.pictures.pen import Pen
from segue.pictures.wires import draw_arrow, draw_detour
from segue.recommender import Recommender

_MARGIN, _HEADING, _REPEATS = 30.0, 58.0, 30.0
_PADDING = 10.0
_NAME, _SMALL = 9.5, 8.0

_COLOURS = {
    "input": "#ffffff",
    "table": "#e4eef7",
    "module": "#fbf0e4",
    "norm": "#f3f4f6",
    "scores": "#e6f2ea",
}
_INPUT_KINDS = {"tokens": "item indices", "sequence": "what is known of the sequence"}


def draw_model(model: Recommender, file: str | Path) -> Drawn:
    """Draw what a model computes, from the tokens of a sequence to the scores of all items.

    Parts that are alike, such as the blocks, are drawn once.

    Args:
        file: where the picture goes; .png, .svg or .pdf.

    Raises:
        RequestError: another ending of the file.
        StorageError: the file cannot be written.
    """
    file = check_format(file)
    forward = model.network.traced()
    nodes, repeats = folded(flow_of(forward))
    layout = Layout(in_drawing_order(nodes), repeats)
    summary = summarise(forward)
    lettering = Lettering([model.name])
    left, top = _MARGIN + (_REPEATS + FRAME if layout.frames else 0), _MARGIN + _HEADING
    width = left + layout.width + _MARGIN
    with figure_for(file, lettering.families) as figure:
        pen = Pen(page(figure, width, top + layout.height + _MARGIN), lettering)
        pen.text(_MARGIN, _MARGIN, model.name, 14.0, weight="bold")
        size = f"{summary.parameters:,} parameters, {_flops(summary.flops)}"
        remark = f"{size} for a sequence of {summary.context}"
        pen.text(_MARGIN, _MARGIN + 20, remark, 9.0, colour=MUTED)
        _draw(pen, layout, left, top)
    return Drawn(str(file), lettering.notes())


def _draw(pen: Pen, layout: Layout, left: float, top: float) -> None:
    """Frames below wires, wires below boxes."""
    middle = left + BOX_WIDTH / 2
    for frame in layout.frames:
        corner = (left - FRAME, top + frame.top)
        size = (BOX_WIDTH + frame.lanes_width + 2 * FRAME, frame.bottom - frame.top)
        pen.box(corner, size, ground="none", edge=MUTED, dashed=True)
        y = top + (frame.top + frame.bottom) / 2 - 8
        pen.text(left - FRAME - 8, y, f"× {frame.repeats}", 12.0, weight="bold", align="right")
    for wire in layout.arrows:
        draw_arrow(pen.axes, middle, top + wire.begin, top + wire.end)
    for wire in layout.detours:
        points = [(middle + x, top + y) for x, y in wire]
        draw_detour(pen.axes, points)
    for place in layout.places:
        _draw_node(pen, place, left, top)


def _draw_node(pen: Pen, place: Place, left: float, top: float) -> None:
    node, y = place.node, top + place.top
    if node.role == "add":
        centre = (left + BOX_WIDTH / 2, y + RADIUS)
        pen.axes.add_patch(Circle(centre, RADIUS, facecolor="#ffffff", edgecolor=INK, zorder=3))
        for across, down in ((0.5, 0), (0, 0.5)):
            xs = [centre[0] - across * RADIUS, centre[0] + across * RADIUS]
            ys = [centre[1] - down * RADIUS, centre[1] + down * RADIUS]
            pen.axes.plot(xs, ys, color=INK, linewidth=1.2, zorder=4)
        return
    height = place.bottom - place.top
    edge = MUTED if node.role == "input" else RULE
    pen.box((left, y), (BOX_WIDTH, height), ground=_colour(node), edge=edge)
    x, right = left + _PADDING, left + BOX_WIDTH - _PADDING
    pen.text(x, y + 8, node.name.replace("_", " "), _NAME, weight="bold")
    kind = _INPUT_KINDS.get(node.name, node.kind) if node.role == "input" else node.kind
    pen.lines(x, y + 23, kind, _SMALL, width=BOX_WIDTH - 2 * _PADDING, most=1, colour=MUTED)
    shown = " × ".join(f"{length:,}" for length in node.output)
    pen.text(right, y + 8, shown, _NAME, align="right")
    if node.parameters:
        size = f"{node.parameters:,} parameters"
        pen.text(right, y + 23, size, _SMALL, colour=MUTED, align="right")


def _colour(node: Node) -> str:
    return _COLOURS["norm" if node.kind.endswith("Norm") else node.role]


def _flops(flops: int) -> str:
    for unit, size in (("GFLOPs", 1e9), ("MFLOPs", 1e6)):
        if flops >= size:
            return f"{flops / size:.3g} {unit}"
    return f"{flops:,} FLOPs"
