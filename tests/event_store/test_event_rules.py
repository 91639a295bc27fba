"""Rules for ids, times and weights of events."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.errors import ConfigError
from segue.event_store import DEFAULT_WEIGHTS, Event, check_kinds, parse_event_weights
from segue.event_store.event import stored_id, time_from_text, time_to_text
from segue.event_store.weights import history_of, kinds_by_sign

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
ZONES = st.integers(-14 * 60, 14 * 60).map(lambda m: timezone(timedelta(minutes=m)))
TIMES = st.datetimes(datetime(1980, 1, 3), datetime(2026, 11, 30), timezones=ZONES)


@given(TIMES)
def test_times_are_kept_to_the_microsecond_in_any_zone(time: datetime) -> None:
    time_us = time_from_text(time.isoformat(), NOW)
    assert datetime.fromisoformat(time_to_text(time_us)) == time
    assert time_from_text(time_to_text(time_us), NOW) == time_us


@pytest.mark.parametrize(
    ("text", "is_accepted"),
    [
        ("1980-01-01T00:00:00Z", True),
        ("1979-12-31T23:59:59.999999Z", False),
        ("2026-12-01T12:00:00Z", True),
        ("2026-12-01T12:00:00.000001Z", False),
        ("2026-11-30T12:00:00", False),
        ("2026-11-30", False),
        ("1700000000", False),
        ("", False),
        ("9999-12-31T23:59:59-23:59", False),
        ("0001-01-01T00:00:00+23:59", False),
    ],
)
def test_times_that_are_accepted(text: str, is_accepted: bool) -> None:
    if is_accepted:
        assert time_to_text(time_from_text(text, NOW)) == text
    else:
        with pytest.raises(ValueError, match="time"):
            time_from_text(text, NOW)


def test_ids_follow_the_rule_for_ids() -> None:
    assert [stored_id(value, "x") for value in (7, "7", " 7 ", "7.0", "007")] == [
        "7", "7", "7", "7", "007",
    ]  # fmt: skip
    for value in ("", " ", "null", 1.5, True, "a\0", "x" * 257):
        with pytest.raises(ValueError, match=r"^x "):
            stored_id(value, "x")


def test_there_is_a_limit_of_kinds():
    n = 100 - len(DEFAULT_WEIGHTS)
    assert len(parse_event_weights([f"k{i}=-1" for i in range(n)])) == 100
    with pytest.raises(ConfigError, match="101 kinds of events, expected at most 100"):
        parse_event_weights([f"k{i}=-1" for i in range(n + 1)])


def test_weights_of_options() -> None:
    assert parse_event_weights([]) == DEFAULT_WEIGHTS
    weights = parse_event_weights(["skip=0", "listen=0.5", "a.b-c_1=-2e1"])
    assert weights == {**DEFAULT_WEIGHTS, "skip": 0, "listen": 0.5, "a.b-c_1": -20}
    for wrong in ("skip", "=1", "Skip=1", "a b=1", "skip=", "skip=x", "skip=nan", "skip=inf"):
        with pytest.raises(ConfigError, match="the event weight"):
            parse_event_weights([wrong])


def test_a_kind_without_a_weight_is_an_error() -> None:
    check_kinds(["view", "skip"], DEFAULT_WEIGHTS)
    with pytest.raises(ConfigError, match="'veiw' have no weight") as error:
        check_kinds(["veiw"], DEFAULT_WEIGHTS)
    assert "did you mean 'view'?" in error.value.hint


KINDS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["view", "skip", "zero", "x"])))


@given(KINDS)
def test_a_history_never_depends_on_what_comes_later(pairs: list[tuple[str, str]]) -> None:
    events = [Event(str(n), "u", item, n, kind) for n, (item, kind) in enumerate(pairs)]
    weights = {"view": 2.0, "skip": -0.5, "zero": 0.0}
    history = history_of(iter(events), weights)
    assert history == [event for event in events if event.kind == "view"]
    for end in range(len(events)):
        earlier = history_of(events[:end], weights)
        assert earlier == history[: len(earlier)]


def test_kinds_by_the_sign_of_their_weights() -> None:
    weights = {"view": 2.0, "skip": -0.5, "zero": 0.0, "like": 1.0, "dislike": -3.0}
    assert kinds_by_sign(weights) == (["skip", "dislike"], ["view", "like"])
