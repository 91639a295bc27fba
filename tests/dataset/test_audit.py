"""The audit of small worlds whose answers are known, and of random ones by the slow way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_logs import sequences_of

from segue.dataset.audit import audit
from segue.dataset.leakage import leakage
from segue.dataset.sequences import Sequences
from segue.dataset.splits import Cuts, Split, cut


def rule(kind: Any) -> Split:
    return Split(kind=kind, seed=0, validation_share=0.2, test_share=0.2, window=5)


ROWS = [[4, 5, 4, 4], [6, 7, 8], [5], [4, 5]]
TIMES = [[10, 20, 20, 20], [15, 15, 40], [16], [90, 95]]


def cut_rows(kind: str) -> tuple[Sequences, Split]:
    lengths = np.array([len(row) for row in ROWS])
    split, cuts = cut(rule(kind), lengths, np.concatenate(TIMES))
    return sequences_of(ROWS, cuts, TIMES), split


@pytest.fixture
def findings(any_blocks) -> dict[str, Any]:
    sequences, split = cut_rows("leave-one-out")
    return audit(sequences, split, n_items=6, n_catalogue=3)


def test_counts(findings):
    assert findings["counts"] == {
        "sequences": 4,
        "events": 10,
        "items": 6,
        "items_with_events": 5,
        "catalogue": 3,
        "density": pytest.approx((10 - 2) / (4 * 6)),
    }


def test_lengths(findings):
    assert findings["lengths"] == {
        "min": 1,
        "quartiles": [1.75, 2.5, 3.25],
        "mean": 2.5,
        "max": 4,
        "histogram": [
            {"from": 1, "to": 1, "n": 1},
            {"from": 2, "to": 3, "n": 2},
            {"from": 4, "to": 7, "n": 1},
        ],
    }


def test_popularity_is_of_items_with_events(findings):
    assert findings["popularity"]["histogram"] == [
        {"from": 1, "to": 1, "n": 3},
        {"from": 2, "to": 3, "n": 1},
        {"from": 4, "to": 7, "n": 1},
    ]
    assert findings["popularity"]["max"] == 4


def test_repeats_and_the_advice_that_follows(findings):
    assert findings["repeats"] == {"events": 2, "share": 0.2, "recommended_seen": "include"}


def test_ties_and_duplicates(findings):
    assert findings["times"] == {
        "from": "1970-01-01T00:00:00.000010Z",
        "to": "1970-01-01T00:00:00.000095Z",
        "ties": 3,
        "tie_share": 0.3,
        "duplicates": 1,
    }


def test_parts_and_cold_targets(findings):
    parts = findings["parts"]
    assert parts["train"] == {"sequences": 4, "events": 6}
    assert parts["validation"]["targets"] == 2
    assert parts["test"] == {
        "sequences": 2,
        "events": 2,
        "targets": 2,
        "cold_targets": 1,
        "cold_share": 0.5,
        "ceiling": 0.5,
    }
    assert parts["too_short"] == 2


def test_what_is_said(findings):
    said = findings["warnings"]
    assert said[0] == "2 sequences have fewer than 3 events: all training, no target."
    assert said[1].startswith("20.0% of the events repeat an item")
    assert said[2].endswith("no hit rate can exceed 0.500.")
    assert len(said) == 3


def test_a_log_without_times():
    _, cuts = cut(rule("leave-one-out"), np.array([3, 4]), None)
    found = audit(sequences_of([[4, 5, 6], [7, 4, 5, 6]], cuts), rule("leave-one-out"), 4, 4)
    assert found["times"] is None
    assert found["leakage"]["violations"] == 0
    assert found["leakage"]["training_events_after_first_test_event"] is None
    assert found["repeats"]["recommended_seen"] == "exclude"
    assert found["warnings"] == []


def test_windows_is_called_leaky():
    sequences, split = cut_rows("windows")
    found = audit(sequences, split, 5, 5)
    assert found["leakage"]["promise"] is None
    assert found["leakage"]["violations"] is None
    assert any("leaks" in sentence for sentence in found["warnings"])
    assert any("no validation targets" in sentence for sentence in found["warnings"])


def test_windows_with_a_validation_part():
    split, cuts = cut(rule("windows"), np.array([60]), None)
    found = audit(sequences_of([[4, 5, 6] * 20], cuts), split, 3, 3)
    parts = found["parts"]
    assert parts["validation"]["targets"] > 0
    held_out = parts["validation"]["targets"] + parts["test"]["targets"]
    assert parts["train"]["events"] == 60 - held_out
    assert not any("no validation targets" in sentence for sentence in found["warnings"])


@pytest.mark.parametrize("kind", ["holdout", "leave-one-out", "global-time"])
def test_the_splits_keep_their_promises(kind, any_blocks):
    sequences, split = cut_rows(kind)
    found = leakage(sequences, split)
    assert found["promise"]
    assert found["violations"] == 0


def test_leave_one_out_counts_what_lies_after_the_first_test_event():
    sequences, split = cut_rows("leave-one-out")
    # Test events at 20 and 40; after 20, training saw 90 and 95.
    assert leakage(sequences, split)["training_events_after_first_test_event"] == 2


class TestBrokenPromises:
    def test_global_time(self):
        cuts = Cuts(np.array([0, 2], np.int32), np.array([0, 2], np.int32))
        sequences = sequences_of([[4, 5], [6, 7]], cuts, [[10, 30], [5, 20]])
        found = leakage(sequences, rule("global-time"))
        assert found["violations"] == 1

    def test_leave_one_out(self):
        cuts = Cuts(np.array([1], np.int32), np.array([2], np.int32))
        sequences = sequences_of([[4, 5, 6]], cuts, [[9, 1, 2]])
        assert leakage(sequences, rule("leave-one-out"))["violations"] == 1

    def test_holdout(self):
        cuts = Cuts(np.array([1], np.int32), np.array([2], np.int32))
        sequences = sequences_of([[4, 5, 6]], cuts)
        assert leakage(sequences, rule("holdout"))["violations"] == 1

    def test_is_said(self):
        cuts = Cuts(np.array([1, 3], np.int32), np.array([2, 3], np.int32))
        sequences = sequences_of([[4, 5, 6], [4, 5, 6]], cuts)
        found = audit(sequences, rule("holdout"), 3, 3)
        assert any("promise of the split is broken" in line for line in found["warnings"])


events = st.tuples(st.integers(4, 8), st.integers(0, 5))


@given(st.lists(st.lists(events, min_size=1, max_size=8), min_size=1, max_size=12))
def test_agrees_with_the_obvious_way(rows):
    rows = [sorted(row, key=lambda event: event[1]) for row in rows]
    items = [[item for item, _ in row] for row in rows]
    times = [[time for _, time in row] for row in rows]
    _, cuts = cut(rule("leave-one-out"), np.array([len(row) for row in rows]), None)
    found = audit(sequences_of(items, cuts, times), rule("leave-one-out"), 5, 5)
    assert found["repeats"]["events"] == sum(len(row) - len(set(row)) for row in items)
    assert found["times"]["duplicates"] == sum(len(row) - len(set(row)) for row in rows)
    assert found["times"]["ties"] == sum(len(row) - len(set(row)) for row in times)
    assert found["counts"]["items_with_events"] == len({i for row in items for i in row})
    assert sum(b["n"] for b in found["lengths"]["histogram"]) == len(rows)
