"""The graph of a model: what is read off the operations is what was configured."""

from __future__ import annotations

import pytest
from model_shapes import CONTEXT, INNER, SHAPES, TABLE, WIDTH, Shape, abstract, config

from segue.anatomy import Node, flow_of, folded, in_drawing_order, summarise, trace


def nodes_of(shape: Shape) -> list[Node]:
    return flow_of(trace(abstract(shape), CONTEXT, shape.features, shape.told))


def edges(nodes: list[Node]) -> list[tuple[str, list[str]]]:
    """Each node with what it reads; an addition is called after its last source."""
    names: list[str] = []
    found = []
    for node in nodes:
        sources = [names[source] for source in node.sources]
        names.append(f"+{sources[-1]}" if node.role == "add" else node.name)
        found.append((names[-1], sources))
    return found


def test_a_pre_norm_model_has_both_residual_connections() -> None:
    nodes, repeats = folded(nodes_of(SHAPES["plain"]))
    assert edges(nodes) == [
        ("tokens", []),
        ("item_table", ["tokens"]),
        ("position_table", []),
        ("+position_table", ["item_table", "position_table"]),
        ("attention_norm", ["+position_table"]),
        ("attention", ["attention_norm"]),
        ("+attention", ["+position_table", "attention"]),
        ("feed_forward_norm", ["+attention"]),
        ("feed_forward", ["feed_forward_norm"]),
        ("+feed_forward", ["+attention", "feed_forward"]),
        ("final_norm", ["+feed_forward"]),
        ("scores", ["final_norm"]),
    ]
    assert repeats == {("blocks", 0): 2}


def test_a_post_norm_model_normalises_after_each_addition() -> None:
    assert edges(nodes_of(SHAPES["post-norm"])) == [
        ("tokens", []),
        ("item_table", ["tokens"]),
        ("attention", ["item_table"]),
        ("+attention", ["item_table", "attention"]),
        ("attention_norm", ["+attention"]),
        ("feed_forward", ["attention_norm"]),
        ("+feed_forward", ["attention_norm", "feed_forward"]),
        ("feed_forward_norm", ["+feed_forward"]),
        ("scores", ["feed_forward_norm"]),
    ]


def test_features_are_added_to_the_stream() -> None:
    nodes, _ = folded(nodes_of(SHAPES["features"]))
    assert [edge for edge in edges(nodes) if edge[0][0] in "ist+"][:9] == [
        ("sequence", []),
        ("tokens", []),
        ("item_table", ["tokens"]),
        ("item_codes", ["tokens"]),
        ("+item_codes", ["item_table", "item_codes"]),
        ("+position_table", ["+item_codes", "position_table"]),
        ("sequence_codes", ["sequence"]),
        ("+sequence_codes", ["+position_table", "sequence_codes"]),
        ("+attention", ["+sequence_codes", "attention"]),
    ]


def test_the_flattening_head_reads_the_sequence_too() -> None:
    nodes, _ = folded(nodes_of(SHAPES["flatten"]))
    assert edges(nodes)[-2:] == [("head", ["sequence_codes", "final_norm"]), ("scores", ["head"])]


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_every_node_but_inputs_and_positions_reads_something(shape: Shape) -> None:
    nodes = nodes_of(shape)
    for number, node in enumerate(nodes):
        assert all(source < number for source in node.sources)
        assert bool(node.sources) == (node.role != "input" and node.name != "position_table")
        assert len(node.sources) == 2 or node.role != "add"
    read = {source for node in nodes for source in node.sources}
    assert read == set(range(len(nodes) - 1))


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_nodes_hold_all_parameters(shape: Shape) -> None:
    forward = trace(abstract(shape), CONTEXT, shape.features, shape.told)
    total = summarise(forward).parameters
    nodes, repeats = folded(flow_of(forward))
    assert sum(node.parameters for node in flow_of(forward)) == total
    assert sum(node.parameters * repeats.get(node.part, 1) for node in nodes) == total


def test_what_a_node_says() -> None:
    nodes = {node.name: node for node in nodes_of(SHAPES["plain"])}
    assert nodes["attention"].kind == "Attention, heads 4"
    assert nodes["feed_forward"].kind == "FeedForward, activation gelu"
    assert nodes["feed_forward"].parameters == 2 * WIDTH * INNER + WIDTH + INNER
    assert nodes["item_table"].kind == f"Table, {TABLE} rows"
    assert nodes["scores"].output == (CONTEXT, TABLE)
    assert nodes["tokens"].output == (CONTEXT,)
    assert nodes["final_norm"].part == ()


def test_the_flattening_head_says_what_it_joins() -> None:
    nodes = {node.name: node for node in nodes_of(SHAPES["flatten"])}
    # Each of 12 positions has a state of 32 numbers and 5 of what is told of the sequence.
    assert nodes["head"].kind == "FlattenHead, 12 × 37 = 444 → 16, activation relu"
    assert nodes["head"].parameters == 444 * 16 + 16


@pytest.mark.parametrize("layers", [1, 3, 7])
def test_alike_blocks_are_folded_into_one(layers: int) -> None:
    nodes = nodes_of(Shape(config(layers=layers)))
    drawn, repeats = folded(nodes)
    assert repeats == {("blocks", 0): layers}
    assert edges(drawn) == edges(folded(nodes_of(SHAPES["plain"]))[0])
    assert len(nodes) == len(drawn) + 6 * (layers - 1)


def test_parts_that_differ_are_not_folded() -> None:
    nodes = nodes_of(SHAPES["plain"])
    place = next(n for n, node in enumerate(nodes) if node.part == ("blocks", 1))
    nodes[place] = nodes[place]._replace(parameters=7)
    assert folded(nodes) == (nodes, {})


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_drawing_order_keeps_the_graph(shape: Shape) -> None:
    nodes, _ = folded(nodes_of(shape))
    drawn = in_drawing_order(nodes)
    before, after = ({name: set(sources) for name, sources in edges(n)} for n in (nodes, drawn))
    assert after == before
    assert all(source < number for number, node in enumerate(drawn) for source in node.sources)


def test_a_side_stream_comes_right_before_it_is_joined() -> None:
    drawn = in_drawing_order(folded(nodes_of(SHAPES["flatten"]))[0])
    assert [node.name for node in drawn][-4:] == ["sequence", "sequence_codes", "head", "scores"]
    assert drawn[0].name == "tokens"
