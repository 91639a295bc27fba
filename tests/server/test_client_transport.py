"""``segue.Client`` and servers that are busy, gone, slow or something else; events and users."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest

import segue
from segue.client import client as client_module
from segue.client import transport
from segue.client.requests import event_body

ANSWER = {"items": [], "unknown_items": [], "truncated": 0, "model": "m", "took_ms": 1.5}


class Script(httpx.BaseTransport):
    """Answers calls with given responses in turn, and keeps the calls."""

    def __init__(self, *responses: httpx.Response | Exception) -> None:
        self.responses = list(responses)
        self.calls: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.calls.append(request)
        response = self.responses.pop(0)
        if isinstance(response, Exception):
            raise response
        return response

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(call.content) for call in self.calls]


def refused(status: int, code: str, **headers: str) -> httpx.Response:
    content = {"error": {"code": code, "message": "no", "hint": "later"}}
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, json=content, headers=names)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that clients wait; in tests, no time passes."""
    seconds: list[float] = []
    monkeypatch.setattr(transport.time, "sleep", seconds.append)
    return seconds


def client_of(script: Script, **options: Any) -> segue.Client:
    return segue.Client("http://server.example", transport=script, **options)


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_called_again(waits: list[float], status: int) -> None:
    busy = [refused(status, "queue_full", retry_after="3"), refused(status, "queue_full")]
    script = Script(*busy, httpx.Response(200, json=ANSWER))
    assert client_of(script).recommend(["a"]).model == "m"
    assert waits == [3.0, 1.0]
    assert len({call.content for call in script.calls}) == 1


def test_retries_are_bounded(waits: list[float]) -> None:
    script = Script(*[refused(503, "queue_full", retry_after="1") for _ in range(9)])
    with pytest.raises(segue.ServerError) as raised:
        client_of(script, retries=4).recommend(["a"])
    assert (raised.value.code, raised.value.status, len(script.calls)) == ("queue_full", 503, 5)


def warming_up(wait: str = "5") -> httpx.Response:
    return refused(503, "not_ready", retry_after=wait)


def test_a_server_that_warms_up_is_waited_for_beside_the_retries(waits: list[float]) -> None:
    busy = refused(503, "queue_full", retry_after="2")
    script = Script(*[warming_up() for _ in range(9)], busy, httpx.Response(200, json=ANSWER))
    assert client_of(script, retries=1).recommend(["a"]).model == "m"
    assert waits == [5.0] * 9 + [2.0]


@pytest.mark.parametrize(("timeout_s", "n_waits"), [(0.0, 0), (4.9, 0), (5.0, 1), (12.0, 2)])
def test_a_server_that_does_not_get_ready(
    waits: list[float], timeout_s: float, n_waits: int
) -> None:
    script = Script(*[warming_up() for _ in range(9)])
    with pytest.raises(segue.ServerError) as raised:
        client_of(script, startup_timeout_s=timeout_s).recommend(["a"])
    assert (raised.value.code, waits) == ("not_ready", [5.0] * n_waits)
    assert raised.value.message.startswith(
        f"http://server.example was not ready after {5 * n_waits} s"
    )
    assert "startup_timeout_s" in raised.value.hint


def test_waiting_ends_even_if_the_server_says_at_once(waits: list[float]) -> None:
    script = Script(*[warming_up("0") for _ in range(9)])
    with pytest.raises(segue.ServerError, match="not ready after 2 s"):
        client_of(script, startup_timeout_s=2.0).recommend(["a"])
    assert waits == [0.5] * 4


def test_wait_until_ready(waits: list[float]) -> None:
    starting = [httpx.ConnectError("refused"), warming_up(), httpx.ReadTimeout("slow")]
    script = Script(*starting, httpx.Response(200, json={"status": "ready"}))
    client_of(script).wait_until_ready()
    assert [call.url.path for call in script.calls] == ["/readyz"] * 4
    assert waits == [1.0] * 3


@pytest.mark.parametrize(
    ("failure", "code", "n_calls"),
    [
        (httpx.ConnectError("refused"), "unreachable", 2),
        (warming_up(), "not_ready", 2),
        (httpx.Response(404, content=b"<html>"), "unexpected_response", 1),
    ],
    ids=["unreachable", "not ready", "another server"],
)
def test_waiting_until_ready_ends(
    monkeypatch: pytest.MonkeyPatch, failure: Any, code: str, n_calls: int
) -> None:
    seconds = [0.0]
    monkeypatch.setattr(transport.time, "monotonic", lambda: seconds[0])
    monkeypatch.setattr(transport.time, "sleep", lambda _: seconds.append(seconds.pop() + 3.0))
    script = Script(failure, failure, failure)
    with pytest.raises(segue.ServerError) as raised:
        client_of(script).wait_until_ready(timeout_s=2.0)
    assert (raised.value.code, len(script.calls)) == (code, n_calls)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"retries": -1}, "retries"),
        ({"max_wait_s": -1.0}, "max_wait_s"),
        ({"startup_timeout_s": float("nan")}, "startup_timeout_s"),
    ],
)
def test_numbers_of_retries_that_are_none(options: dict[str, Any], name: str) -> None:
    with pytest.raises(segue.ConfigError, match=f"{name} is .*, expected"):
        client_of(Script(), **options)


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({}, "give it: api_key=KEY to segue.Client"),
        ({"api_key": "old"}, "give another api_key to segue.Client"),
    ],
    ids=["without a key", "with a wrong key"],
)
def test_how_to_give_a_key_in_python(options: dict[str, Any], hint: str) -> None:
    script = Script(refused(401, "unauthorized"))
    with pytest.raises(segue.ServerError) as raised:
        client_of(script, **options).recommend(["a"])
    assert raised.value.hint.startswith(hint)


def test_long_waits_are_left_to_the_caller(waits: list[float]) -> None:
    script = Script(refused(429, "rate_limited", retry_after="60"))
    with pytest.raises(segue.ServerError, match="rate_limited"):
        client_of(script).recommend(["a"])
    assert waits == []


def test_a_date_in_retry_after(waits: list[float]) -> None:
    due = format_datetime(datetime.now(UTC) - timedelta(seconds=5), usegmt=True)
    script = Script(refused(503, "queue_full", retry_after=due), httpx.Response(200, json=ANSWER))
    client_of(script).recommend(["a"])
    assert waits == [0.0]


@pytest.mark.parametrize("status", [400, 401, 408, 422, 500, 502, 504])
def test_other_failures_are_not_repeated(waits: list[float], status: int) -> None:
    script = Script(refused(status, "some_code", retry_after="1", x_request_id="abc"))
    with pytest.raises(segue.ServerError) as raised:
        client_of(script).recommend(["a"])
    error = raised.value
    assert (error.status, error.code, error.request_id) == (status, "some_code", "abc")
    assert str(error) == "no (later) [some_code, request abc]"
    assert (len(script.calls), waits) == (1, [])


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (httpx.ConnectError("refused"), "unreachable"),
        (httpx.ReadTimeout("slow"), "timeout"),
        (httpx.Response(200, content=b"<html>"), "unexpected_response"),
        (httpx.Response(200, json={"items": 1}), "unexpected_response"),
        (httpx.Response(404, content=b"<html>"), "unexpected_response"),
        (httpx.Response(404, json={"error": "text"}), "unexpected_response"),
        (httpx.Response(301, headers={"location": "/"}), "unexpected_response"),
    ],
)
def test_what_is_no_answer(failure: Any, code: str) -> None:
    with pytest.raises(segue.ServerError) as raised:
        client_of(Script(failure)).recommend(["a"])
    assert raised.value.code == code
    assert raised.value.hint


def test_the_key_is_sent_and_never_shown() -> None:
    script = Script(httpx.Response(200, json=ANSWER))
    client = client_of(script, api_key="segue_secret", model="films")
    client.recommend(["a"])
    assert script.calls[0].headers["authorization"] == "Bearer segue_secret"
    assert script.calls[0].headers["user-agent"] == f"segue/{segue.__version__}"
    assert script.bodies == [{"items": ["a"], "model": "films"}]
    assert repr(client) == "Client('http://server.example', model='films')"
    with pytest.raises(segue.ConfigError) as raised:
        segue.Client(api_key="sécret")
    assert "cret" not in str(raised.value)


@pytest.mark.parametrize("url", ["localhost:8000", "", "ftp://x", "http://", "http://a b:xx"])
def test_a_url_that_is_none(url: str) -> None:
    with pytest.raises(segue.ConfigError, match="expected the address of a server"):
        segue.Client(url)


@pytest.mark.parametrize("timeout_s", [0.0, -1.0, float("nan"), float("inf")])
def test_a_timeout_that_is_none(timeout_s: float) -> None:
    with pytest.raises(segue.ConfigError, match="expected a number of seconds above 0"):
        segue.Client(timeout_s=timeout_s)


def test_without_httpx(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "find_spec", lambda _: None)
    with pytest.raises(segue.ConfigError, match=r"pip install 'segue\[client\]'"):
        segue.Client()


def test_a_closed_client() -> None:
    with client_of(Script()) as client:
        pass
    with pytest.raises(segue.RequestError, match="the client is closed"):
        client.models()


def test_reload_names_the_model() -> None:
    script = Script(httpx.Response(200, json={"models": [{"name": "films"}]}))
    assert client_of(script, model="films").reload() == [{"name": "films"}]
    assert script.calls[0].url.path == "/v1/admin/reload"
    assert script.bodies == [{"model": "films"}]


def stored(*statuses: str) -> httpx.Response:
    results = [{"event_id": f"e{n}", "status": status} for n, status in enumerate(statuses)]
    counts = {
        name: statuses.count(status)
        for name, status in (
            ("stored", "stored"),
            ("already_stored", "already_stored"),
            ("conflicts", "conflict"),
        )
    }
    return httpx.Response(200, json={"results": results, **counts})


def test_events_are_sent_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "EVENTS_PER_CALL", 2)
    script = Script(stored("stored", "already_stored"), stored("conflict"))
    time = datetime(2026, 11, 30, 12, tzinfo=UTC)
    events = [
        {"event_id": f"e{n}", "user_id": 7, "item_id": n, "time": time, "kind": "play"}
        for n in range(3)
    ]
    outcome = client_of(script).add_events(iter(events))
    assert (outcome.stored, outcome.already_stored, outcome.conflicts) == (1, 1, 1)
    assert [result["status"] for result in outcome.results] == [
        "stored", "already_stored", "conflict",
    ]  # fmt: skip
    assert [len(body["events"]) for body in script.bodies] == [2, 1]
    assert script.bodies[0]["events"][1] == {
        "event_id": "e1", "user_id": "7", "item_id": "1", "kind": "play",
        "time": "2026-11-30T12:00:00+00:00",
    }  # fmt: skip


def test_an_event_without_an_id_keeps_the_one_it_gets(waits: list[float]) -> None:
    script = Script(refused(503, "events_unavailable", retry_after="1"), stored("stored"))
    client_of(script).add_events([{"user_id": "u", "item_id": "i", "time": "x", "kind": "play"}])
    first, second = (body["events"][0]["event_id"] for body in script.bodies)
    assert first == second
    assert len(first) == 32


@pytest.mark.parametrize(
    "event", ["e1", {"user_id": "u", "time": datetime(2026, 1, 1)}], ids=["text", "naive time"]
)
def test_an_event_that_cannot_be_sent(event: Any) -> None:
    with pytest.raises(segue.RequestError):
        event_body(event)


def test_the_events_of_a_user_come_page_by_page() -> None:
    pages = [
        {"user_id": "u/1", "events": [{"event_id": "a"}, {"event_id": "b"}], "next": "c+/="},
        {"user_id": "u/1", "events": [{"event_id": "c"}], "next": None},
    ]
    script = Script(*[httpx.Response(200, json=page) for page in pages])
    events = client_of(script).user_events("u/1")
    assert script.calls == []
    assert [event["event_id"] for event in events] == ["a", "b", "c"]
    assert [call.url.raw_path.partition(b"?")[0] for call in script.calls] == [
        b"/v1/users/u%2F1/events"
    ] * 2
    assert script.calls[1].url.params["after"] == "c+/="


def test_delete_the_events_of_a_user() -> None:
    script = Script(httpx.Response(200, json={"user_id": "u", "deleted": 3}))
    assert client_of(script).delete_user_events("u") == 3
    assert script.calls[0].method == "DELETE"
