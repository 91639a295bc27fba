"""What every event store must do; run for SQLite and, among the slow tests, for PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segue.errors import EventStoreError
from segue.event_store import Event, EventStore, open_event_store

DAY_US = 86_400_000_000


def event(event_id: str, user: str = "u", time_us: int = 0, item: str = "i", kind: str = "view"):
    return Event(event_id, user, item, time_us, kind)


def all_events(store: EventStore, size: int = 100) -> list[Event]:
    return [event for block in store.blocks(size) for event in block]


def test_new_events_are_stored_and_the_same_again_are_there(store: EventStore) -> None:
    events = [event("a"), event("b", time_us=5)]
    assert store.add(events) == ["stored", "stored"]
    assert store.add(events) == ["already_stored", "already_stored"]
    assert store.add([event("c"), *events]) == ["stored", "already_stored", "already_stored"]
    assert sorted(all_events(store)) == sorted([*events, event("c")])


@pytest.mark.parametrize("name", ["user_id", "item_id", "time_us", "kind"])
def test_the_same_id_with_another_content_is_a_conflict(store: EventStore, name: str) -> None:
    first = event("a")
    changed = first._replace(**{name: 7 if name == "time_us" else "other"})
    store.add([first])
    assert store.add([changed, event("b")]) == ["conflict", "stored"]
    assert sorted(all_events(store)) == [first, event("b")]


def test_an_id_twice_in_one_call(store: EventStore) -> None:
    events = [event("a"), event("a"), event("a", item="other"), event("b")]
    assert store.add(events) == ["stored", "already_stored", "conflict", "stored"]
    assert sorted(all_events(store)) == [event("a"), event("b")]


def test_no_events(store: EventStore) -> None:
    assert store.add([]) == []
    assert store.latest([], 10) == []
    assert store.latest(["u"], 10) == [[]]
    assert store.page("u", None, 10) == ([], None)
    assert store.delete_user("u") == 0
    assert all_events(store) == []


def test_the_latest_events_of_users_oldest_first(store: EventStore) -> None:
    store.add([event("a", "u", 3), event("b", "u", 1), event("c", "v", 2), event("d", "u", 3)])
    latest = store.latest(["u", "w", "v", "u"], 2)
    ids = [[event.event_id for event in events] for events in latest]
    assert ids == [["a", "d"], [], ["c"], ["a", "d"]]  # of equal times, the later arrival is later


SIGNS = (["skip", "dislike"], ["view", "like"])


def test_an_item_is_rejected_until_a_later_positive_event(store: EventStore) -> None:
    store.add([event("a", time_us=5, kind="skip"), event("b", "v", 9, kind="view")])
    assert store.rejected_items(["u", "v", "w", "u"], *SIGNS, 10) == [{"i"}, set(), set(), {"i"}]
    store.add([event("c", time_us=7, kind="zero"), event("d", time_us=4)])  # neither lifts it
    assert store.rejected_items(["u"], *SIGNS, 10) == [{"i"}]
    store.add([event("e", time_us=5, kind="like")])  # of equal times, the later arrival is later
    assert store.rejected_items(["u"], *SIGNS, 10) == [set()]
    store.add([event("f", time_us=6, kind="dislike")])
    assert store.rejected_items(["u"], *SIGNS, 10) == [{"i"}]
    assert store.rejected_items(["u"], [], ["view"], 10) == [set()]
    assert store.rejected_items(["u"], ["dislike"], [], 10) == [{"i"}]


def test_a_rejection_outlasts_any_number_of_other_events(store: EventStore) -> None:
    long = "\U0001d11e" * 1_000  # as long as an item id can be
    store.add([event("first", item=long, kind="dislike")])
    views = [event(f"e{n}", time_us=n, item=f"i{n % 7}") for n in range(1, 1_200)]
    store.add([*views, *(event(f"s{n}", time_us=n, item="j", kind="skip") for n in range(9))])
    assert store.rejected_items(["u"], *SIGNS, 5) == [{long, "j"}]  # the limit is of each kind


def rejected(events: list[Event], user: str, limit: int) -> set[str]:
    """What ``rejected_items`` must give, from the events in the order of their arrival."""
    ordered = sorted((e for e in events if e.user_id == user), key=lambda event: event.time_us)
    latest = [e for kind in SIGNS[0] for e in [e for e in ordered if e.kind == kind][-limit:]]
    last = {e.item_id: e.kind for e in ordered if e.kind in SIGNS[0] + SIGNS[1]}
    return {e.item_id for e in latest if last[e.item_id] in SIGNS[0]}


SIGNED_EVENTS = st.tuples(
    st.sampled_from("uv"),
    st.integers(0, 5),
    st.sampled_from("ijk"),
    st.sampled_from(["view", "like", "skip", "dislike", "zero"]),
)


@given(rows=st.lists(SIGNED_EVENTS, max_size=30), limit=st.integers(1, 4))
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rejected_items_are_those_of_the_last_signed_event(
    store: EventStore, rows: list[tuple[str, int, str, str]], limit: int
) -> None:
    for user in "uv":
        store.delete_user(user)
    events = [event(f"e{n}", *row) for n, row in enumerate(rows)]
    store.add(events)
    expected = [rejected(events, user, limit) for user in "uv"]
    assert store.rejected_items("uv", *SIGNS, limit) == expected


@given(
    rows=st.lists(SIGNED_EVENTS, max_size=30),
    users=st.lists(st.sampled_from("uvwx"), max_size=8),
    limit=st.integers(1, 4),
)
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_many_users_at_once_are_read_as_one_at_a_time(
    store: EventStore, rows: list[tuple[str, int, str, str]], users: list[str], limit: int
) -> None:
    for user in "uv":
        store.delete_user(user)
    events = [event(f"e{n}", *row) for n, row in enumerate(rows)]
    store.add(events)
    by_time = sorted(events, key=lambda event: event.time_us)
    expected = [[e for e in by_time if e.user_id == user][-limit:] for user in users]
    assert store.latest(users, limit) == expected
    assert [store.latest([user], limit) for user in users] == [[events] for events in expected]
    one_by_one = [store.rejected_items([user], *SIGNS, limit) for user in users]
    assert [[items] for items in store.rejected_items(users, *SIGNS, limit)] == one_by_one


def test_more_users_than_one_statement_reads(store: EventStore) -> None:
    store.add([event(f"e{n}", f"u{n}", kind="skip", item=f"i{n}") for n in range(0, 200, 2)])
    users = [f"u{n}" for n in reversed(range(200))]
    ids = [[event.event_id for event in events] for events in store.latest(users, 5)]
    assert ids == [[] if n % 2 else [f"e{n}"] for n in reversed(range(200))]
    rejections = store.rejected_items(users, *SIGNS, 5)
    assert rejections == [set() if n % 2 else {f"i{n}"} for n in reversed(range(200))]


def test_pages_have_every_event_once_in_order(store: EventStore) -> None:
    times = [5, 1, 5, 5, 2, 9, 5]
    store.add([event(f"e{n}", time_us=time) for n, time in enumerate(times)])
    store.add([event("x", "other")])
    for limit in (1, 2, 3, 7, 100):
        ids, after = [], None
        while True:
            events, after = store.page("u", after, limit)
            assert len(events) <= limit
            ids += [event.event_id for event in events]
            if after is None:
                break
        assert ids == ["e1", "e4", "e0", "e2", "e3", "e6", "e5"]


def test_deleting_a_user_leaves_the_others(store: EventStore) -> None:
    store.add([event("a"), event("b"), event("c", "v")])
    assert store.delete_user("u") == 2
    assert store.delete_user("u") == 0
    assert store.erase()
    assert all_events(store) == [event("c", "v")]
    assert store.add([event("a")]) == ["stored"]


def test_deleting_what_is_too_old(store: EventStore) -> None:
    store.add([event(f"e{day}", time_us=day * DAY_US) for day in range(10)])
    assert store.delete_before(6 * DAY_US, 4) == 4
    assert store.delete_before(6 * DAY_US, 4) == 2
    assert [event.event_id for event in all_events(store)] == ["e6", "e7", "e8", "e9"]


def test_blocks_are_by_user_and_time(store: EventStore) -> None:
    users = ["b", "a", "B", "é", "10", "9", "𐀀", "\ue000"]
    store.add([event(f"{user}{time}", user, time) for time in (2, 1) for user in users])
    expected = [(user, time) for user in sorted(users) for time in (1, 2)]
    for size in (1, 3, 100):
        events = all_events(store, size)
        assert [(event.user_id, event.time_us) for event in events] == expected
    assert store.kinds() == ["view"]


def test_everything_is_there_after_it_was_opened_again(
    store: EventStore, open_store: Callable[[], EventStore]
) -> None:
    store.add([event("a")])
    store.close()
    again = open_store()
    assert all_events(again) == [event("a")]
    assert again.add([event("a")]) == ["already_stored"]
    store.check()  # connections are opened again when they are needed


def test_reading_goes_on_while_something_is_written(store: EventStore) -> None:
    store.add([event(f"e{n}", time_us=n) for n in range(6)])
    blocks = store.blocks(2)
    first = next(blocks)
    store.add([event("new", "a")])
    store.delete_user("u")
    rest = [event for block in blocks for event in block]
    assert [event.event_id for event in first + rest] == [f"e{n}" for n in range(6)]


def test_several_threads_and_stores_write_the_same_events(
    store: EventStore, open_store: Callable[[], EventStore]
) -> None:
    stores, results = [store, open_store()], []
    events = [event(f"e{n}", time_us=n) for n in range(40)]

    def write(number: int) -> None:
        for start in range(0, 40, 10):
            results.extend(stores[number % 2].add(events[start : start + 10]))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (results.count("stored"), results.count("already_stored")) == (40, 120)
    assert all_events(store) == events


def test_a_store_that_is_not_created_must_be_there(location: str, store: EventStore) -> None:
    store.add([event("a")])
    assert all_events(open_event_store(location)) == [event("a")]


def test_text_of_all_kinds_is_kept(store: EventStore) -> None:
    texts = ["x" * 256, "𝄞" * 256, "'; DROP TABLE events; --", '"', "\\", "%s", "a\nb", "NULL"]
    events = [Event(text, text, text, -1, "view") for text in texts]
    assert store.add(events) == ["stored"] * len(texts)
    for text, stored in zip(texts, events, strict=True):
        assert store.page(text, None, 5) == ([stored], None)
    assert store.latest(texts, 5) == [[stored] for stored in events]
    assert store.rejected_items(texts, ["view"], [], 5) == [{text} for text in texts]


EVENTS = st.builds(
    Event,
    st.sampled_from("abcd"),
    st.sampled_from("uv"),
    st.sampled_from("ij"),
    st.integers(0, 3),
    st.sampled_from(["view", "skip"]),
)
CALLS = st.lists(
    st.one_of(st.lists(EVENTS, max_size=5), st.sampled_from("uv"), st.integers(0, 4)), max_size=8
)


@given(calls=CALLS)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_calls_give_what_a_dictionary_gives(store: EventStore, calls: list) -> None:
    for user in "uv":
        store.delete_user(user)
    reference: dict[str, Event] = {}
    for call in calls:
        if isinstance(call, str):
            gone = [key for key, event in reference.items() if event.user_id == call]
            assert store.delete_user(call) == len(gone)
        elif isinstance(call, int):
            gone = [key for key, event in reference.items() if event.time_us < call]
            assert store.delete_before(call, 100) == len(gone)
        else:
            gone, expected = [], []
            for new in call:
                there = reference.setdefault(new.event_id, new)
                expected.append(
                    "stored" if there is new else "already_stored" if there == new else "conflict"
                )
            assert store.add(call) == expected
        for key in gone:
            del reference[key]
    order = sorted(reference.values(), key=lambda event: (event.user_id, event.time_us))
    stored = all_events(store)
    assert sorted(stored) == sorted(order)
    assert [event[1:4:2] for event in stored] == [event[1:4:2] for event in order]


def test_a_missing_store_is_an_error() -> None:
    with pytest.raises(EventStoreError, match="does not exist"):
        open_event_store("/nowhere/events.db")
