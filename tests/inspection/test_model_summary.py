"""The model summary: correct totals, and the same FLOPs as XLA counts."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from model_shapes import CONTEXT, INNER, SHAPES, SIZES, VOCABULARY, WIDTH, Shape, abstract_model

from segue.config import ModelConfig
from segue.inspection import ModelSummary, ModuleRow, summarise_model, trace
from segue.model import Transformer


def summary_of(shape: Shape) -> ModelSummary:
    model = abstract_model(shape)
    return summarise_model(trace(model, CONTEXT, shape.item_features, shape.sequence_features))


def rows_of(name: str) -> dict[str, ModuleRow]:
    return {row.module: row for row in summary_of(SHAPES[name]).rows}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_every_parameter_is_counted_once(shape: Shape) -> None:
    summary = summary_of(shape)
    leaves = jax.tree.leaves(nnx.state(abstract_model(shape), nnx.Param))
    assert summary.parameters == sum(leaf.size for leaf in leaves)
    assert sum(len(row.shapes) for row in summary.rows) == len(leaves)
    assert summary.parameters == sum(row.parameters for row in summary.rows)
    assert summary.flops == sum(row.flops for row in summary.rows)
    assert summary.context == CONTEXT
    assert len({row.module for row in summary.rows}) == len(summary.rows)


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("name", ["plain", "features", "flatten"])
def test_xla_counts_the_same_flops(name: str) -> None:
    """XLA also counts additions, norms and activations: a few per cent more."""
    shape = SHAPES[name]
    summary = summary_of(shape)
    graph, state = nnx.split(Transformer(shape.config, VOCABULARY, SIZES, rngs=nnx.Rngs(0)))
    table = nnx.merge(graph, state).output_embeddings(shape.item_features)

    def scores(state: nnx.State, tokens: jax.Array, table: jax.Array) -> jax.Array:
        model = nnx.merge(graph, state)
        return model(tokens, shape.item_features, shape.sequence_features) @ table.T

    tokens = jnp.zeros((1, CONTEXT), jnp.int32)
    analysis = jax.jit(scores).lower(state, tokens, table).compile().cost_analysis()
    assert summary.flops <= analysis["flops"] <= 1.15 * summary.flops


def test_flops_of_each_module_by_hand() -> None:
    flops = {name: row.flops for name, row in rows_of("plain").items()}
    for block in ("blocks.0", "blocks.1"):
        assert flops[f"{block}.attention.project_in"] == 2 * CONTEXT * WIDTH * 3 * WIDTH
        # Every pair of positions, once for the weights and once for the weighted sum.
        assert flops[f"{block}.attention"] == 2 * 2 * CONTEXT * CONTEXT * WIDTH
        assert flops[f"{block}.attention.project_out"] == 2 * CONTEXT * WIDTH * WIDTH
        assert flops[f"{block}.feed_forward.up"] == 2 * CONTEXT * WIDTH * INNER
        assert flops[f"{block}.feed_forward.down"] == 2 * CONTEXT * INNER * WIDTH
    assert flops["scores"] == 2 * CONTEXT * WIDTH * VOCABULARY
    assert flops["item_embeddings"] == flops["position_embeddings"] == flops["final_norm"] == 0


def test_rows_are_in_the_order_of_the_computation() -> None:
    block = ["attention_norm", "attention.project_in", "attention", "attention.project_out"]
    block += ["feed_forward_norm", "feed_forward.up", "feed_forward.down"]
    blocks = [f"blocks.{number}.{name}" for number in range(2) for name in block]
    expected = ["item_embeddings", "position_embeddings", *blocks, "final_norm", "scores"]
    assert list(rows_of("plain")) == expected


def test_shapes_of_parameters_and_outputs() -> None:
    rows = rows_of("flatten")
    assert rows["item_embeddings"].shapes == {"item_embeddings": [VOCABULARY, WIDTH]}
    assert rows["item_embeddings"].output == [CONTEXT, WIDTH]
    assert rows["blocks.0.attention.project_in"].shapes == {
        "kernel": [WIDTH, 3 * WIDTH],
        "bias": [3 * WIDTH],
    }
    head = rows["head.dense"]
    assert head.shapes["kernel"] == [CONTEXT * (WIDTH + 5), 16]
    assert (head.kind, head.output) == ("Linear", [16])
    assert rows["sequence_feature_embeddings"].output == [5]
    # A factor of the scores, but nothing is looked up in it.
    assert rows["untied_output_embeddings"].output is None
    assert rows["untied_output_embeddings"].parameters == VOCABULARY * 16
    assert rows["scores"].output == [1, VOCABULARY]


@pytest.mark.parametrize(("shape", "expected"), [
    ("plain", "Inner product with item_embeddings"),
    ("flatten", "Inner product with untied_output_embeddings"),
    ("features", "Inner product with item_embeddings + item_feature_embeddings"),
    ("output features", "Inner product with item_embeddings + item_feature_embeddings"),
])  # fmt: skip
def test_the_kind_of_the_scores_names_the_output_embeddings(shape: str, expected: str) -> None:
    assert rows_of(shape)["scores"].kind == expected


def test_json_of_a_summary() -> None:
    content = summary_of(SHAPES["plain"]).to_dict()
    assert set(content) == {"rows", "context", "parameters", "flops"}
    assert content["rows"][0] == {
        "module": "item_embeddings",
        "kind": "Table",
        "output": [CONTEXT, WIDTH],
        "shapes": {"item_embeddings": [VOCABULARY, WIDTH]},
        "parameters": VOCABULARY * WIDTH,
        "flops": 0,
    }


@pytest.mark.slow
def test_tracing_does_not_change_the_model() -> None:
    shape = SHAPES["plain"]
    model = Transformer(shape.config, VOCABULARY, rngs=nnx.Rngs(0))
    before = {path: type(module) for path, module in nnx.iter_modules(model)}
    tokens = jnp.ones((1, CONTEXT), jnp.int32)
    expected = model(tokens)
    trace(model, CONTEXT)
    assert {path: type(module) for path, module in nnx.iter_modules(model)} == before
    np.testing.assert_array_equal(model(tokens), expected)


def test_a_model_of_millions_of_items_is_summarised_without_its_weights() -> None:
    config = ModelConfig(layers=1, width=256, heads=1, context=CONTEXT)
    model = nnx.eval_shape(lambda: Transformer(config, 50_000_000, rngs=nnx.Rngs(0)))
    summary = summarise_model(trace(model, CONTEXT))
    assert summary.parameters > 50_000_000 * 256
    assert summary.rows[-1].flops == 2 * CONTEXT * 256 * 50_000_000
