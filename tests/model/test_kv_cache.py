"""Cached keys and values: states equal those that are computed from all tokens."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from segue.features import FeatureIds
from slow_cases import some_fast
from small_models import (
    CONTEXT,
    ITEM_FEATURES,
    SEQUENCE_FEATURES,
    SIZES,
    last_states,
    random_feature_ids,
    random_item_features,
    random_tokens,
    small_model,
)

pytestmark = pytest.mark.usefixtures("strict_types")

ROWS = 3


@nnx.jit
def extend(model, tokens, first, selected, cache, features, sequence_features):
    return model.extend(tokens, first, selected, cache, features, sequence_features)


def grown_states(model, tokens, chunks, features=None, sequence_features=None) -> np.ndarray:
    """The state of the last token, from chunks of these lengths, one after the other."""
    cache, first = model.empty_cache(len(tokens), CONTEXT), 0
    states = np.zeros(0)
    for length in chunks:
        chunk = tokens[:, first : first + length]
        starts = np.full(len(tokens), first, np.int32)
        last = np.full(len(tokens), length - 1, np.int32)
        states, cache = extend(model, chunk, starts, last, cache, features, sequence_features)
        first += length
    return np.asarray(states)


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize(
    ("positions", "norm"),
    some_fast(itertools.product(("learned", "none"), ("pre", "post")), every=3),
)
def test_one_token_at_a_time_equals_all_at_once(norm, positions):
    model = small_model(norm=norm, positions=positions, layers=2)
    tokens = random_tokens(ROWS)
    for length in (1, 2, CONTEXT):
        states = grown_states(model, tokens, [1] * length)
        expected = last_states(model, tokens, np.full(ROWS, length - 1))
        np.testing.assert_allclose(states, expected, rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def featured():
    return small_model(layers=2, **ITEM_FEATURES, **SEQUENCE_FEATURES)


@settings(max_examples=8)
@given(chunks=st.lists(st.sampled_from([1, 3]), min_size=1, max_size=4), seed=st.integers(0, 99))
def test_chunks_of_any_length_equal_all_at_once(featured, chunks, seed):
    chunks = chunks if sum(chunks) <= CONTEXT else chunks[:2]
    tokens, features = random_tokens(ROWS, seed=seed), random_item_features()
    sequence_features = random_feature_ids(ROWS, SIZES.n_sequence_feature_ids, seed=seed)
    states = grown_states(featured, tokens, chunks, features, sequence_features)
    last = np.full(ROWS, sum(chunks) - 1)
    expected = last_states(featured, tokens, last, features, sequence_features)
    np.testing.assert_allclose(states, expected, rtol=1e-4, atol=1e-5)


def test_rows_are_at_different_positions_and_padding_has_no_influence():
    model = small_model(layers=2)
    tokens, lengths = random_tokens(ROWS), np.array([2, 3, 1], np.int32)
    nothing = FeatureIds(np.zeros((ROWS, 0), np.int32), np.zeros((ROWS, 0), np.float32))
    cache, zeros = model.empty_cache(ROWS, CONTEXT), np.zeros(ROWS, np.int32)
    padded = np.where(np.arange(3) < lengths[:, None], tokens[:, :3], 17)
    _, cache = extend(model, padded, zeros, lengths - 1, cache, None, nothing)
    following = tokens[np.arange(ROWS), lengths][:, None]
    states, _ = extend(model, following, lengths, zeros, cache, None, nothing)
    expected = last_states(model, tokens, lengths)
    np.testing.assert_allclose(states, expected, rtol=1e-4, atol=1e-5)


def test_tokens_beyond_the_context_are_dropped():
    model = small_model(layers=2)
    tokens = random_tokens(ROWS)
    cache, last = model.empty_cache(ROWS, CONTEXT), np.full(ROWS, CONTEXT - 1, np.int32)
    _, cache = extend(model, tokens, np.zeros(ROWS, np.int32), last, cache, None, None)
    _, longer = extend(model, tokens[:, :3], last + 1, last * 0, cache, None, None)
    for before, after in zip(cache, longer, strict=True):
        np.testing.assert_array_equal(before.keys, after.keys)
        np.testing.assert_array_equal(before.values, after.values)
