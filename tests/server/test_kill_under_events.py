"""``kill -9`` of ``segue serve`` under load: no acknowledged event is lost, none is doubled.

Every other kill comes while the models are warmed up, when events are accepted already. SEGUE_KILLS
sets the number of kills; the suite makes two.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from segue.server.user_events import HISTORY_EVENTS

KILLS = int(os.environ.get("SEGUE_KILLS", "2"))
CLIENTS = 4
EVENTS_PER_CALL = 7
CALLS_BETWEEN_KILLS = 40
CALLS_PER_QUESTION = 5
ANSWERS_BETWEEN_KILLS = 2
"""Of each client, if the server is to be ready before it is killed."""
PAUSE_S = 0.05
TIMEOUT_S = 120
START = datetime(2025, 1, 1, tzinfo=UTC)


class Client(threading.Thread):
    """Sends calls one after another, and each again until it is acknowledged.

    After some calls it requests recommendations for its user, and compares them with those for the
    items of all events that were acknowledged.

    Attributes:
        acknowledged: the ids of events whose call was answered.
        sent: the ids of all events.
        n_repeated: calls that were sent again.
        n_answers: recommendations for its user, all of them right.
    """

    def __init__(self, number: int, url: str) -> None:
        super().__init__(daemon=True)  # if the test fails, nobody answers it
        self.acknowledged: list[str] = []
        self.sent: list[str] = []
        self.n_repeated = self.n_answers = 0
        self.is_over = threading.Event()
        self._number = number
        self._user = f"listener {number}"
        self._url = url
        self._items: list[str] = []

    def run(self) -> None:
        with httpx.Client(base_url=self._url, timeout=TIMEOUT_S) as http:
            call = 0
            while not self.is_over.is_set():
                events = [self._event(call, n) for n in range(EVENTS_PER_CALL)]
                self.sent += [event["event_id"] for event in events]
                while not self._is_acknowledged(http, events):
                    self.n_repeated += 1
                    time.sleep(PAUSE_S)
                self.acknowledged += [event["event_id"] for event in events]
                self._items += [event["item_id"] for event in events]
                call += 1
                if call % CALLS_PER_QUESTION == 0:
                    self.n_answers += self._is_answered(http)

    def _event(self, call: int, number: int) -> dict[str, Any]:
        seconds = call * EVENTS_PER_CALL + number
        return {
            "event_id": f"{self._number}-{call}-{number}",
            "user_id": self._user,
            "item_id": f"i{(self._number + seconds) % 12}",
            "time": (START + timedelta(seconds=seconds)).isoformat(),
            "kind": "view",
        }

    def _is_acknowledged(self, http: httpx.Client, events: list[dict[str, Any]]) -> bool:
        response = self._response(http, "/v1/events", {"events": events})
        if response is None:
            return False
        assert response.json()["conflicts"] == 0
        return True

    def _is_answered(self, http: httpx.Client) -> bool:
        """Whether the server is there and ready; its answer must be right."""
        keys = {"k": 5, "include_seen": True}
        items = self._items[-HISTORY_EVENTS:]
        requests = [{"user": self._user, **keys}, {"items": items, **keys}]
        response = self._response(http, "/v1/recommend", {"requests": requests})
        if response is None:
            return False
        of_user, of_items = (
            [(item["item_id"], pytest.approx(item["score"], rel=1e-4)) for item in answer["items"]]
            for answer in response.json()["answers"]
        )
        assert len(of_user) == keys["k"]
        assert of_user == of_items
        return True

    @staticmethod
    def _response(http: httpx.Client, path: str, body: Any) -> httpx.Response | None:
        """None if the server is gone, or says that the call can be repeated."""
        try:
            response = http.post(path, json=body)
        except httpx.TransportError:
            return None
        if response.status_code == 503:
            return None
        assert response.status_code == 200, response.text
        return response


@contextmanager
def served(run: Path, port: int, location: str, log: Path) -> Iterator[None]:
    """``segue serve`` in a process of its own; killed at the end of the block."""
    command = [
        sys.executable, "-m", "segue", "serve", str(run), "--port", str(port),
        "--max-k", "10", "--max-batch", "1", "--timeout", str(TIMEOUT_S),
    ]  # fmt: skip
    environment = {**os.environ, "SEGUE_EVENTS": location}
    with log.open("ab") as stream:
        process = subprocess.Popen(command, env=environment, stdout=stream, stderr=stream)
    try:
        yield
        assert process.poll() is None, log.read_text()
    finally:
        process.kill()
        process.wait()


def stored_ids(location: str) -> list[str]:
    from segue.event_store import open_event_store

    store = open_event_store(location)
    try:
        return [event.event_id for block in store.blocks(10_000) for event in block]
    finally:
        store.close()


def wait_for(clients: list[Client], n_calls: int, n_answers: int) -> None:
    """Wait until all clients together have made some more calls, and each has got some answers."""
    enough = sum(len(client.acknowledged) for client in clients) + n_calls * EVENTS_PER_CALL
    answers = [client.n_answers + n_answers for client in clients]
    while sum(len(client.acknowledged) for client in clients) < enough or any(
        client.n_answers < least for client, least in zip(clients, answers, strict=True)
    ):
        assert all(client.is_alive() for client in clients)
        time.sleep(0.001)


@pytest.mark.slow
@pytest.mark.timeout(600 + 300 * KILLS)
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_no_acknowledged_event_is_lost_and_none_is_doubled(
    kind: str, cycle_run: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if kind == "sqlite":
        location = str(tmp_path / "events.db")
    else:
        location = request.getfixturevalue("postgres").create_database()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = (cycle_run, port, location, tmp_path / "log")
    clients = [Client(number, f"http://127.0.0.1:{port}") for number in range(CLIENTS)]
    for client in clients:
        client.start()
    try:
        for kill in range(KILLS):
            with served(*arguments):
                wait_for(clients, CALLS_BETWEEN_KILLS, ANSWERS_BETWEEN_KILLS * (kill % 2))
            acknowledged = [event for client in clients for event in client.acknowledged]
            stored = stored_ids(location)
            assert set(acknowledged) <= set(stored)
            assert len(stored) == len(set(stored))
        with served(*arguments):
            wait_for(clients, 1, 1)
            for client in clients:
                client.is_over.set()
            for client in clients:
                client.join()
    finally:
        for client in clients:
            client.is_over.set()
    stored = stored_ids(location)
    assert sorted(stored) == sorted(event for client in clients for event in client.sent)
    n_repeated, n_answers = (
        sum(getattr(client, name) for client in clients) for name in ("n_repeated", "n_answers")
    )
    assert n_repeated >= KILLS
    print(f"{kind}: {KILLS} kills, {len(stored)} events, {n_repeated} repeated, {n_answers} lists")
