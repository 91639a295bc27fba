"""Continuation metrics against hand-computed values and a slow reference."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.metrics import (
    CLICKS_WITHOUT_HIT,
    ListHits,
    clicks,
    continuation_metrics,
    ndcg_challenge,
    ndcg_lists,
    r_precision,
    r_precision_artist,
)


def list_hits(is_target: list[list[int]], n_targets: list[int], is_artist_match=None) -> ListHits:
    return ListHits(
        np.array(is_target, bool),
        None if is_artist_match is None else np.array(is_artist_match, bool),
        np.array(n_targets, np.int64),
    )


def test_r_precision_counts_as_many_items_as_there_are_targets() -> None:
    hits = list_hits([[1, 0, 1, 1, 0], [0, 0, 1, 1, 1], [1, 1, 1, 1, 1]], [3, 2, 9])
    # The third list has 9 targets, but only 5 items: |G| is capped at 5.
    np.testing.assert_allclose(r_precision(hits), [2 / 3, 0, 1])


def test_artist_match_counts_a_quarter_among_the_first_items() -> None:
    hits = list_hits([[1, 0, 0, 0]], [3], is_artist_match=[[0, 1, 0, 1]])
    np.testing.assert_allclose(r_precision_artist(hits), [(1 + 0.25) / 3])


def test_artist_credit_needs_artists() -> None:
    with pytest.raises(ValueError, match="no artist"):
        r_precision_artist(list_hits([[1]], [1]))


def test_ndcg_of_lists_by_hand() -> None:
    hits = list_hits([[0, 1, 1, 0]], [3])
    ideal = 1 + 1 / math.log2(3) + 1 / 2
    np.testing.assert_allclose(ndcg_lists(hits), [(1 / math.log2(3) + 1 / 2) / ideal])


def test_ndcg_of_the_challenge_by_hand() -> None:
    # Hits at ranks 2 and 3: 1/log2(2) + 1/log2(3). The ideal has two hits: 1 + 1/log2(2).
    hits = list_hits([[0, 1, 1, 0], [1, 1, 0, 0], [0, 0, 0, 0]], [3, 40, 2])
    np.testing.assert_allclose(ndcg_challenge(hits), [(1 + 1 / math.log2(3)) / 2, 1, 0])


def test_clicks_load_pages_of_ten() -> None:
    rows = np.zeros((4, 40), int)
    rows[0, 0] = rows[1, 9] = rows[2, [10, 30]] = 1
    hits = list_hits(rows.tolist(), [1, 1, 2, 1])
    np.testing.assert_array_equal(clicks(hits), [0, 0, 1, CLICKS_WITHOUT_HIT])


def test_continuation_keys_have_the_list_length_and_artists_only_if_items_have_them() -> None:
    without_artists = continuation_metrics(list_hits([[1, 0, 0]], [1]))
    assert list(without_artists) == ["r_precision", "ndcg@3", "ndcg_challenge@3", "clicks"]
    with_artists = continuation_metrics(list_hits([[1, 0, 0]], [1], is_artist_match=[[0, 0, 1]]))
    assert list(with_artists)[:2] == ["r_precision", "r_precision_artist"]


def slow_continuation(
    is_target: list[bool], is_artist_match: list[bool], n_targets: int
) -> list[float]:
    size = min(n_targets, len(is_target))
    ranks = range(1, len(is_target) + 1)
    dcg = sum(1 / math.log2(i + 1) for i in ranks if is_target[i - 1])
    ideal = sum(1 / math.log2(i + 1) for i in range(1, size + 1))
    challenge = sum(1 if i == 1 else 1 / math.log2(i) for i in ranks if is_target[i - 1])
    best = sum(1 if i == 1 else 1 / math.log2(i) for i in range(1, sum(is_target) + 1))
    credit = sum(1 if is_target[i] else 0.25 if is_artist_match[i] else 0 for i in range(size))
    first = next((i for i in ranks if is_target[i - 1]), None)
    return [
        sum(is_target[:size]) / size,
        credit / size,
        dcg / ideal,
        challenge / best if best else 0.0,
        51 if first is None else (first - 1) // 10,
    ]


@given(st.data())
def test_continuation_metrics_match_the_slow_reference(data: st.DataObject) -> None:
    length = data.draw(st.integers(1, 30))
    rows = st.lists(st.booleans(), min_size=length, max_size=length)
    is_target = data.draw(st.lists(rows, min_size=1, max_size=4))
    is_artist_match = [
        [artist and not target for artist, target in zip(data.draw(rows), row, strict=True)]
        for row in is_target
    ]
    n_targets = [max(1, sum(row) + data.draw(st.integers(0, 40))) for row in is_target]
    metrics = continuation_metrics(list_hits(is_target, n_targets, is_artist_match))
    for i, row in enumerate(is_target):
        expected = slow_continuation(row, is_artist_match[i], n_targets[i])
        assert [values[i] for values in metrics.values()] == pytest.approx(expected)


def test_the_values_of_a_list_do_not_depend_on_the_batch_to_the_last_bit() -> None:
    rng = np.random.default_rng(3)
    is_target = rng.random((64, 500)) < 0.1
    hits = ListHits(is_target, None, is_target.sum(axis=1) + 5)
    batch = continuation_metrics(hits)
    for i in range(0, 64, 7):
        single = continuation_metrics(
            ListHits(is_target[i : i + 1], None, hits.n_targets[i : i + 1])
        )
        assert all(batch[name][i] == single[name][0] for name in batch)
