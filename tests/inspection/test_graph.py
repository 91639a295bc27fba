"""The model graph: the traced operations give the graph that was configured."""

from __future__ import annotations

import pytest
from model_shapes import CONTEXT, INNER, SHAPES, VOCABULARY, WIDTH, Shape, abstract_model, config

from segue.inspection import (
    ForwardPass,
    Node,
    build_graph,
    drawing_order,
    fold_repeats,
    summarise_model,
    trace,
)


def trace_shape(shape: Shape) -> ForwardPass:
    return trace(abstract_model(shape), CONTEXT, shape.item_features, shape.sequence_features)


def nodes_of(shape: Shape) -> list[Node]:
    return build_graph(trace_shape(shape))


def edges(nodes: list[Node]) -> list[tuple[str, list[str]]]:
    """The name of each node with those of its sources; an addition is named by its last source."""
    names: list[str] = []
    named_edges = []
    for node in nodes:
        sources = [names[source] for source in node.sources]
        names.append(f"+{sources[-1]}" if node.role == "add" else node.name)
        named_edges.append((names[-1], sources))
    return named_edges


def test_a_pre_norm_model_has_both_residual_connections() -> None:
    nodes, repeats = fold_repeats(nodes_of(SHAPES["plain"]))
    assert edges(nodes) == [
        ("tokens", []),
        ("item_embeddings", ["tokens"]),
        ("position_embeddings", []),
        ("+position_embeddings", ["item_embeddings", "position_embeddings"]),
        ("attention_norm", ["+position_embeddings"]),
        ("attention", ["attention_norm"]),
        ("+attention", ["+position_embeddings", "attention"]),
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
        ("item_embeddings", ["tokens"]),
        ("attention", ["item_embeddings"]),
        ("+attention", ["item_embeddings", "attention"]),
        ("attention_norm", ["+attention"]),
        ("feed_forward", ["attention_norm"]),
        ("+feed_forward", ["attention_norm", "feed_forward"]),
        ("feed_forward_norm", ["+feed_forward"]),
        ("scores", ["feed_forward_norm"]),
    ]


def test_features_are_added_to_the_stream() -> None:
    nodes, _ = fold_repeats(nodes_of(SHAPES["features"]))
    assert [edge for edge in edges(nodes) if edge[0][0] in "ist+"][:9] == [
        ("sequence", []),
        ("tokens", []),
        ("item_embeddings", ["tokens"]),
        ("item_feature_embeddings", ["tokens"]),
        ("+item_feature_embeddings", ["item_embeddings", "item_feature_embeddings"]),
        ("+position_embeddings", ["+item_feature_embeddings", "position_embeddings"]),
        ("sequence_feature_embeddings", ["sequence"]),
        ("+sequence_feature_embeddings", ["+position_embeddings", "sequence_feature_embeddings"]),
        ("+attention", ["+sequence_feature_embeddings", "attention"]),
    ]


def test_the_flatten_head_reads_the_sequence_features_too() -> None:
    nodes, _ = fold_repeats(nodes_of(SHAPES["flatten"]))
    assert edges(nodes)[-2:] == [
        ("head", ["sequence_feature_embeddings", "final_norm"]),
        ("scores", ["head"]),
    ]


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_every_node_except_inputs_and_positions_has_sources(shape: Shape) -> None:
    nodes = nodes_of(shape)
    for number, node in enumerate(nodes):
        assert all(source < number for source in node.sources)
        assert bool(node.sources) == (node.role != "input" and node.name != "position_embeddings")
        assert len(node.sources) == 2 or node.role != "add"
    read = {source for node in nodes for source in node.sources}
    assert read == set(range(len(nodes) - 1))


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_the_nodes_have_all_parameters(shape: Shape) -> None:
    forward_pass = trace_shape(shape)
    total = summarise_model(forward_pass).parameters
    nodes, repeats = fold_repeats(build_graph(forward_pass))
    assert sum(node.parameters for node in build_graph(forward_pass)) == total
    assert sum(node.parameters * repeats.get(node.block, 1) for node in nodes) == total


def test_attributes_of_nodes() -> None:
    nodes = {node.name: node for node in nodes_of(SHAPES["plain"])}
    assert nodes["attention"].kind == "Attention, heads 4"
    assert nodes["feed_forward"].kind == "FeedForward, activation gelu"
    assert nodes["feed_forward"].parameters == 2 * WIDTH * INNER + WIDTH + INNER
    assert nodes["item_embeddings"].kind == f"Table, {VOCABULARY} rows"
    assert nodes["scores"].output == (CONTEXT, VOCABULARY)
    assert nodes["tokens"].output == (CONTEXT,)
    assert nodes["final_norm"].block == ()


def test_the_kind_of_the_flatten_head_has_the_shapes_that_it_joins() -> None:
    nodes = {node.name: node for node in nodes_of(SHAPES["flatten"])}
    # Each of 12 positions has a state of width 32 and sequence features of width 5.
    assert nodes["head"].kind == "FlattenHead, 12 × 37 = 444 → 16, activation relu"
    assert nodes["head"].parameters == 444 * 16 + 16


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("layers", [1, 3, 7])
def test_equal_blocks_are_folded_into_one(layers: int) -> None:
    nodes = nodes_of(Shape(config(layers=layers)))
    folded, repeats = fold_repeats(nodes)
    assert repeats == {("blocks", 0): layers}
    assert edges(folded) == edges(fold_repeats(nodes_of(SHAPES["plain"]))[0])
    assert len(nodes) == len(folded) + 6 * (layers - 1)


def test_blocks_that_differ_are_not_folded() -> None:
    nodes = nodes_of(SHAPES["plain"])
    index = next(n for n, node in enumerate(nodes) if node.block == ("blocks", 1))
    nodes[index] = nodes[index]._replace(parameters=7)
    assert fold_repeats(nodes) == (nodes, {})


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_the_drawing_order_does_not_change_the_graph(shape: Shape) -> None:
    nodes, _ = fold_repeats(nodes_of(shape))
    ordered = drawing_order(nodes)
    before, after = ({name: set(sources) for name, sources in edges(n)} for n in (nodes, ordered))
    assert after == before
    assert all(source < number for number, node in enumerate(ordered) for source in node.sources)


def test_a_side_stream_comes_right_before_it_is_joined() -> None:
    ordered = drawing_order(fold_repeats(nodes_of(SHAPES["flatten"]))[0])
    assert [node.name for node in ordered][-4:] == [
        "sequence",
        "sequence_feature_embeddings",
        "head",
        "scores",
    ]
    assert ordered[0].name == "tokens"
