"""Next-item metrics against hand-computed values and a reference that builds the whole list."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.metrics import NEXT_ITEM, next_item_metrics

RANKS = np.array([1, 2, 3, 10, 11, 0])


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


def test_mrr_without_cutoff_counts_every_rank_except_a_miss() -> None:
    values = next_item_metrics(RANKS, [3])["mrr"]
    np.testing.assert_allclose(values, [1, 1 / 2, 1 / 3, 1 / 10, 1 / 11, 0])


def test_keys_of_next_item_metrics() -> None:
    keys = list(next_item_metrics(RANKS, [1, 10]))
    assert keys[:7] == ["hr@1", "ndcg@1", "mrr@1", "map@1", "precision@1", "recall@1", "f1@1"]
    assert keys[-1] == "mrr"
    assert len(keys) == 15


def test_no_instances_give_no_values() -> None:
    metrics = next_item_metrics(np.zeros(0, np.int64), [5])
    assert all(len(values) == 0 for values in metrics.values())


def slow_next_item(rank: int, k: int) -> dict[str, float]:
    """Build the list of ``k`` items and apply the general definitions for target sets."""
    hits = [1.0 if position == rank else 0.0 for position in range(1, k + 1)]
    n_hits, n_targets = sum(hits), 1
    precision, recall = n_hits / k, n_hits / n_targets
    dcg = sum(hit / math.log2(position + 1) for position, hit in enumerate(hits, 1))
    precisions = [sum(hits[:position]) / position for position, hit in enumerate(hits, 1) if hit]
    return {
        "hr": float(n_hits > 0),
        "ndcg": dcg / sum(1 / math.log2(i + 1) for i in range(1, min(n_targets, k) + 1)),
        "mrr": next((1 / position for position, hit in enumerate(hits, 1) if hit), 0.0),
        "map": sum(precisions) / min(n_targets, k),
        "precision": precision,
        "recall": recall,
        "f1": 2 * precision * recall / (precision + recall) if n_hits else 0.0,
    }


@given(st.lists(st.integers(0, 60), min_size=1, max_size=20), st.integers(1, 50))
def test_next_item_metrics_match_the_slow_reference(ranks: list[int], k: int) -> None:
    metrics = next_item_metrics(np.array(ranks), [k])
    for i, rank in enumerate(ranks):
        for name, value in slow_next_item(rank, k).items():
            assert metrics[f"{name}@{k}"][i] == pytest.approx(value)


@given(st.lists(st.integers(0, 100), min_size=1), st.integers(1, 30))
def test_next_item_metrics_are_within_0_and_1_and_do_not_fall_with_k(ranks, k) -> None:
    small, large = (next_item_metrics(np.array(ranks), [cutoff]) for cutoff in (k, k + 1))
    for name in ("hr", "ndcg", "mrr", "map", "recall"):
        assert (small[f"{name}@{k}"] <= large[f"{name}@{k + 1}"]).all()
    assert all(((values >= 0) & (values <= 1)).all() for values in small.values())
