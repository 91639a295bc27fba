"""Where the boxes and wires of a diagram go: one column, with detours to the right of it.

All distances are in points, from the upper left corner of the column; those of detours
across are from its middle.
"""

from __future__ import annotations

from typing import NamedTuple

from segue.anatomy import Node

BOX_WIDTH, BOX_HEIGHT = 300.0, 42.0
RADIUS = 9.0
"""Of the circle that stands for an addition."""
GAP = 22.0
"""Between one box and the next, where the arrows are."""
LANE = 14.0
"""Between two wires that lead past boxes."""
FRAME = 13.0
"""Between the boxes of a repeated part and the frame around them."""

_BRANCH = 0.36
"""Where in the gap a wire branches off, as a share of it."""

Point = tuple[float, float]


class Place(NamedTuple):
    """A node between two heights."""

    node: Node
    top: float
    bottom: float


class Arrow(NamedTuple):
    """A wire straight down the middle of the column."""

    begin: float
    end: float


class Frame(NamedTuple):
    """What is around a part that is drawn once and stands for several."""

    top: float
    bottom: float
    lanes_width: float
    repeats: int


class Layout:
    """The places of nodes, in order.

    Attributes:
        width: of the column and what is beside it, frames on the left left out.
        height: of the whole.
    """

    def __init__(self, nodes: list[Node], repeats: dict[tuple[str | int, ...], int]) -> None:
        self._nodes = nodes
        framed = {part: count for part, count in repeats.items() if count > 1}
        self.places = _stacked(nodes, framed)
        self._lanes = _lanes(nodes)
        self.frames = [self._frame(part, count) for part, count in framed.items()]
        n_lanes = 1 + max(self._lanes.values(), default=-1)
        self.width = BOX_WIDTH + LANE * n_lanes + (FRAME if framed else 0)
        self.height = self.places[-1].bottom

    @property
    def arrows(self) -> list[Arrow]:
        """Wires from a node to the next one."""
        pairs = zip(self.places, self.places[1:], strict=False)
        return [
            Arrow(above.bottom, below.top)
            for number, (above, below) in enumerate(pairs)
            if number in below.node.sources
        ]

    @property
    def detours(self) -> list[list[Point]]:
        """Wires that lead past other nodes, as the corners of a line.

        They leave below their node, off the arrow to the next one where there is such.
        """
        found = []
        for (source, target), lane in self._lanes.items():
            x, end = BOX_WIDTH / 2 + LANE * (lane + 1), self._end(target)
            begin = self.places[source].bottom
            turn = begin + _BRANCH * GAP
            found.append([(0.0, begin), (0.0, turn), (x, turn), (x, end[1]), end])
        return found

    def _end(self, target: int) -> Point:
        place = self.places[target]
        across = RADIUS if place.node.role == "add" else BOX_WIDTH / 2
        return across, (place.top + place.bottom) / 2

    def _frame(self, part: tuple[str | int, ...], repeats: int) -> Frame:
        inside = [number for number, node in enumerate(self._nodes) if node.part == part]
        lanes = [lane for (_, target), lane in self._lanes.items() if target in inside]
        return Frame(
            self.places[inside[0]].top - FRAME,
            self.places[inside[-1]].bottom + FRAME,
            LANE * (1 + max(lanes, default=-1)),
            repeats,
        )


def _stacked(nodes: list[Node], framed: dict[tuple[str | int, ...], int]) -> list[Place]:
    """The nodes one below the other, with room for frames between."""
    places: list[Place] = []
    top = 0.0
    for number, node in enumerate(nodes):
        before = nodes[number - 1].part if number else ()
        if node.part != before:
            top += sum(FRAME for part in (node.part, before) if part in framed)
        bottom = top + (2 * RADIUS if node.role == "add" else BOX_HEIGHT)
        places.append(Place(node, top, bottom))
        top = bottom + GAP
    return places


def _lanes(nodes: list[Node]) -> dict[tuple[int, int], int]:
    """A lane for each wire that leads past a node: the innermost that is free on its way."""
    wires = [
        (source, target)
        for target, node in enumerate(nodes)
        for source in node.sources
        if target > source + 1
    ]
    lanes: dict[tuple[int, int], int] = {}
    for source, target in sorted(wires, key=lambda wire: wire[1] - wire[0]):
        taken = {lane for (begin, end), lane in lanes.items() if begin < target and source < end}
        lanes[source, target] = next(lane for lane in range(len(wires)) if lane not in taken)
    return lanes
