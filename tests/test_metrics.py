"""Metrics against hand-computed cases and slow references that follow the definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.metrics import (
    CLICKS_WITHOUT_HIT,
    NEXT_ITEM,
    HitPlaces,
    clicks,
    continuation_metrics,
    ndcg_challenge,
    ndcg_lists,
    next_item_metrics,
    r_precision,
    r_precision_artist,
)

RANKS = np.array([1, 2, 3, 10, 11, 0])


def hits(rows: list[list[int]], n_targets: list[int], artists=None) -> HitPlaces:
    return HitPlaces(
        np.array(rows, bool),
        None if artists is None else np.array(artists, bool),
        np.array(n_targets, np.int64),
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("hr", [1, 1, 1, 0, 0, 0]),
        ("recall", [1, 1, 1, 0, 0, 0]),
        ("ndcg", [1, 1 / math.log2(3), 1 / 2, 0, 0, 0]),
        ("mrr", [1, 1 / 2, 1 / 3, 0, 0, 0]),
        ("map", [1, 1 / 2, 1 / 3, 0, 0, 0]),
        ("precision", [1 / 3, 1 / 3, 1 / 3, 0, 0, 0]),
        ("f1", [1 / 2, 1 / 2, 1 / 2, 0, 0, 0]),
    ],
)
def test_next_item_metrics_by_hand(name: str, expected: list[float]) -> None:
    np.testing.assert_allclose(NEXT_ITEM[name](RANKS, 3), expected)


def test_uncut_mrr_reaches_every_rank_but_a_miss() -> None:
    values = next_item_metrics(RANKS, [3])["mrr"]
    np.testing.assert_allclose(values, [1, 1 / 2, 1 / 3, 1 / 10, 1 / 11, 0])


def test_keys_are_printed_as_documented() -> None:
    keys = list(next_item_metrics(RANKS, [1, 10]))
    assert keys[:7] == ["hr@1", "ndcg@1", "mrr@1", "map@1", "precision@1", "recall@1", "f1@1"]
    assert keys[-1] == "mrr"
    assert len(keys) == 15


def test_no_instance_is_no_value() -> None:
    assert all(len(v) == 0 for v in next_item_metrics(np.zeros(0, np.int64), [5]).values())


def slow_next_item(rank: int, k: int) -> dict[str, float]:
    """Build the list of ``k`` places and apply the general definitions for target sets."""
    places = [1.0 if place == rank else 0.0 for place in range(1, k + 1)]
    n_hits, n_targets = sum(places), 1
    precision, recall = n_hits / k, n_hits / n_targets
    gained = sum(gain / math.log2(place + 1) for place, gain in enumerate(places, 1))
    precisions = [sum(places[:place]) / place for place, hit in enumerate(places, 1) if hit]
    return {
        "hr": float(n_hits > 0),
        "ndcg": gained / sum(1 / math.log2(i + 1) for i in range(1, min(n_targets, k) + 1)),
        "mrr": next((1 / place for place, hit in enumerate(places, 1) if hit), 0.0),
        "map": sum(precisions) / min(n_targets, k),
        "precision": precision,
        "recall": recall,
        "f1": 2 * precision * recall / (precision + recall) if n_hits else 0.0,
    }


@given(st.lists(st.integers(0, 60), min_size=1, max_size=20), st.integers(1, 50))
def test_next_item_metrics_agree_with_the_slow_reference(ranks: list[int], k: int) -> None:
    found = next_item_metrics(np.array(ranks), [k])
    for i, rank in enumerate(ranks):
        for name, value in slow_next_item(rank, k).items():
            assert found[f"{name}@{k}"][i] == pytest.approx(value)


@given(st.lists(st.integers(0, 100), min_size=1), st.integers(1, 30))
def test_next_item_metrics_stay_within_0_and_1_and_grow_with_recall(ranks, k) -> None:
    small, large = (next_item_metrics(np.array(ranks), [cut]) for cut in (k, k + 1))
    for name in ("hr", "ndcg", "mrr", "map", "recall"):
        assert (small[f"{name}@{k}"] <= large[f"{name}@{k + 1}"]).all()
    assert all(((v >= 0) & (v <= 1)).all() for v in small.values())


def test_r_precision_looks_at_as_many_places_as_there_are_targets() -> None:
    found = hits([[1, 0, 1, 1, 0], [0, 0, 1, 1, 1], [1, 1, 1, 1, 1]], [3, 2, 9])
    # The third has 9 targets and 5 places: all that a list can hold is 5.
    np.testing.assert_allclose(r_precision(found), [2 / 3, 0, 1])


def test_artist_credit_counts_a_quarter_within_the_first_places() -> None:
    found = hits([[1, 0, 0, 0]], [3], artists=[[0, 1, 0, 1]])
    np.testing.assert_allclose(r_precision_artist(found), [(1 + 0.25) / 3])


def test_artist_credit_needs_artists() -> None:
    with pytest.raises(ValueError, match="no artist"):
        r_precision_artist(hits([[1]], [1]))


def test_ndcg_of_lists_by_hand() -> None:
    found = hits([[0, 1, 1, 0]], [3])
    ideal = 1 + 1 / math.log2(3) + 1 / 2
    np.testing.assert_allclose(ndcg_lists(found), [(1 / math.log2(3) + 1 / 2) / ideal])


def test_ndcg_of_the_challenge_by_hand() -> None:
    # Hits at 2 and 3: 1/log2(2) + 1/log2(3); the ideal has two hits: 1 + 1/log2(2).
    found = hits([[0, 1, 1, 0], [1, 1, 0, 0], [0, 0, 0, 0]], [3, 40, 2])
    np.testing.assert_allclose(ndcg_challenge(found), [(1 + 1 / math.log2(3)) / 2, 1, 0])


def test_clicks_turn_pages_of_ten() -> None:
    rows = np.zeros((4, 40), int)
    rows[0, 0] = rows[1, 9] = rows[2, [10, 30]] = 1
    np.testing.assert_array_equal(
        clicks(hits(rows.tolist(), [1, 1, 2, 1])), [0, 0, 1, CLICKS_WITHOUT_HIT]
    )


def test_continuation_keys_have_the_real_cut_off_and_artists_only_if_there_are() -> None:
    plain = continuation_metrics(hits([[1, 0, 0]], [1]))
    assert list(plain) == ["r_precision", "ndcg@3", "ndcg_challenge@3", "clicks"]
    both = continuation_metrics(hits([[1, 0, 0]], [1], artists=[[0, 0, 1]]))
    assert list(both)[:2] == ["r_precision", "r_precision_artist"]


def slow_continuation(tracks: list[bool], artists: list[bool], n_targets: int) -> list[float]:
    size = min(n_targets, len(tracks))
    places = range(1, len(tracks) + 1)
    dcg = sum(1 / math.log2(i + 1) for i in places if tracks[i - 1])
    ideal = sum(1 / math.log2(i + 1) for i in range(1, size + 1))
    challenge = sum(1 if i == 1 else 1 / math.log2(i) for i in places if tracks[i - 1])
    best = sum(1 if i == 1 else 1 / math.log2(i) for i in range(1, sum(tracks) + 1))
    credit = sum(1 if tracks[i] else 0.25 if artists[i] else 0 for i in range(size))
    first = next((i for i in places if tracks[i - 1]), None)
    return [
        sum(tracks[:size]) / size,
        credit / size,
        dcg / ideal,
        challenge / best if best else 0.0,
        51 if first is None else (first - 1) // 10,
    ]


@given(st.data())
def test_continuation_metrics_agree_with_the_slow_reference(data: st.DataObject) -> None:
    places = data.draw(st.integers(1, 30))
    rows = st.lists(st.booleans(), min_size=places, max_size=places)
    tracks = data.draw(st.lists(rows, min_size=1, max_size=4))
    artists = [[a and not t for a, t in zip(data.draw(rows), row, strict=True)] for row in tracks]
    n_targets = [max(1, sum(row) + data.draw(st.integers(0, 40))) for row in tracks]
    found = continuation_metrics(hits(tracks, n_targets, artists))
    for i, row in enumerate(tracks):
        expected = slow_continuation(row, artists[i], n_targets[i])
        assert [values[i] for values in found.values()] == pytest.approx(expected)


def test_a_value_does_not_depend_on_its_neighbours_to_the_last_bit() -> None:
    rng = np.random.default_rng(3)
    tracks = rng.random((64, 500)) < 0.1
    found = HitPlaces(tracks, None, tracks.sum(axis=1) + 5)
    together = continuation_metrics(found)
    for i in range(0, 64, 7):
        alone = continuation_metrics(HitPlaces(tracks[i : i + 1], None, found.n_targets[i : i + 1]))
        assert all(together[name][i] == alone[name][0] for name in together)
