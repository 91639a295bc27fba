"""Sparse steps: like dense steps on the rows a batch uses, and no change to any other row."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st

from segue.batches import Batch, Bucket
from segue.bfloat16 import is_bfloat16, to_float32
from segue.config import Config, LossConfig, ModelConfig, OptimizerConfig, TrainingConfig
from segue.dataset import Dataset
from segue.errors import ConfigError
from segue.features import FeatureIds, FeatureSizes, ItemFeatures
from segue.model import Transformer
from segue.optimizers import optimizer, sparse_update_modes
from segue.recommender import Recommender
from segue.tokens import N_SPECIALS, PAD
from segue.trainer import train
from segue.trainer.inputs import StepConstants
from segue.trainer.sparse_updates import SparseRows
from segue.trainer.step import StepReport, jitted_step
from segue.trainer.train_state import TrainState

VOCABULARY_SIZE = N_SPECIALS + 40
MODEL = ModelConfig(layers=1, heads=1, width=8, feed_forward=16, context=4, dropout=0.2)
LOSS = LossConfig(kind="sampled-softmax", negatives=6)
BUCKET = Bucket(
    tokens=np.array([[1, 4, 5, 6], [1, 7, PAD, PAD]], np.int32),
    labels=np.array([[4, 5, 6, 9], [7, 8, PAD, PAD]], np.int32),
)
BATCH = (BUCKET,)
MIN_UNUSED_ROWS = VOCABULARY_SIZE - 8 - 2 * 6


N_FEATURE_IDS = 9
LAST_ID = 8


Step = Callable[[TrainState, Batch, jax.Array], tuple[TrainState, StepReport]]
"""A step with its constants: from state, batch and number to the next state and the report."""


@functools.cache
def plain_step(embedding_updates: str) -> tuple[Step, TrainState]:
    """A step of the plain model, compiled once, and its initial state; do not donate the state."""
    return new_step(MODEL, LOSS, StepConstants(), embedding_updates)


def plain_step_and_copy(embedding_updates: str) -> tuple[Step, TrainState]:
    """The same step with a copy of the initial state, which may be donated."""
    step, state = plain_step(embedding_updates)
    return step, jax.tree.map(jnp.array, state)


def new_step(
    model: ModelConfig,
    loss: LossConfig,
    constants: StepConstants,
    embedding_updates: str,
    **options: str,
) -> tuple[Step, TrainState]:
    sizes = FeatureSizes(n_item_feature_ids=N_FEATURE_IDS, n_sequence_feature_ids=N_FEATURE_IDS)
    graph, params = nnx.split(Transformer(model, VOCABULARY_SIZE, sizes, rngs=nnx.Rngs(0)))
    config = OptimizerConfig(
        learning_rate=1e-2,
        embedding_updates=embedding_updates,
        weight_decay=0.1,
        clip_norm=0.7,
        **options,
    )
    tx = optimizer(config, 100)
    sparse_tables = frozenset(sparse_update_modes(config))
    step = jitted_step(graph, tx, loss, jax.random.key(3), sparse_tables=sparse_tables)
    return (
        lambda state, batch, number: step(state, constants, batch, number),
        TrainState(params, tx.init(params)),
    )


def features() -> ItemFeatures:
    random = np.random.default_rng(1)
    ids = random.integers(0, 5, (VOCABULARY_SIZE, 2)).astype(np.int32)
    weights = random.random((VOCABULARY_SIZE, 2)).astype(np.float32)
    return ItemFeatures(
        FeatureIds(ids, weights),
        np.zeros((VOCABULARY_SIZE, 0), np.float32),
        np.ones(VOCABULARY_SIZE, np.float32),
    )


LOG_SHARES = np.full(VOCABULARY_SIZE, -np.log(VOCABULARY_SIZE), np.float32)
VARIANTS = {
    "in-batch": (
        MODEL,
        LOSS.model_copy(update={"in_batch": True}),
        StepConstants(log_shares=LOG_SHARES),
    ),
    "untied, negatives per position": (
        MODEL.model_copy(update={"tied_output": False}),
        LOSS.model_copy(update={"shared_negatives": False}),
        StepConstants(),
    ),
    "features": (
        MODEL.model_copy(update={"item_features": ("genres",)}),
        LOSS,
        StepConstants(features()),
    ),
}


def item_embeddings(state: TrainState) -> np.ndarray:
    return np.asarray(state.params["item_embeddings"][...])


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_a_first_sparse_step_equals_a_dense_one_and_leaves_other_rows_unchanged(name: str) -> None:
    model, loss, constants = VARIANTS[name]
    dense, dense_state = new_step(model, loss, constants, "dense")
    sparse, sparse_state = new_step(model, loss, constants, "sparse")
    before = item_embeddings(sparse_state).copy()
    dense_state, dense_report = dense(dense_state, BATCH, jnp.int32(1))
    sparse_state, sparse_report = sparse(sparse_state, BATCH, jnp.int32(1))
    np.testing.assert_allclose(sparse_report.loss, dense_report.loss, rtol=1e-5)
    np.testing.assert_allclose(sparse_report.gradient_norm, dense_report.gradient_norm, rtol=1e-4)
    is_changed = (item_embeddings(sparse_state) != before).any(axis=1)
    assert is_changed[[4, 5, 6, 7]].all()
    assert (~is_changed).sum() > 0
    # Adam's first step is the sign of the gradient, which rounding may flip if it is nearly zero.
    differs = (
        np.abs(item_embeddings(sparse_state) - item_embeddings(dense_state))[is_changed] > 1e-4
    )
    assert differs.mean() < 0.05
    for array, expected in zip(
        jax.tree.leaves(sparse_state.params["blocks"]),
        jax.tree.leaves(dense_state.params["blocks"]),
        strict=True,
    ):
        assert (np.abs(array - expected) > 1e-4).mean() < 0.05


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("embedding_updates", ["sparse", "sparse-rowwise"])
def test_unused_rows_keep_the_same_bits(embedding_updates: str) -> None:
    step, state = plain_step_and_copy(embedding_updates)
    before = item_embeddings(state).copy()
    for number in (1, 2):
        state, _ = step(state, BATCH, jnp.int32(number))
    update_counts = next(
        np.asarray(leaf)
        for leaf in jax.tree.leaves(state.optimizer_state)
        if leaf.shape == (VOCABULARY_SIZE,) and leaf.dtype == np.int32
    )
    is_same = (item_embeddings(state) == before).all(axis=1)
    np.testing.assert_array_equal(is_same[update_counts == 0], True)
    assert (update_counts == 0).sum() >= MIN_UNUSED_ROWS
    assert (update_counts[[4, 5, 6, 7, 8, 9]] == 2).all()


def test_a_step_that_is_not_finite_writes_no_row() -> None:
    step, state = plain_step_and_copy("sparse")
    embeddings = state.params["item_embeddings"]
    state.params["item_embeddings"] = embeddings.replace(embeddings[...].at[5].set(jnp.inf))
    before = jax.tree.map(np.array, state)
    after, report = step(state, BATCH, jnp.int32(1))
    assert not bool(report.is_finite)
    jax.tree.map(np.testing.assert_array_equal, before, jax.tree.map(np.array, after))


@jax.jit
def gather_and_scatter(params: dict, tokens: list[jax.Array], is_finite: jax.Array):
    """Positions of tokens in the gathered rows, these rows, and params with 100 added to them."""
    rows = SparseRows(params)
    positions = rows.select("items", tokens)
    gathered = rows.gather(params)
    updated = {"item_embeddings": gathered["item_embeddings"] + 100, "other": params["other"] + 1}
    return positions, gathered, rows.scatter(params, updated, is_finite, jax.random.key(0))


# Only two lengths, because each pair of lengths is compiled separately.
ROWS = st.sampled_from([1, 9]).flatmap(
    lambda n: st.lists(st.integers(0, 11), min_size=n, max_size=n)
)


@given(st.lists(ROWS, min_size=2, max_size=2))
def test_scatter_changes_exactly_the_gathered_rows(lists: list[list[int]]) -> None:
    tokens = [np.array(row_numbers, np.int32) for row_numbers in lists]
    params = {
        "item_embeddings": np.arange(24, dtype=np.float32).reshape(12, 2),
        "other": np.ones(3, np.float32),
    }
    for is_finite in (True, False):
        positions, gathered, scattered = jax.tree.map(
            np.asarray, gather_and_scatter(params, tokens, is_finite)
        )
        for array, row_numbers in zip(positions, tokens, strict=True):
            np.testing.assert_array_equal(
                gathered["item_embeddings"][array], params["item_embeddings"][row_numbers]
            )
            np.testing.assert_array_equal(array == PAD, row_numbers == PAD)
        expected = params["item_embeddings"].copy()
        expected[sorted({PAD, *(i for row_numbers in lists for i in row_numbers)})] += (
            100 * is_finite
        )
        np.testing.assert_array_equal(scattered["item_embeddings"], expected)
        np.testing.assert_array_equal(scattered["other"], params["other"] + is_finite)


@pytest.mark.slow
def test_feature_embeddings_are_updated_sparsely_too() -> None:
    model = MODEL.model_copy(update={"item_features": ("genres",), "sequence_features": ("name",)})
    sequence_features = FeatureIds(
        np.array([[3, 5], [5, 0]], np.int32), np.array([[0.5, 0.5], [1, 0]], np.float32)
    )
    item_features = features()
    # The last item is in no batch, and has an id that no other item has.
    item_features.feature_ids.ids[-1] = LAST_ID
    constants = StepConstants(item_features)
    batch = (BUCKET._replace(sequence_features=sequence_features),)
    dense, dense_state = new_step(model, LOSS, constants, "dense")
    sparse, sparse_state = new_step(
        model, LOSS, constants, "sparse", feature_embedding_updates="sparse"
    )
    before = jax.tree.map(np.array, sparse_state.params)
    dense_state, dense_report = dense(dense_state, batch, jnp.int32(1))
    sparse_state, sparse_report = sparse(sparse_state, batch, jnp.int32(1))
    np.testing.assert_allclose(sparse_report.gradient_norm, dense_report.gradient_norm, rtol=1e-4)
    for name, used in (
        ("item_feature_embeddings", range(5)),
        ("sequence_feature_embeddings", (3, 5)),
    ):
        old, sparse_rows, dense_rows = (
            np.asarray(params[name]["embeddings"][...])
            for params in (before, sparse_state.params, dense_state.params)
        )
        is_changed = (sparse_rows != old).any(axis=1)
        # Row 0 is padding: it has no gradient, but decays like all rows that are used.
        assert set(np.flatnonzero(is_changed)) - {0} == set(used) - {0}
        assert LAST_ID not in np.flatnonzero(is_changed)
        assert (np.abs(sparse_rows - dense_rows)[sorted(used)] > 1e-4).mean() < 0.05


@pytest.mark.slow
def test_bfloat16_is_stored_and_unused_rows_keep_the_same_bits() -> None:
    model = MODEL.model_copy(update={"embedding_precision": "bfloat16"})
    step, state = new_step(model, LOSS, StepConstants(), "sparse", state_precision="bfloat16")
    float32_step, float32_state = plain_step_and_copy("sparse")
    storage_dtypes = {
        leaf.dtype for leaf in jax.tree.leaves(state.optimizer_state) if leaf.ndim == 2
    }
    assert is_bfloat16(state.params["item_embeddings"][...])
    assert storage_dtypes >= {np.dtype(np.uint16)}
    before = item_embeddings(state).copy()
    state, _ = step(state, BATCH, jnp.int32(1))
    float32_state, _ = float32_step(float32_state, BATCH, jnp.int32(1))
    is_same = (item_embeddings(state) == before).all(axis=1)
    assert is_same.sum() >= MIN_UNUSED_ROWS
    assert not is_same[[4, 5, 6, 7, 8, 9]].any()
    # Two roundings apart from the float32 update: of the initial value and of the result.
    rows = np.asarray(to_float32(state.params["item_embeddings"][...]))
    differs = np.abs(rows - item_embeddings(float32_state)) > 3 * 2**-8 * np.abs(
        item_embeddings(float32_state)
    )
    assert differs.mean() < 0.05


def test_sparse_updates_are_refused_for_the_exact_softmax() -> None:
    with pytest.raises(ValueError, match="uses every row"):
        Config(optimizer=OptimizerConfig(embedding_updates="sparse"))


@pytest.mark.slow
def test_a_run_with_sparse_updates_learns_the_cycles(cycles: Dataset, tmp_path: Path) -> None:
    config = Config(
        model=ModelConfig(
            layers=1, heads=2, width=16, feed_forward=32, context=8, embedding_precision="bfloat16"
        ),
        loss=LossConfig(kind="sampled-softmax", negatives=8, in_batch=True),
        optimizer=OptimizerConfig(learning_rate=1e-2, embedding_updates="sparse-rowwise"),
        training=TrainingConfig(batch_size=16, epochs=40, max_steps=90, validate_every=90),
    )
    run = train(cycles, tmp_path / "run", config=config)
    answer = Recommender.load(run).recommend(["i3", "i4", "i5"], k=1)
    assert answer.items[0].item_id == "i6"
    assert run.card["validation"]["best"] > 0.9


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"model": {"embedding_precision": "bfloat16"}}, "needs sparse updates"),
        ({"optimizer": {"state_precision": "bfloat16"}}, "applies to 'sparse' updates only"),
        (
            {
                "model": {"item_features": ["artist"]},
                "optimizer": {"feature_embedding_updates": "sparse"},
            },
            "needs sparse updates of the items too",
        ),
    ],
)
def test_settings_that_need_sparse_updates_are_refused_without(
    sections: dict, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Config.model_validate(sections)


def test_an_invalid_configuration_is_refused_before_anything_is_written(
    cycles: Dataset, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="embedding_updates 'sparse' updates only the rows"):
        train(cycles, tmp_path / "run", embedding_updates="sparse")
    assert not (tmp_path / "run").exists()
