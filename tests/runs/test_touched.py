"""Steps that touch a few rows: the same as dense ones there, and nothing anywhere else."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st

from segue.axes import N_SPECIALS, PAD
from segue.batches import Batch
from segue.bits import is_halved, widened
from segue.config import Config, LossConfig, ModelConfig, OptimizerConfig, TrainingConfig
from segue.dataset import Dataset
from segue.errors import ConfigError
from segue.features import Bag, FeatureSizes, ItemFeatures
from segue.model import Transformer
from segue.optimizers import by_rows_of, optimizer
from segue.recommender import Recommender
from segue.trainer import train
from segue.trainer.loss import Known
from segue.trainer.step import State, StepFunction, compile_step
from segue.trainer.touched import TouchedRows

TABLE_SIZE = N_SPECIALS + 40
MODEL = ModelConfig(layers=1, heads=1, width=8, feed_forward=16, context=4, dropout=0.2)
LOSS = LossConfig(kind="sampled-softmax", negatives=6)
BATCH = Batch(
    tokens=np.array([[1, 4, 5, 6], [1, 7, PAD, PAD]], np.int32),
    labels=np.array([[4, 5, 6, 9], [7, 8, PAD, PAD]], np.int32),
)
UNTOUCHED_AT_LEAST = TABLE_SIZE - 8 - 2 * 6


N_CODES = 9
LAST_CODE = 8


@functools.cache
def plain_step(item_table: str) -> tuple[StepFunction, State]:
    """A step of the plain model, compiled once, and a state to begin from: not to be changed."""
    return made(MODEL, LOSS, Known(), item_table)


def fresh_plain(item_table: str) -> tuple[StepFunction, State]:
    """The same with a state of one's own, which steps may take over."""
    step, state = plain_step(item_table)
    return step, jax.tree.map(jnp.array, state)


def made(
    model: ModelConfig, loss: LossConfig, known: Known, item_table: str, **options: str
) -> tuple[StepFunction, State]:
    sizes = FeatureSizes(item_codes=N_CODES, sequence_codes=N_CODES)
    graph, params = nnx.split(Transformer(model, TABLE_SIZE, sizes, rngs=nnx.Rngs(0)))
    config = OptimizerConfig(
        learning_rate=1e-2, item_table=item_table, weight_decay=0.1, clip_norm=0.7, **options
    )
    tx = optimizer(config, 100)
    by_rows = frozenset(by_rows_of(config))
    step = compile_step(graph, tx, loss, jax.random.key(3), known, by_rows=by_rows)
    return step, State(params, tx.init(params))


def features() -> ItemFeatures:
    random = np.random.default_rng(1)
    codes = random.integers(0, 5, (TABLE_SIZE, 2)).astype(np.int32)
    weights = random.random((TABLE_SIZE, 2)).astype(np.float32)
    return ItemFeatures(
        Bag(codes, weights),
        np.zeros((TABLE_SIZE, 0), np.float32),
        np.ones(TABLE_SIZE, np.float32),
    )


SHARES = np.full(TABLE_SIZE, -np.log(TABLE_SIZE), np.float32)
VARIANTS = {
    "in-batch": (MODEL, LOSS.model_copy(update={"in_batch": True}), Known(log_shares=SHARES)),
    "untied, a draw a position": (
        MODEL.model_copy(update={"tied_output": False}),
        LOSS.model_copy(update={"shared_negatives": False}),
        Known(),
    ),
    "features": (MODEL.model_copy(update={"item_features": ("genres",)}), LOSS, Known(features())),
}


def table(state: State) -> np.ndarray:
    return np.asarray(state.params["item_table"][...])


@pytest.mark.parametrize("name", VARIANTS)
def test_a_first_step_is_that_of_dense_adamw_and_leaves_the_rest_alone(name: str) -> None:
    model, loss, known = VARIANTS[name]
    dense, dense_state = made(model, loss, known, "dense")
    sparse, sparse_state = made(model, loss, known, "sparse")
    before = table(sparse_state).copy()
    dense_state, dense_report = dense(dense_state, BATCH, jnp.int32(1))
    sparse_state, sparse_report = sparse(sparse_state, BATCH, jnp.int32(1))
    np.testing.assert_allclose(sparse_report.loss, dense_report.loss, rtol=1e-5)
    np.testing.assert_allclose(sparse_report.gradient_norm, dense_report.gradient_norm, rtol=1e-4)
    moved = (table(sparse_state) != before).any(axis=1)
    assert moved[[4, 5, 6, 7]].all()
    assert (~moved).sum() > 0
    # Adam's first step is a sign, which a gradient of nearly nothing may take either way.
    far = np.abs(table(sparse_state) - table(dense_state))[moved] > 1e-4
    assert far.mean() < 0.05
    for ours, theirs in zip(
        jax.tree.leaves(sparse_state.params["blocks"]),
        jax.tree.leaves(dense_state.params["blocks"]),
        strict=True,
    ):
        assert (np.abs(ours - theirs) > 1e-4).mean() < 0.05


@pytest.mark.parametrize("item_table", ["sparse", "sparse-lean"])
def test_rows_that_no_step_touched_are_the_same_bits(item_table: str) -> None:
    step, state = fresh_plain(item_table)
    before = table(state).copy()
    for number in (1, 2):
        state, _ = step(state, BATCH, jnp.int32(number))
    touches = next(
        np.asarray(leaf)
        for leaf in jax.tree.leaves(state.moments)
        if leaf.shape == (TABLE_SIZE,) and leaf.dtype == np.int32
    )
    is_same = (table(state) == before).all(axis=1)
    np.testing.assert_array_equal(is_same[touches == 0], True)
    assert (touches == 0).sum() >= UNTOUCHED_AT_LEAST
    assert (touches[[4, 5, 6, 7, 8, 9]] == 2).all()


def test_a_step_that_is_not_finite_writes_no_row() -> None:
    step, state = fresh_plain("sparse")
    held = state.params["item_table"]
    state.params["item_table"] = held.replace(held[...].at[5].set(jnp.inf))
    before = jax.tree.map(np.array, state)
    after, report = step(state, BATCH, jnp.int32(1))
    assert not bool(report.is_finite)
    jax.tree.map(np.testing.assert_array_equal, before, jax.tree.map(np.array, after))


@jax.jit
def apart_and_back(whole: dict, tokens: list[jax.Array], is_good: jax.Array):
    """Where tokens are in the small tables, these, and the whole with 100 put on all of them."""
    touched = TouchedRows(whole)
    found = touched.touch("items", tokens)
    small = touched.take(whole)
    changed = {"item_table": small["item_table"] + 100, "other": whole["other"] + 1}
    return found, small, touched.put(whole, changed, is_good, jax.random.key(0))


# Of two lengths only: every other one would be compiled for itself.
ROWS = st.sampled_from([1, 9]).flatmap(
    lambda n: st.lists(st.integers(0, 11), min_size=n, max_size=n)
)


@given(st.lists(ROWS, min_size=2, max_size=2))
def test_taken_apart_and_put_back_nothing_has_changed(parts: list[list[int]]) -> None:
    tokens = [np.array(part, np.int32) for part in parts]
    whole = {
        "item_table": np.arange(24, dtype=np.float32).reshape(12, 2),
        "other": np.ones(3, np.float32),
    }
    for is_good in (True, False):
        found, small, back = jax.tree.map(np.asarray, apart_and_back(whole, tokens, is_good))
        for inside, each in zip(found, tokens, strict=True):
            np.testing.assert_array_equal(small["item_table"][inside], whole["item_table"][each])
            np.testing.assert_array_equal(inside == PAD, each == PAD)
        expected = whole["item_table"].copy()
        expected[sorted({PAD, *(i for part in parts for i in part)})] += 100 * is_good
        np.testing.assert_array_equal(back["item_table"], expected)
        np.testing.assert_array_equal(back["other"], whole["other"] + is_good)


def test_codes_go_by_rows_too() -> None:
    model = MODEL.model_copy(update={"item_features": ("genres",), "sequence_features": ("name",)})
    told = Bag(np.array([[3, 5], [5, 0]], np.int32), np.array([[0.5, 0.5], [1, 0]], np.float32))
    known = Known(features())
    assert known.features is not None
    # An item of no batch, the last one, with a code that no other item has.
    known.features.bag.codes[-1] = LAST_CODE
    batch = BATCH._replace(told=told)
    dense, dense_state = made(model, LOSS, known, "dense")
    sparse, sparse_state = made(model, LOSS, known, "sparse", code_tables="sparse")
    before = jax.tree.map(np.array, sparse_state.params)
    dense_state, dense_report = dense(dense_state, batch, jnp.int32(1))
    sparse_state, sparse_report = sparse(sparse_state, batch, jnp.int32(1))
    np.testing.assert_allclose(sparse_report.gradient_norm, dense_report.gradient_norm, rtol=1e-4)
    for name, touched in (("item_codes", range(5)), ("sequence_codes", (3, 5))):
        old, ours, theirs = (
            np.asarray(params[name]["code_table"][...])
            for params in (before, sparse_state.params, dense_state.params)
        )
        moved = (ours != old).any(axis=1)
        # Row 0 stands for nothing: it has no gradient, but decays like all that is touched.
        assert set(np.flatnonzero(moved)) - {0} == set(touched) - {0}
        assert LAST_CODE not in np.flatnonzero(moved)
        assert (np.abs(ours - theirs)[sorted(touched)] > 1e-4).mean() < 0.05


def test_fewer_bits_are_stored_and_none_of_those_that_no_step_touched_changes() -> None:
    model = MODEL.model_copy(update={"table_precision": "bfloat16"})
    step, state = made(model, LOSS, Known(), "sparse", moment_precision="bfloat16")
    whole, exact = fresh_plain("sparse")
    stored = {leaf.dtype for leaf in jax.tree.leaves(state.moments) if leaf.ndim == 2}
    assert is_halved(state.params["item_table"][...])
    assert stored >= {np.dtype(np.uint16)}
    before = table(state).copy()
    state, _ = step(state, BATCH, jnp.int32(1))
    exact, _ = whole(exact, BATCH, jnp.int32(1))
    is_same = (table(state) == before).all(axis=1)
    assert is_same.sum() >= UNTOUCHED_AT_LEAST
    assert not is_same[[4, 5, 6, 7, 8, 9]].any()
    # Within two roundings of the update that float32 makes: one at the start, one after it.
    ours = np.asarray(widened(state.params["item_table"][...]))
    far = np.abs(ours - table(exact)) > 3 * 2**-8 * np.abs(table(exact))
    assert far.mean() < 0.05


def test_an_exact_softmax_touches_every_row() -> None:
    with pytest.raises(ValueError, match="touches all"):
        Config(optimizer=OptimizerConfig(item_table="sparse"))


def test_a_run_learns_its_world_by_rows(cycles: Dataset, tmp_path: Path) -> None:
    config = Config(
        model=ModelConfig(
            layers=1, heads=2, width=16, feed_forward=32, context=8, table_precision="bfloat16"
        ),
        loss=LossConfig(kind="sampled-softmax", negatives=8, in_batch=True),
        optimizer=OptimizerConfig(learning_rate=1e-2, item_table="sparse-lean"),
        training=TrainingConfig(batch_size=16, epochs=40, max_steps=90, validate_every=90),
    )
    run = train(cycles, tmp_path / "run", config=config)
    answer = Recommender.load(run).recommend(["i3", "i4", "i5"], k=1)
    assert answer.items[0].item_id == "i6"
    assert json.loads((run / "card.json").read_text())["validation"]["best"] > 0.9


@pytest.mark.parametrize(
    ("tables", "complaint"),
    [
        ({"model": {"table_precision": "bfloat16"}}, "takes updates by rows"),
        ({"optimizer": {"moment_precision": "bfloat16"}}, "of the moments of 'sparse' tables"),
        (
            {"model": {"item_features": ["artist"]}, "optimizer": {"code_tables": "sparse"}},
            "takes the features of touched items",
        ),
    ],
)
def test_what_takes_updates_by_rows_says_so(tables: dict, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Config.model_validate(tables)


def test_what_is_wrong_is_said_before_anything_is_written(cycles: Dataset, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="item_table 'sparse' updates the rows"):
        train(cycles, tmp_path / "run", overrides={"optimizer.item_table": "sparse"})
    assert not (tmp_path / "run").exists()
