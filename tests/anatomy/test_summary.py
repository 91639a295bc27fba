"""The table of a model: its sums are right, and XLA counts the same."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from model_shapes import CONTEXT, INNER, SHAPES, SIZES, TABLE, WIDTH, Shape, abstract

from segue.anatomy import ModuleRow, summarise, trace
from segue.config import ModelConfig
from segue.model import Transformer


def rows_of(name: str) -> dict[str, ModuleRow]:
    shape = SHAPES[name]
    summary = summarise(trace(abstract(shape), CONTEXT, shape.features, shape.told))
    return {row.module: row for row in summary.rows}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_every_parameter_is_counted_once(shape: Shape) -> None:
    model = abstract(shape)
    summary = summarise(trace(model, CONTEXT, shape.features, shape.told))
    leaves = jax.tree.leaves(nnx.state(model, nnx.Param))
    assert summary.parameters == sum(leaf.size for leaf in leaves)
    assert sum(len(row.shapes) for row in summary.rows) == len(leaves)
    assert summary.parameters == sum(row.parameters for row in summary.rows)
    assert summary.flops == sum(row.flops for row in summary.rows)
    assert summary.context == CONTEXT
    assert len({row.module for row in summary.rows}) == len(summary.rows)


@pytest.mark.parametrize("name", ["plain", "features", "flatten"])
def test_xla_counts_as_many_flops(name: str) -> None:
    """XLA also counts additions, norms and activations: a few per cent more."""
    shape = SHAPES[name]
    summary = summarise(trace(abstract(shape), CONTEXT, shape.features, shape.told))
    graph, state = nnx.split(Transformer(shape.config, TABLE, SIZES, rngs=nnx.Rngs(0)))
    table = nnx.merge(graph, state).output_table(shape.features)

    def scores(state: nnx.State, tokens: jax.Array, table: jax.Array) -> jax.Array:
        return nnx.merge(graph, state)(tokens, shape.features, shape.told) @ table.T

    tokens = jnp.zeros((1, CONTEXT), jnp.int32)
    found = jax.jit(scores).lower(state, tokens, table).compile().cost_analysis()
    assert summary.flops <= found["flops"] <= 1.15 * summary.flops


def test_flops_of_each_module_by_hand() -> None:
    flops = {name: row.flops for name, row in rows_of("plain").items()}
    for block in ("blocks.0", "blocks.1"):
        assert flops[f"{block}.attention.project_in"] == 2 * CONTEXT * WIDTH * 3 * WIDTH
        # Every pair of positions, once for the weights and once for the mixture.
        assert flops[f"{block}.attention"] == 2 * 2 * CONTEXT * CONTEXT * WIDTH
        assert flops[f"{block}.attention.project_out"] == 2 * CONTEXT * WIDTH * WIDTH
        assert flops[f"{block}.feed_forward.up"] == 2 * CONTEXT * WIDTH * INNER
        assert flops[f"{block}.feed_forward.down"] == 2 * CONTEXT * INNER * WIDTH
    assert flops["scores"] == 2 * CONTEXT * WIDTH * TABLE
    assert flops["item_table"] == flops["position_table"] == flops["final_norm"] == 0


def test_rows_are_in_the_order_of_the_computation() -> None:
    block = ["attention_norm", "attention.project_in", "attention", "attention.project_out"]
    block += ["feed_forward_norm", "feed_forward.up", "feed_forward.down"]
    blocks = [f"blocks.{place}.{name}" for place in range(2) for name in block]
    expected = ["item_table", "position_table", *blocks, "final_norm", "scores"]
    assert list(rows_of("plain")) == expected


def test_shapes_of_parameters_and_of_what_comes_out() -> None:
    rows = rows_of("flatten")
    assert rows["item_table"].shapes == {"item_table": [TABLE, WIDTH]}
    assert rows["item_table"].output == [CONTEXT, WIDTH]
    assert rows["blocks.0.attention.project_in"].shapes == {
        "kernel": [WIDTH, 3 * WIDTH],
        "bias": [3 * WIDTH],
    }
    head = rows["head.dense"]
    assert head.shapes["kernel"] == [CONTEXT * (WIDTH + 5), 16]
    assert (head.kind, head.output) == ("Linear", [16])
    assert rows["sequence_codes"].output == [5]
    # It is multiplied with, but nothing is looked up in it.
    assert rows["free_output"].output is None
    assert rows["free_output"].parameters == TABLE * 16
    assert rows["scores"].output == [1, TABLE]


@pytest.mark.parametrize(("shape", "expected"), [
    ("plain", "Inner product with item_table"),
    ("flatten", "Inner product with free_output"),
    ("features", "Inner product with item_table + item_codes"),
    ("features out", "Inner product with item_table + item_codes"),
])  # fmt: skip
def test_what_scores_are_made_with(shape: str, expected: str) -> None:
    assert rows_of(shape)["scores"].kind == expected


def test_a_summary_is_plain_json() -> None:
    summary = summarise(trace(abstract(SHAPES["plain"]), CONTEXT))
    content = summary.to_json()
    assert set(content) == {"rows", "context", "parameters", "flops"}
    assert content["rows"][0] == {
        "module": "item_table",
        "kind": "Table",
        "output": [CONTEXT, WIDTH],
        "shapes": {"item_table": [TABLE, WIDTH]},
        "parameters": TABLE * WIDTH,
        "flops": 0,
    }


def test_tracing_leaves_the_model_as_it_was() -> None:
    shape = SHAPES["plain"]
    model = Transformer(shape.config, TABLE, rngs=nnx.Rngs(0))
    before = {path: type(module) for path, module in nnx.iter_modules(model)}
    tokens = jnp.ones((1, CONTEXT), jnp.int32)
    expected = model(tokens)
    trace(model, CONTEXT)
    assert {path: type(module) for path, module in nnx.iter_modules(model)} == before
    np.testing.assert_array_equal(model(tokens), expected)


def test_a_model_of_millions_of_items_is_summarised_without_its_weights() -> None:
    huge = ModelConfig(layers=1, width=256, heads=1, context=CONTEXT)
    model = nnx.eval_shape(lambda: Transformer(huge, 50_000_000, rngs=nnx.Rngs(0)))
    summary = summarise(trace(model, CONTEXT))
    assert summary.parameters > 50_000_000 * 256
    assert summary.rows[-1].flops == 2 * CONTEXT * 256 * 50_000_000
