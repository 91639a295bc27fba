"""Events over HTTP: stored once, listed, deleted, refused; and a database that goes and returns."""

from __future__ import annotations

import io
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from app_client import AppClient
from test_errors_over_http import error_of

from segue.server import event_schemas

if TYPE_CHECKING:
    from segue.server.settings import ServerSettings

JSON = {"content-type": "application/json"}


def event(event_id: str = "e", user: str = "v", **changes: Any) -> dict[str, Any]:
    return {
        "event_id": event_id,
        "user_id": user,
        "item_id": "i1",
        "time": "2025-06-01T12:00:00Z",
        "kind": "view",
    } | changes


def results(response: Any) -> list[str]:
    """The status of each event of a response whose shape and counts are checked."""
    assert response.status_code == 200, response.text
    content = response.json()
    event_schemas.EventResultsShape.model_validate(content)
    statuses = [result["status"] for result in content["results"]]
    names = {"stored": "stored", "already_stored": "already_stored", "conflicts": "conflict"}
    assert {name: statuses.count(status) for name, status in names.items()} == {
        name: content[name] for name in names
    }
    return statuses


@pytest.fixture(autouse=True)
def no_events_of_other_tests(client: AppClient) -> None:
    for user in ("v", "w", "7"):
        client.request("DELETE", f"/v1/users/{user}/events")


def test_an_event_is_stored_once(client: AppClient) -> None:
    assert results(client.post("/v1/events", event())) == ["stored"]
    assert results(client.post("/v1/events", event())) == ["already_stored"]
    same_time = event(time="2025-06-01T14:00:00.000000+02:00")
    assert results(client.post("/v1/events", same_time)) == ["already_stored"]
    listed = client.get("/v1/users/v/events").json()
    event_schemas.UserEventsShape.model_validate(listed)
    assert listed == {"user_id": "v", "events": [event()], "next": None}


def test_many_events_say_what_became_of_each(client: AppClient) -> None:
    client.post("/v1/events", event("a"))
    many = [event("b"), event("a"), event("a", item_id="i2"), event("b")]
    response = client.post("/v1/events", {"events": many})
    assert results(response) == ["stored", "already_stored", "conflict", "already_stored"]
    assert [result["event_id"] for result in response.json()["results"]] == ["b", "a", "a", "b"]


def test_one_event_in_conflict_is_an_error(client: AppClient) -> None:
    client.post("/v1/events", event())
    error_of(client.post("/v1/events", event(kind="like")), 409, "event_conflict")
    assert client.get("/v1/users/v/events").json()["events"] == [event()]


def test_calls_that_arrive_together_are_stored_together(client: AppClient) -> None:
    bodies = [event(f"e{n % 30}", "w" if n % 2 else "v") for n in range(60)]
    responses = client.post_all("/v1/events", bodies)
    statuses = [status for response in responses for status in results(response)]
    assert (statuses.count("stored"), statuses.count("already_stored")) == (30, 30)


def test_ids_are_read_by_the_rule_for_ids(client: AppClient) -> None:
    body = event(event_id=12, user=7, item_id=3)
    assert client.post("/v1/events", body).json()["results"][0]["event_id"] == "12"
    assert results(client.post("/v1/events", event("12", " 7 ", item_id="3.0"))) == [
        "already_stored"
    ]
    assert client.get("/v1/users/7/events").json()["events"][0]["item_id"] == "3"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"event_id": ""}, "event_id '' stands for a missing id"),
        ({"user_id": "null"}, "user_id 'null' stands for a missing id"),
        ({"user_id": True}, "user_id"),
        ({"item_id": 1.5}, "item_id"),
        ({"event_id": "x" * 257}, "event_id has more than 256 characters"),
        ({"user_id": "x\0"}, "user_id has a NUL character"),
        ({"time": "2025-06-01T12:00:00"}, "time has no offset"),
        ({"time": "yesterday"}, "time cannot be read"),
        ({"time": 1_700_000_000}, "time"),
        ({"time": "1979-12-31T23:59:59Z"}, "time is before 1980"),
        ({"time": "9999-12-31T23:59:59-23:59"}, "more than a day ahead"),
        ({"time": "0001-01-01T00:00:00+23:59"}, "time is before 1980"),
        ({"kind": "Buy"}, "kind is not one that this server has a weight for"),
        ({"rating": 5}, "unknown key"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_an_event_that_cannot_be_stored(
    client: AppClient, change: dict[str, Any], message: str
) -> None:
    wrong = event() | change
    assert message in error_of(client.post("/v1/events", wrong), 422, "invalid_request")["message"]
    many = {"events": [event("good"), wrong]}
    error = error_of(client.post("/v1/events", many), 422, "invalid_request")
    assert message in error["message"]
    assert "events" in error["message"]
    assert client.get("/v1/users/v/events").json()["events"] == []  # nothing of the call is stored


def test_a_missing_key_and_numbers_of_events(client: AppClient) -> None:
    for name in event():
        body = {key: value for key, value in event().items() if key != name}
        assert (
            f"{name} is missing"
            in error_of(client.post("/v1/events", body), 422, "invalid_request")["message"]
        )
    for events in ([], [event(f"e{n}") for n in range(1_001)]):
        error_of(client.post("/v1/events", {"events": events}), 422, "invalid_request")
    content = rb'{"event_id": "\ud800", "user_id": "v", "item_id": "i", "time": "x", "kind": "x"}'
    error_of(client.post("/v1/events", content=content, headers=JSON), 422, "invalid_request")


def test_pages_of_a_user(client: AppClient) -> None:
    start = datetime(2025, 1, 1, tzinfo=UTC)
    times = [(start + timedelta(days=day)).isoformat() for day in (3, 1, 2, 1, 9)]
    client.post("/v1/events", {"events": [event(f"e{n}", time=t) for n, t in enumerate(times)]})
    ids, after = [], {}
    while after is not None:
        page = client.get("/v1/users/v/events", params={"limit": 2, **after}).json()
        ids += [listed["event_id"] for listed in page["events"]]
        after = {"after": page["next"]} if page["next"] else None
    assert ids == ["e1", "e3", "e2", "e0", "e4"]
    for wrong in ({"limit": 0}, {"limit": 1_001}, {"after": "x"}, {"after": "1.²"}):
        error_of(client.get("/v1/users/v/events", params=wrong), 422, "invalid_request")
    assert client.get("/v1/users/nobody/events").json()["events"] == []


def test_ids_of_users_in_paths(client: AppClient) -> None:
    for user, path in [
        ("a/b", "a%2Fb"),
        ("a b?", "a%20b%3F"),
        ("é", "%C3%A9"),
        ("events", "events"),
    ]:
        client.post("/v1/events", event(f"of {user}", user))
        page = client.get(f"/v1/users/{path}/events").json()
        assert (page["user_id"], len(page["events"])) == (user, 1)
        deleted = client.request("DELETE", f"/v1/users/{path}/events").json()
        assert deleted == {"user_id": user, "deleted": 1}
    error_of(client.get("/v1/users/%00/events"), 422, "invalid_request")
    error_of(client.get("/v1/users/%20/events"), 422, "invalid_request")


def test_deleted_events_are_gone(client: AppClient) -> None:
    client.post("/v1/events", {"events": [event("a"), event("b"), event("c", "w")]})
    deleted = client.request("DELETE", "/v1/users/v/events").json()
    event_schemas.DeletedEventsShape.model_validate(deleted)
    assert deleted == {"user_id": "v", "deleted": 2}
    assert client.request("DELETE", "/v1/users/v/events").json()["deleted"] == 0
    assert client.get("/v1/users/v/events").json()["events"] == []
    assert len(client.get("/v1/users/w/events").json()["events"]) == 1


def test_neither_log_nor_metrics_name_a_user_or_an_item(
    client: AppClient, log_stream: io.BytesIO
) -> None:
    client.post("/v1/events", event("secret-event", "secret-user", item_id="secret-item"))
    client.get("/v1/users/secret-user/events")
    client.request("DELETE", "/v1/users/secret-user/events")
    metrics = client.get("/metrics").text
    client.app.state.service.log.write("flush")
    assert "secret" not in metrics
    assert b"secret" not in log_stream.getvalue()
    assert 'segue_events_total{result="stored"}' in metrics
    assert 'segue_events_available{store="events"} 1.0' in metrics


def test_without_a_store(cycle_run: Path, small_settings: ServerSettings) -> None:
    from segue.server.app import create_app
    from segue.server.log import Log
    from segue.server.registry import ModelRegistry

    registry = ModelRegistry({"cycles": cycle_run})
    app = create_app(registry, settings=small_settings, log=Log(io.BytesIO()))
    with AppClient(app) as client:
        assert (
            "--events"
            in error_of(client.post("/v1/events", event()), 404, "no_event_store")["hint"]
        )
        error_of(client.get("/v1/users/v/events"), 404, "no_event_store")
        error_of(client.request("DELETE", "/v1/users/v/events"), 404, "no_event_store")
        assert client.get("/readyz").json() == {"status": "ready"}


@pytest.fixture
def moving(
    cycle_run: Path, small_settings: ServerSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[AppClient, Path, io.BytesIO]]:
    """A server whose store lies in a folder that can be moved away, and that keeps 30 days."""
    from segue.event_store import open_event_store
    from segue.server import user_events
    from segue.server.app import create_app
    from segue.server.log import Log
    from segue.server.registry import ModelRegistry

    monkeypatch.setattr(user_events, "RETRY_S", 0.0)
    monkeypatch.setattr(user_events, "TICK_S", 0.02)
    monkeypatch.setattr(user_events, "ERASURE_S", 0.0)
    monkeypatch.setattr(user_events, "EXPIRY_S", 0.0)
    monkeypatch.setattr(user_events, "EXPIRY_BLOCK", 2)
    folder, log = tmp_path / "store", io.BytesIO()
    folder.mkdir()
    store = open_event_store(folder / "events.db", creates=True)
    settings = replace(small_settings, events_retention_s=30 * 86_400.0)
    registry = ModelRegistry({"cycles": cycle_run})
    with AppClient(create_app(registry, settings=settings, log=Log(log), events=store)) as client:
        yield client, folder, log


def recent(event_id: str, days: float) -> dict[str, Any]:
    return event(event_id, time=(datetime.now(UTC) - timedelta(days=days)).isoformat())


def until(condition: Any) -> None:
    """Wait; the time limit of the test ends it."""
    import time

    while not condition():
        time.sleep(0.01)


def test_a_database_that_is_gone_and_back(moving: tuple[AppClient, Path, io.BytesIO]) -> None:
    client, folder, log = moving
    before = recent("before", 1)
    assert results(client.post("/v1/events", before)) == ["stored"]
    folder.rename(folder.with_name("away"))
    for response in (
        client.post("/v1/events", recent("lost", 1)),
        client.get("/v1/users/v/events"),
        client.request("DELETE", "/v1/users/v/events"),
        client.post("/v1/recommend", {"user": "v"}),
        client.post("/v1/recommend", {"requests": [{"items": ["i1"]}, {"user": "v"}]}),
    ):
        error_of(response, 503, "events_unavailable")
        assert int(response.headers["retry-after"]) >= 1
    assert client.post("/v1/recommend", {"items": ["i1"]}).status_code == 200
    assert client.get("/readyz").json() == {"status": "ready", "events": "unavailable"}
    assert 'segue_events_available{store="events"} 0.0' in client.get("/metrics").text
    folder.with_name("away").rename(folder)
    until(lambda: client.get("/readyz").json()["events"] == "available")
    assert results(client.post("/v1/events", before)) == ["already_stored"]
    assert results(client.post("/v1/events", recent("after", 1))) == ["stored"]
    lines = [json.loads(line)["event"] for line in log.getvalue().splitlines()]
    assert lines.index("events_unavailable") < lines.index("events_available")


def test_events_older_than_the_retention_are_deleted(
    moving: tuple[AppClient, Path, io.BytesIO],
) -> None:
    client, _, log = moving
    kept = [recent(f"new{n}", 29) for n in range(3)]
    client.post("/v1/events", {"events": kept + [recent(f"old{n}", 31) for n in range(5)]})
    until(lambda: len(client.get("/v1/users/v/events").json()["events"]) == 3)
    until(lambda: b"events_expired" in log.getvalue())


def test_nothing_of_a_deleted_event_is_left_on_disk(
    moving: tuple[AppClient, Path, io.BytesIO],
) -> None:
    client, folder, _ = moving
    secret, time = "a-person-who-wants-to-leave", recent("x", 1)["time"]
    client.post("/v1/events", event("secret-id", secret, item_id="secret-item", time=time))
    client.post("/v1/events", recent("stays", 1))

    def content() -> bytes:
        return b"".join(file.read_bytes() for file in folder.iterdir())

    assert secret.encode() in content()
    client.request("DELETE", f"/v1/users/{secret}/events")
    until(lambda: secret.encode() not in content())
    assert b"secret-i" not in content()
    with sqlite3.connect(folder / "events.db") as connection:
        assert connection.execute("SELECT event_id FROM events").fetchall() == [("stays",)]
    connection.close()
