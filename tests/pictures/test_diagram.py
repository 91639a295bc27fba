"""The model diagram: positions of boxes, arrows, skip connections and frames for any graph."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.errors import RequestError, StorageError
from segue.inspection import Node
from segue.pictures import draw_model
from segue.pictures.diagram_layout import BOX_HEIGHT, BOX_WIDTH, GAP, LANE, DiagramLayout
from segue.recommender import Recommender

BLOCK = ("blocks", 0)
CHAIN = [
    Node("tokens", "input"),
    Node("table", "table", sources=(0,)),
    Node("inner", "module", block=BLOCK, sources=(1,)),
    Node("add", "add", block=BLOCK, sources=(1, 2)),
    Node("scores", "scores", sources=(3,)),
]


@st.composite
def graphs(draw: st.DrawFn) -> list[Node]:
    """Nodes with any earlier nodes as sources."""
    n = draw(st.integers(1, 8))
    nodes = [Node("first", "input")]
    for number in range(1, n):
        sources = draw(st.sets(st.integers(0, number - 1), min_size=1, max_size=3))
        role = "add" if len(sources) > 1 else "module"
        nodes.append(Node(f"n{number}", role, sources=tuple(sorted(sources))))
    return nodes


@given(nodes=graphs())
def test_every_edge_is_drawn_and_boxes_do_not_overlap(nodes: list[Node]) -> None:
    layout = DiagramLayout(nodes, {})
    n_edges = sum(len(node.sources) for node in nodes)
    assert len(layout.arrows) + len(layout.skip_connections) == n_edges
    for above, below in pairwise(layout.placed_nodes):
        assert below.top - above.bottom == GAP
    assert layout.height == layout.placed_nodes[-1].bottom


@given(nodes=graphs())
def test_skip_connections_do_not_overlap(nodes: list[Node]) -> None:
    """No two of them share a section of a lane."""
    sections = []
    for corners in DiagramLayout(nodes, {}).skip_connections:
        xs = {x for x, _ in corners}
        lane, y1, y2 = max(xs), corners[2][1], corners[3][1]
        assert lane > BOX_WIDTH / 2
        sections.append((lane, min(y1, y2), max(y1, y2)))
    for number, (lane, top, bottom) in enumerate(sections):
        for earlier_lane, earlier_top, earlier_bottom in sections[:number]:
            assert lane != earlier_lane or bottom <= earlier_top or earlier_bottom <= top


@given(nodes=graphs())
def test_skip_connections_go_around_boxes(nodes: list[Node]) -> None:
    layout = DiagramLayout(nodes, {})
    for corners in layout.skip_connections:
        for (x, y), (next_x, next_y) in pairwise(corners):
            assert x == next_x or y == next_y
        # They cross the column only in the gap below the source, and at the target.
        turn = corners[1][1]
        assert all(not placed.top < turn < placed.bottom for placed in layout.placed_nodes)


def test_a_residual_connection_by_hand() -> None:
    layout = DiagramLayout(CHAIN, {BLOCK: 1})
    assert layout.frames == []
    assert len(layout.arrows) == 4
    (connection,) = layout.skip_connections
    table, add = layout.placed_nodes[1], layout.placed_nodes[3]
    assert connection[0] == (0, table.bottom)
    assert connection[-1][1] == (add.top + add.bottom) / 2
    assert max(x for x, _ in connection) == BOX_WIDTH / 2 + LANE
    assert layout.placed_nodes[0].bottom == BOX_HEIGHT


def test_a_frame_encloses_its_block_and_the_connections_into_it() -> None:
    layout = DiagramLayout(CHAIN, {BLOCK: 6})
    (frame,) = layout.frames
    assert frame.repeats == 6
    assert layout.placed_nodes[1].bottom < frame.top < layout.placed_nodes[2].top
    assert layout.placed_nodes[3].bottom < frame.bottom < layout.placed_nodes[4].top
    assert frame.lanes_width == LANE
    without_frame = DiagramLayout(CHAIN, {BLOCK: 1})
    assert layout.width > without_frame.width
    assert layout.height > without_frame.height


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_the_diagram_of_a_run_has_the_same_bytes_every_time(
    model: Recommender, tmp_path: Path, suffix: str
) -> None:
    files = [tmp_path / f"{name}{suffix}" for name in ("first", "second")]
    for file in files:
        picture = draw_model(model, file)
        assert (picture.file, picture.notes) == (str(file), [])
    assert files[0].read_bytes() == files[1].read_bytes()
    assert files[0].stat().st_size < 300_000


def test_a_diagram_that_cannot_be_written_is_an_error(model: Recommender, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"expected \.png, \.svg or \.pdf"):
        draw_model(model, tmp_path / "model.dot")
    with pytest.raises(StorageError, match="cannot write"):
        draw_model(model, tmp_path / "nowhere" / "model.svg")
