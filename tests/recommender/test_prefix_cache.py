"""``PrefixCache``: states of growing histories equal those of the same ones without a cache."""

from __future__ import annotations

import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from segue.features import Features, FeatureSizes, SequenceVocabulary
from segue.model import Transformer
from segue.ragged import Ragged
from segue.ranking import Query
from segue.recommender import Encoder, prompt_layout, shapes
from segue.tokens import N_SPECIALS, START
from small_models import CONTEXT, FLATTEN, VOCABULARY_SIZE, small_model_config

STEP = shapes.slide_step(CONTEXT)
GENRES = {"genre": ["folk", "jazz"]}


def small_encoder(genres: dict | None = None, **changes) -> Encoder:
    vocabulary = SequenceVocabulary(genres or {})
    names = {"sequence_features": tuple(genres)} if genres else {}
    config = small_model_config(layers=2, **names, **changes)
    sizes = FeatureSizes(0, 0, 3 if genres else 0)
    features = Features(None, None, vocabulary, sizes)
    graph, params = nnx.split(Transformer(config, VOCABULARY_SIZE, sizes, rngs=nnx.Rngs(0)))
    return Encoder(graph, params, prompt_layout(config, VOCABULARY_SIZE), features)


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return small_encoder()


def query_of(rows: list[list[int]], features: list[dict] | None = None) -> Query:
    histories = Ragged.from_rows(rows)
    return Query(histories, histories, np.full(len(rows), -1), sequence_features=features)


def states(encoder: Encoder, rows: list[list[int]], features=None) -> np.ndarray:
    n_rows = shapes.row_bucket(len(rows))
    return np.asarray(encoder.states(query_of(rows, features), n_rows))[: len(rows)]


def window_states(encoder: Encoder, windows: list[list[int]]) -> np.ndarray:
    """The states of windows of tokens, each encoded from nothing."""
    tokens = np.zeros((8, CONTEXT), np.int32)
    for row, window in enumerate(windows):
        tokens[row, : len(window)] = window
    last = np.array([len(window) - 1 for window in windows] + [0] * (8 - len(windows)), np.int32)
    return np.asarray(_states_at(encoder.model(), tokens, last))[: len(windows)]


@nnx.jit
def _states_at(model, tokens, last):
    return model.states_at(tokens, last)


class Window:
    """The documented rule for one history, event by event."""

    def __init__(self, history: list[int], step: int) -> None:
        self.tokens, self.step = [START], step
        for item in history:
            self.append(item)

    def append(self, item: int) -> None:
        if len(self.tokens) == CONTEXT:
            self.tokens = self.tokens[self.step :]
        self.tokens.append(item)


items = st.integers(N_SPECIALS, VOCABULARY_SIZE - 1)
histories = st.lists(items, max_size=CONTEXT + 3)


@settings(max_examples=12)
@given(
    rows=st.lists(histories, min_size=1, max_size=3),
    growth=st.lists(st.lists(st.integers(0, 3), min_size=3, max_size=3), min_size=2, max_size=6),
    seed=st.integers(0, 99),
    window=st.sampled_from(["last", "moving"]),
)
def test_growing_histories_have_the_states_of_their_windows(encoder, rows, growth, seed, window):
    random, encoder = np.random.default_rng(seed), encoder.with_window(window)
    caching, step = encoder.caching(), STEP if window == "moving" else 1
    rows, windows = [list(row) for row in rows], [Window(row, step) for row in rows]
    np.testing.assert_allclose(states(caching, rows), states(encoder, rows), rtol=1e-4, atol=1e-5)
    for n_new in growth:
        for row, tokens, n in zip(rows, windows, n_new, strict=False):
            for item in random.integers(N_SPECIALS, VOCABULARY_SIZE, n).tolist():
                row.append(item)
                tokens.append(item)
        expected = window_states(encoder, [tokens.tokens for tokens in windows])
        np.testing.assert_allclose(states(caching, rows), expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(states(encoder, rows), expected, rtol=1e-4, atol=1e-5)


def test_up_to_the_context_it_equals_the_encoder(encoder):
    caching, row = encoder.caching(), [5]
    while len(row) < CONTEXT:
        np.testing.assert_allclose(
            states(caching, [row]), states(encoder, [row]), rtol=1e-4, atol=1e-5
        )
        row.append(N_SPECIALS + len(row))


def test_other_histories_are_computed_from_nothing(encoder):
    caching = encoder.caching()
    for rows in (
        [[5, 6, 7], [8]],
        [[5, 6, 7, 9], [9]],  # one continues, the other is new
        [[5, 6], [9, 4]],  # one is shorter
        [[5, 6], [9, 4]],  # nothing is new
        [[7, 8, 9], [4, 5]],  # all are new
        [[7, 8, 9], [4, 5], []],  # another number of rows
    ):
        np.testing.assert_allclose(
            states(caching, rows), states(encoder, rows), rtol=1e-4, atol=1e-5
        )


def test_unchanged_histories_cost_nothing(encoder):
    caching = encoder.caching()
    first = caching.states(query_of([[5, 6]]), 1)
    assert caching.states(query_of([[5, 6]]), 1) is first


def test_earlier_results_stay_valid(encoder):
    caching = encoder.caching()
    first = caching.states(query_of([[5, 6]]), 1)
    before = np.array(first)
    caching.states(query_of([[5, 6, 7]]), 1)
    caching.states(query_of([[9]]), 1)
    np.testing.assert_array_equal(before, first)


def test_other_sequence_features_are_computed_from_nothing():
    encoder = small_encoder(GENRES)
    caching, row = encoder.caching(), [[5, 6, 7]]
    folk, jazz = [{"genre": "folk"}], [{"genre": "jazz"}]
    for features in (folk, folk, jazz, None):
        np.testing.assert_allclose(
            states(caching, row, features), states(encoder, row, features), rtol=1e-4, atol=1e-5
        )
    assert np.abs(states(caching, row, folk) - states(caching, row, jazz)).max() > 1e-4


def test_an_empty_history_without_start_grows():
    encoder = small_encoder(start=False)
    caching = encoder.caching()
    for row in ([], [5], [5, 6]):
        np.testing.assert_allclose(
            states(caching, [row]), states(encoder, [row]), rtol=1e-4, atol=1e-5
        )


def test_where_every_event_moves_the_positions_nothing_is_cached():
    encoder = small_encoder(**FLATTEN)
    assert encoder.caching() is encoder
    assert encoder.cache_bytes_per_row == 0
    assert encoder.with_window("moving").layout == encoder.layout


def test_a_moving_window_of_a_context_below_8_is_the_last_events():
    encoder = small_encoder(context=7)
    assert encoder.with_window("moving").layout == encoder.layout


def test_the_events_before_the_window_are_truncated(encoder):
    for window in ("last", "moving"):
        layout = encoder.with_window(window).layout
        for n_events in range(3 * CONTEXT):
            rows = Ragged.from_rows([np.arange(n_events, dtype=np.int32) % 4 + N_SPECIALS])
            _, (last,) = layout.prompts(rows)
            n_read = int(last) + 1 - int(layout.n_truncated(n_events) == 0)
            assert layout.n_truncated(n_events) == n_events - n_read or last + 1 == CONTEXT


def test_the_memory_of_a_row_is_that_of_its_keys_and_values(encoder):
    layers, width = 2, 8
    assert encoder.cache_bytes_per_row == 2 * layers * CONTEXT * width * 4
