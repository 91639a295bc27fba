"""``kill -9`` of a server under event load: nothing acknowledged is lost, nothing is doubled.

SEGUE_KILLS sets the number of kills; the suite makes a few.
"""

from __future__ import annotations

import os
import signal
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

PROGRAM = Path(__file__).with_name("events_server.py")
KILLS = int(os.environ.get("SEGUE_KILLS", "5"))
CLIENTS = 4
EVENTS_PER_CALL = 7
CALLS_BETWEEN_KILLS = 40
START_S = 100
START = datetime(2025, 1, 1, tzinfo=UTC)


class Client(threading.Thread):
    """Sends calls one after another, and each again until it is acknowledged.

    Attributes:
        acknowledged: the ids of events whose call was answered.
        sent: the body of every event by id.
        n_repeated: calls that were sent again.
    """

    def __init__(self, number: int, url: str) -> None:
        super().__init__(daemon=True)  # if the test fails, nobody answers it
        self.acknowledged: list[str] = []
        self.sent: dict[str, dict[str, Any]] = {}
        self.n_repeated = 0
        self.is_over = threading.Event()
        self._number = number
        self._url = url

    def run(self) -> None:
        with httpx.Client(base_url=self._url, timeout=START_S) as http:
            call = 0
            while not self.is_over.is_set():
                events = [self._event(call, n) for n in range(EVENTS_PER_CALL)]
                self.sent |= {event["event_id"]: event for event in events}
                while not self._is_acknowledged(http, events):
                    self.n_repeated += 1
                    time.sleep(0.05)
                self.acknowledged += [event["event_id"] for event in events]
                call += 1

    def _event(self, call: int, number: int) -> dict[str, Any]:
        event_id = f"{self._number}-{call}-{number}"
        seconds = call * EVENTS_PER_CALL + number
        return {
            "event_id": event_id,
            "user_id": f"u{self._number}",
            "item_id": f"i{seconds % 12}",
            "time": (START + timedelta(seconds=seconds)).isoformat(),
            "kind": "view",
        }

    def _is_acknowledged(self, http: httpx.Client, events: list[dict[str, Any]]) -> bool:
        try:
            response = http.post("/v1/events", json={"events": events})
        except httpx.TransportError:
            return False
        if response.status_code == 503:
            return False
        assert response.status_code == 200, response.text
        assert response.json()["conflicts"] == 0
        return True


class Starter:
    """Starts servers, one at a time; see ``events_server.py``."""

    def __init__(self, port: int, location: str, log: Path) -> None:
        command = [sys.executable, str(PROGRAM), str(port), location]
        self._log = log.open("wb")
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True
        )

    @contextmanager
    def server(self) -> Iterator[None]:
        """A server that listens; killed at the end of the block."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        pid = int(self._process.stdout.readline())
        try:
            yield
        finally:
            os.kill(pid, signal.SIGKILL)

    def close(self) -> None:
        self._process.communicate()
        self._log.close()


def stored_ids(location: str) -> list[str]:
    from segue.event_store import open_event_store

    store = open_event_store(location)
    try:
        return [event.event_id for block in store.blocks(10_000) for event in block]
    finally:
        store.close()


@pytest.mark.slow
@pytest.mark.timeout(120 + 20 * KILLS)
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_no_acknowledged_event_is_lost_and_none_is_doubled(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if kind == "sqlite":
        location = str(tmp_path / "events.db")
    else:
        location = request.getfixturevalue("postgres").create_database()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    starter = Starter(port, location, tmp_path / "log")
    clients = [Client(number, f"http://127.0.0.1:{port}") for number in range(CLIENTS)]
    try:
        for kill in range(KILLS):
            with starter.server():
                if not kill:
                    for client in clients:
                        client.start()
                n_before = sum(len(client.acknowledged) for client in clients)
                enough = n_before + CALLS_BETWEEN_KILLS * EVENTS_PER_CALL
                while sum(len(client.acknowledged) for client in clients) < enough:
                    assert all(client.is_alive() for client in clients)
                    time.sleep(0.001)
            acknowledged = [event for client in clients for event in client.acknowledged]
            stored = stored_ids(location)
            assert set(acknowledged) <= set(stored)
            assert len(stored) == len(set(stored))
        with starter.server():
            for client in clients:
                client.is_over.set()
            for client in clients:
                client.join()
    finally:
        for client in clients:
            client.is_over.set()
        starter.close()
    sent = {event_id: event for client in clients for event_id, event in client.sent.items()}
    stored = stored_ids(location)
    assert sorted(stored) == sorted(sent)
    assert sum(client.n_repeated for client in clients) >= KILLS
    print(f"{kind}: {KILLS} kills, {len(stored)} events, {len(set(stored))} of them distinct")
