"""The audit of small logs with expected values, and of random logs against a slow reference."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.dataset import Cuts, Sequences, Split, SplitRule, rule_of
from segue.preparation.audit import audit, leakage
from small_logs import sequences_of


def rule(kind: Any) -> SplitRule:
    return rule_of(Split(kind=kind, seed=0, validation_share=0.2, test_share=0.2, window=5))


ROWS = [[4, 5, 4, 4], [6, 7, 8], [5], [4, 5]]
TIMES = [[10, 20, 20, 20], [15, 15, 40], [16], [90, 95]]


def cut_rows(kind: str) -> tuple[Sequences, SplitRule]:
    lengths = np.array([len(row) for row in ROWS])
    split, cuts = rule(kind).cut(lengths, np.concatenate(TIMES))
    return sequences_of(ROWS, cuts, TIMES), rule_of(split)


@pytest.fixture
def findings(event_block_size) -> dict[str, Any]:
    sequences, split_rule = cut_rows("leave-one-out")
    return audit(sequences, split_rule, n_items=6, n_catalogue=3)


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


def test_repeats_and_the_recommendation_that_follows(findings):
    assert findings["repeats"] == {"events": 2, "share": 0.2, "recommended_seen": "include"}


def test_ties_and_duplicates(findings):
    assert findings["times"] == {
        "from": "1970-01-01T00:00:00.000010Z",
        "to": "1970-01-01T00:00:00.000095Z",
        "ties": 3,
        "tie_share": 0.3,
        "duplicates": 1,
        "exact_duplicates": 1,
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
        "cold_start": 0,
        "cold_share": 0.5,
        "ceiling": 0.5,
    }
    assert parts["too_short"] == 2


def test_warnings(findings):
    warnings = findings["warnings"]
    assert (
        warnings[0]
        == "2 sequences have fewer than 3 events: all are training events, none is a target."
    )
    assert warnings[1].startswith("20.0% of the events repeat an item")
    assert warnings[2].startswith("1 event is an exact duplicate of another event")
    assert warnings[3].endswith("no hit rate can exceed 0.500.")
    assert len(warnings) == 4


def test_an_exact_duplicate_has_the_same_rating_or_like_the_other_event_none(event_block_size):
    lengths = np.array([6])
    times = [[1, 1, 1, 1, 1, 2]]
    split, cuts = rule("leave-one-out").cut(lengths, np.array(times[0]))
    sequences = dataclasses.replace(
        sequences_of([[4, 5, 4, 5, 4, 4]], cuts, times),
        ratings=np.array([3, np.nan, 4, np.nan, 4, 4], np.float32),
    )
    findings = audit(sequences, rule_of(split), n_items=2, n_catalogue=2)
    assert findings["times"]["duplicates"] == 3
    assert findings["times"]["exact_duplicates"] == 2
    assert any(text.startswith("2 events are exact duplicates") for text in findings["warnings"])


def test_a_log_without_times():
    _, cuts = rule("leave-one-out").cut(np.array([3, 4]), None)
    findings = audit(sequences_of([[4, 5, 6], [7, 4, 5, 6]], cuts), rule("leave-one-out"), 4, 4)
    assert findings["times"] is None
    assert findings["leakage"]["violations"] == 0
    assert findings["leakage"]["training_events_after_first_test_event"] is None
    assert findings["repeats"]["recommended_seen"] == "exclude"
    assert findings["warnings"] == []


def test_windows_is_reported_as_leaky():
    sequences, split_rule = cut_rows("windows")
    findings = audit(sequences, split_rule, 5, 5)
    assert findings["leakage"]["guarantee"] is None
    assert findings["leakage"]["violations"] is None
    assert any("leaks by design" in sentence for sentence in findings["warnings"])
    assert any("no validation targets" in sentence for sentence in findings["warnings"])


def test_windows_with_a_validation_part():
    _, cuts = rule("windows").cut(np.array([60]), None)
    findings = audit(sequences_of([[4, 5, 6] * 20], cuts), rule("windows"), 3, 3)
    parts = findings["parts"]
    assert parts["validation"]["targets"] > 0
    held_out = parts["validation"]["targets"] + parts["test"]["targets"]
    assert parts["train"]["events"] == 60 - held_out
    assert not any("no validation targets" in sentence for sentence in findings["warnings"])


@pytest.mark.parametrize("kind", ["holdout", "leave-one-out", "global-time"])
def test_the_splits_keep_their_guarantees(kind, event_block_size):
    sequences, split_rule = cut_rows(kind)
    findings = leakage(sequences, split_rule)
    assert findings["guarantee"]
    assert findings["violations"] == 0


def test_leave_one_out_counts_training_events_after_the_first_test_event():
    sequences, split_rule = cut_rows("leave-one-out")
    # Test events at 20 and 40; after 20, training saw 90 and 95.
    assert leakage(sequences, split_rule)["training_events_after_first_test_event"] == 2


class TestViolatedGuarantees:
    def test_global_time(self):
        cuts = Cuts(np.array([0, 2], np.int32), np.array([0, 2], np.int32))
        sequences = sequences_of([[4, 5], [6, 7]], cuts, [[10, 30], [5, 20]])
        findings = leakage(sequences, rule("global-time"))
        assert findings["violations"] == 1

    def test_leave_one_out(self):
        cuts = Cuts(np.array([1], np.int32), np.array([2], np.int32))
        sequences = sequences_of([[4, 5, 6]], cuts, [[9, 1, 2]])
        assert leakage(sequences, rule("leave-one-out"))["violations"] == 1

    def test_holdout(self):
        cuts = Cuts(np.array([1], np.int32), np.array([2], np.int32))
        sequences = sequences_of([[4, 5, 6]], cuts)
        assert leakage(sequences, rule("holdout"))["violations"] == 1

    def test_gives_a_warning(self):
        cuts = Cuts(np.array([1, 3], np.int32), np.array([2, 3], np.int32))
        sequences = sequences_of([[4, 5, 6], [4, 5, 6]], cuts)
        findings = audit(sequences, rule("holdout"), 3, 3)
        assert any("guarantee of the split is violated" in line for line in findings["warnings"])


events = st.tuples(st.integers(4, 8), st.integers(0, 5))


@given(st.lists(st.lists(events, min_size=1, max_size=8), min_size=1, max_size=12))
def test_agrees_with_a_slow_reference(rows):
    rows = [sorted(row, key=lambda event: event[1]) for row in rows]
    items = [[item for item, _ in row] for row in rows]
    times = [[time for _, time in row] for row in rows]
    _, cuts = rule("leave-one-out").cut(np.array([len(row) for row in rows]), None)
    findings = audit(sequences_of(items, cuts, times), rule("leave-one-out"), 5, 5)
    assert findings["repeats"]["events"] == sum(len(row) - len(set(row)) for row in items)
    n_duplicates = sum(len(row) - len(set(row)) for row in rows)
    assert findings["times"]["duplicates"] == n_duplicates
    assert findings["times"]["exact_duplicates"] == n_duplicates
    assert findings["times"]["ties"] == sum(len(row) - len(set(row)) for row in times)
    assert findings["counts"]["items_with_events"] == len({i for row in items for i in row})
    assert sum(b["n"] for b in findings["lengths"]["histogram"]) == len(rows)
