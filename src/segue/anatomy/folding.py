"""The graph of a model made fit for drawing: alike parts folded into one, side streams late."""

from __future__ import annotations

from segue.anatomy.flow import Node
from segue.anatomy.operations import Path


def folded(nodes: list[Node]) -> tuple[list[Node], dict[Path, int]]:
    """The graph with one part of a list in the place of all, where they are alike.

    Returns:
        The nodes, numbered anew, and how many parts each that is left stands for.
    """
    parts: dict[Path, dict[Path, list[int]]] = {}
    for number, node in enumerate(nodes):
        if node.part:
            parts.setdefault(node.part[:-1], {}).setdefault(node.part, []).append(number)
    stands_for, repeats = {number: number for number in range(len(nodes))}, {}
    for alike in parts.values():
        first, *others = alike.values()
        if all(_signature(nodes, other) == _signature(nodes, first) for other in others):
            repeats[nodes[first[0]].part] = len(alike)
            for other in others:
                stands_for.update(zip(other, first, strict=True))
    kept = [number for number in range(len(nodes)) if stands_for[number] == number]
    return _renumbered(nodes, kept, stands_for), repeats


def in_drawing_order(nodes: list[Node]) -> list[Node]:
    """The nodes that the last one depends on, each side stream right before it is joined.

    Sources still come first. At every junction the longer stream is followed first.
    """
    lengths: list[int] = []
    for node in nodes:
        lengths.append(1 + max((lengths[source] for source in node.sources), default=0))
    order: dict[int, None] = {}

    def visit(number: int) -> None:
        for source in sorted(nodes[number].sources, key=lambda source: -lengths[source]):
            if source not in order:
                visit(source)
        order[number] = None

    visit(len(nodes) - 1)
    return _renumbered(nodes, list(order), {number: number for number in order})


def _renumbered(nodes: list[Node], kept: list[int], stands_for: dict[int, int]) -> list[Node]:
    places = {number: place for place, number in enumerate(kept)}
    drawn = []
    for number in kept:
        sources = {places[stands_for[source]] for source in nodes[number].sources}
        drawn.append(nodes[number]._replace(sources=tuple(sorted(sources))))
    return drawn


def _signature(nodes: list[Node], part: list[int]) -> list[Node]:
    return [nodes[number]._replace(part=(), sources=()) for number in part]
