"""The picture of a model: boxes and wires are where they should be, for every shape."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.anatomy import Node
from segue.errors import RequestError, StorageError
from segue.pictures import draw_model
from segue.pictures.diagram_layout import BOX_HEIGHT, BOX_WIDTH, GAP, LANE, Layout
from segue.recommender import Recommender

PART = ("blocks", 0)
CHAIN = [
    Node("tokens", "input"),
    Node("table", "table", sources=(0,)),
    Node("inner", "module", part=PART, sources=(1,)),
    Node("add", "add", part=PART, sources=(1, 2)),
    Node("scores", "scores", sources=(3,)),
]


@st.composite
def graphs(draw: st.DrawFn) -> list[Node]:
    """Nodes that read any of those before them."""
    n = draw(st.integers(1, 8))
    nodes = [Node("first", "input")]
    for number in range(1, n):
        sources = draw(st.sets(st.integers(0, number - 1), min_size=1, max_size=3))
        role = "add" if len(sources) > 1 else "module"
        nodes.append(Node(f"n{number}", role, sources=tuple(sorted(sources))))
    return nodes


@given(nodes=graphs())
def test_every_edge_is_drawn_and_boxes_are_apart(nodes: list[Node]) -> None:
    layout = Layout(nodes, {})
    n_edges = sum(len(node.sources) for node in nodes)
    assert len(layout.arrows) + len(layout.detours) == n_edges
    for above, below in zip(layout.places, layout.places[1:], strict=False):
        assert below.top - above.bottom == GAP
    assert layout.height == layout.places[-1].bottom


@given(nodes=graphs())
def test_wires_beside_each_other_are_apart(nodes: list[Node]) -> None:
    """No two of them share a piece of the same lane."""
    ways = []
    for corners in Layout(nodes, {}).detours:
        xs = {x for x, _ in corners}
        lane, begin, end = max(xs), corners[2][1], corners[3][1]
        assert lane > BOX_WIDTH / 2
        ways.append((lane, min(begin, end), max(begin, end)))
    for number, (lane, begin, end) in enumerate(ways):
        for other_lane, other_begin, other_end in ways[:number]:
            assert lane != other_lane or end <= other_begin or other_end <= begin


@given(nodes=graphs())
def test_wires_go_around_boxes(nodes: list[Node]) -> None:
    layout = Layout(nodes, {})
    for corners in layout.detours:
        for (x, y), (next_x, next_y) in pairwise(corners):
            assert x == next_x or y == next_y
        # Across the column only in the gap below the source, and at the target itself.
        turn = corners[1][1]
        assert all(not place.top < turn < place.bottom for place in layout.places)


def test_a_residual_connection_by_hand() -> None:
    layout = Layout(CHAIN, {PART: 1})
    assert layout.frames == []
    assert len(layout.arrows) == 4
    (detour,) = layout.detours
    table, add = layout.places[1], layout.places[3]
    assert detour[0] == (0, table.bottom)
    assert detour[-1][1] == (add.top + add.bottom) / 2
    assert max(x for x, _ in detour) == BOX_WIDTH / 2 + LANE
    assert layout.places[0].bottom == BOX_HEIGHT


def test_a_frame_holds_its_part_and_the_wires_into_it() -> None:
    layout = Layout(CHAIN, {PART: 6})
    (frame,) = layout.frames
    assert frame.repeats == 6
    assert layout.places[1].bottom < frame.top < layout.places[2].top
    assert layout.places[3].bottom < frame.bottom < layout.places[4].top
    assert frame.lanes_width == LANE
    plain = Layout(CHAIN, {PART: 1})
    assert layout.width > plain.width
    assert layout.height > plain.height


@pytest.mark.parametrize("ending", [".png", ".svg"])
def test_the_picture_of_a_run_is_the_same_every_time(
    model: Recommender, tmp_path: Path, ending: str
) -> None:
    files = [tmp_path / f"{name}{ending}" for name in ("first", "second")]
    for file in files:
        drawn = draw_model(model, file)
        assert (drawn.file, drawn.notes) == (str(file), [])
    assert files[0].read_bytes() == files[1].read_bytes()
    assert files[0].stat().st_size < 300_000


def test_where_the_picture_cannot_go(model: Recommender, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="expected"):
        draw_model(model, tmp_path / "model.dot")
    with pytest.raises(StorageError, match="cannot write"):
        draw_model(model, tmp_path / "nowhere" / "model.svg")
