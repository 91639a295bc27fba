"""Each filter against the obvious loop over rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_logs import events_of, rows_of

from segue.dataset import filters

event = st.tuples(st.integers(0, 4), st.integers(0, 100), st.sampled_from([1.0, 2.5, 4.0]))
logs = st.lists(
    st.lists(event, max_size=8).map(lambda row: sorted(row, key=lambda e: e[1])), max_size=8
)


@given(logs)
def test_at_least_rated(rows):
    kept = filters.at_least_rated(events_of(rows), 2.5)
    assert rows_of(kept) == [[e for e in row if e[2] >= 2.5] for row in rows]


def test_events_without_a_rating_are_dropped():
    events = events_of([[(1, 0, 5.0), (2, 1, float("nan"))]])
    assert filters.at_least_rated(events, 1.0).items.tolist() == [1]


@given(logs)
def test_drop_consecutive_repeats(rows):
    kept = filters.drop_consecutive_repeats(events_of(rows))
    expected = [[e for i, e in enumerate(row) if i == 0 or e[0] != row[i - 1][0]] for row in rows]
    assert rows_of(kept) == expected


def slow_sessions(rows, gap):
    cut, parents = [], []
    for parent, row in enumerate(rows):
        for i, e in enumerate(row):
            if i == 0 or e[1] - row[i - 1][1] > gap:
                cut.append([])
                parents.append(parent)
            cut[-1].append(e)
    return cut, parents


@given(logs, st.integers(0, 50))
def test_sessions(rows, gap):
    expected, expected_parents = slow_sessions(rows, gap)
    events, parents = filters.sessions(events_of(rows), gap)
    assert rows_of(events) == expected
    assert parents.tolist() == expected_parents


def test_a_gap_as_long_as_allowed_does_not_cut():
    events, _ = filters.sessions(events_of([[(1, 0, 0.0), (2, 30, 0.0), (3, 61, 0.0)]]), 30)
    assert events.lengths.tolist() == [2, 1]


@pytest.mark.parametrize(
    ("parents", "expected"), [([], []), ([0, 0, 2, 3, 3, 3], [1, 2, 1, 1, 2, 3])]
)
def test_ordinals(parents, expected):
    assert filters.ordinals(np.array(parents, dtype=np.int64)).tolist() == expected


@given(logs, st.data())
def test_drop_rows(rows, data):
    kept = data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows)))
    rest = filters.drop_rows(events_of(rows), np.array(kept, dtype=bool))
    assert rows_of(rest) == [row for row, keep in zip(rows, kept, strict=True) if keep]


@given(logs)
def test_keep_events_keeps_every_row(rows):
    events = events_of(rows)
    rest = filters.keep_events(events, events.items == 1)
    assert rows_of(rest) == [[e for e in row if e[0] == 1] for row in rows]


def test_columns_that_a_log_does_not_have_stay_absent():
    events = events_of([[(1, 0, 0.0), (1, 1, 0.0)]])._replace(times=None, ratings=None)
    rest = filters.drop_consecutive_repeats(events)
    assert rest.items.tolist() == [1]
    assert rest.times is None
    assert rest.ratings is None
