"""Layout of a model diagram: boxes in one column, connections that skip boxes to the right.

All distances are in points. y starts at the top of the column. x of connections is relative to
the middle of the column.
"""

from __future__ import annotations

from typing import NamedTuple

from segue.inspection import Node

BOX_WIDTH, BOX_HEIGHT = 300.0, 42.0
RADIUS = 9.0
"""Radius of the circle of an addition."""
GAP = 22.0
"""Distance between a box and the next."""
LANE = 14.0
"""Distance between two vertical lines to the right of the column."""
FRAME = 13.0
"""Distance between the boxes of a repeated block and the frame around them."""

_BRANCH = 0.36
"""Distance from a box to the branch of a skip connection below it, as a share of ``GAP``."""

Point = tuple[float, float]
BlockPath = tuple[str | int, ...]


class PlacedNode(NamedTuple):
    """A node with the vertical range of its box."""

    node: Node
    top: float
    bottom: float


class Arrow(NamedTuple):
    """A vertical arrow from one box of the diagram to the next one below it."""

    top: float
    bottom: float


class Frame(NamedTuple):
    """A frame around a block that is drawn once and stands for several."""

    top: float
    bottom: float
    lanes_width: float
    repeats: int


class DiagramLayout:
    """Positions of the nodes, arrows, skip connections and frames.

    Attributes:
        placed_nodes: the nodes from top to bottom.
        frames: frames of blocks that stand for more than one.
        width: of the column and the lines to the right of it, without the left edges of
            frames.
        height: of the column.
    """

    def __init__(self, nodes: list[Node], repeats: dict[BlockPath, int]) -> None:
        """Lay out the nodes.

        Args:
            nodes: in drawing order.
            repeats: how many blocks the block with a path stands for.
        """
        self._nodes = nodes
        framed = {block: count for block, count in repeats.items() if count > 1}
        self.placed_nodes = _stack(nodes, framed)
        self._lanes = _assign_lanes(nodes)
        self.frames = [self._frame(block, count) for block, count in framed.items()]
        n_lanes = 1 + max(self._lanes.values(), default=-1)
        self.width = BOX_WIDTH + LANE * n_lanes + (FRAME if framed else 0)
        self.height = self.placed_nodes[-1].bottom

    @property
    def arrows(self) -> list[Arrow]:
        """Connections from a node to the next one."""
        pairs = zip(self.placed_nodes, self.placed_nodes[1:], strict=False)
        return [
            Arrow(above.bottom, below.top)
            for number, (above, below) in enumerate(pairs)
            if number in below.node.sources
        ]

    @property
    def skip_connections(self) -> list[list[Point]]:
        """Connections that skip other nodes, each as the corners of a line.

        A line starts below its node and branches off the arrow to the next node, if there is
        one.
        """
        lines = []
        for (source, target), lane in self._lanes.items():
            x, end = BOX_WIDTH / 2 + LANE * (lane + 1), self._end(target)
            top = self.placed_nodes[source].bottom
            turn = top + _BRANCH * GAP
            lines.append([(0.0, top), (0.0, turn), (x, turn), (x, end[1]), end])
        return lines

    def _end(self, target: int) -> Point:
        placed = self.placed_nodes[target]
        x = RADIUS if placed.node.role == "add" else BOX_WIDTH / 2
        return x, (placed.top + placed.bottom) / 2

    def _frame(self, block: BlockPath, repeats: int) -> Frame:
        members = [number for number, node in enumerate(self._nodes) if node.block == block]
        lanes = [lane for (_, target), lane in self._lanes.items() if target in members]
        return Frame(
            self.placed_nodes[members[0]].top - FRAME,
            self.placed_nodes[members[-1]].bottom + FRAME,
            LANE * (1 + max(lanes, default=-1)),
            repeats,
        )


def _stack(nodes: list[Node], framed: dict[BlockPath, int]) -> list[PlacedNode]:
    """Stack the nodes from top to bottom, with extra space for frames."""
    placed: list[PlacedNode] = []
    top = 0.0
    for number, node in enumerate(nodes):
        previous_block = nodes[number - 1].block if number else ()
        if node.block != previous_block:
            top += sum(FRAME for block in (node.block, previous_block) if block in framed)
        bottom = top + (2 * RADIUS if node.role == "add" else BOX_HEIGHT)
        placed.append(PlacedNode(node, top, bottom))
        top = bottom + GAP
    return placed


def _assign_lanes(nodes: list[Node]) -> dict[tuple[int, int], int]:
    """A lane for each connection that skips a node: the innermost that is free."""
    connections = [
        (source, target)
        for target, node in enumerate(nodes)
        for source in node.sources
        if target > source + 1
    ]
    lanes: dict[tuple[int, int], int] = {}
    for source, target in sorted(connections, key=lambda ends: ends[1] - ends[0]):
        occupied = {lane for (start, end), lane in lanes.items() if start < target and source < end}
        free = (lane for lane in range(len(connections)) if lane not in occupied)
        lanes[source, target] = next(free)
    return lanes
