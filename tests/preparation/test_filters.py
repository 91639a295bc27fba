"""Each filter, compared with a slow loop over rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.preparation import filters
from small_logs import events_of, rows_of

event = st.tuples(st.integers(0, 4), st.integers(0, 100), st.sampled_from([1.0, 2.5, 4.0]))
logs = st.lists(
    st.lists(event, max_size=8).map(lambda row: sorted(row, key=lambda e: e[1])), max_size=8
)


@given(logs)
def test_drop_low_ratings(rows):
    remaining = filters.drop_low_ratings(events_of(rows), 2.5)
    assert rows_of(remaining) == [[e for e in row if e[2] >= 2.5] for row in rows]


def test_events_without_a_rating_are_dropped():
    events = events_of([[(1, 0, 5.0), (2, 1, float("nan"))]])
    assert filters.drop_low_ratings(events, 1.0).items.tolist() == [1]


@given(logs)
def test_drop_consecutive_repeats(rows):
    remaining = filters.drop_consecutive_repeats(events_of(rows))
    expected = [[e for i, e in enumerate(row) if i == 0 or e[0] != row[i - 1][0]] for row in rows]
    assert rows_of(remaining) == expected


def slow_sessions(rows, gap):
    sessions, parents = [], []
    for parent, row in enumerate(rows):
        for i, e in enumerate(row):
            if i == 0 or e[1] - row[i - 1][1] > gap:
                sessions.append([])
                parents.append(parent)
            sessions[-1].append(e)
    return sessions, parents


@given(logs, st.integers(0, 50))
def test_split_sessions(rows, gap):
    expected, expected_parents = slow_sessions(rows, gap)
    events, parents = filters.split_sessions(events_of(rows), gap)
    assert rows_of(events) == expected
    assert parents.tolist() == expected_parents


def test_a_gap_as_long_as_allowed_does_not_cut():
    events, _ = filters.split_sessions(events_of([[(1, 0, 0.0), (2, 30, 0.0), (3, 61, 0.0)]]), 30)
    assert events.lengths.tolist() == [2, 1]


@pytest.mark.parametrize(
    ("parents", "expected"), [([], []), ([0, 0, 2, 3, 3, 3], [1, 2, 1, 1, 2, 3])]
)
def test_session_numbers(parents, expected):
    assert filters.session_numbers(np.array(parents, dtype=np.int64)).tolist() == expected


@given(logs, st.data())
def test_select_rows(rows, data):
    mask = data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows)))
    selected = filters.select_rows(events_of(rows), np.array(mask, dtype=bool))
    assert rows_of(selected) == [row for row, keep in zip(rows, mask, strict=True) if keep]


@given(logs)
def test_select_events_keeps_every_row(rows):
    events = events_of(rows)
    selected = filters.select_events(events, events.items == 1)
    assert rows_of(selected) == [[e for e in row if e[0] == 1] for row in rows]


def test_missing_columns_stay_missing():
    events = events_of([[(1, 0, 0.0), (1, 1, 0.0)]])._replace(times=None, ratings=None)
    remaining = filters.drop_consecutive_repeats(events)
    assert remaining.items.tolist() == [1]
    assert remaining.times is None
    assert remaining.ratings is None
