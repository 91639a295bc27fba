"""``segue serve``: bad starts, new keys, and a real server that signals reload and stop."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from commands import segue

from segue.cli.serve import parse_runs
from segue.errors import NotFiniteError, RequestError

START_S = 100


@pytest.fixture(autouse=True)
def no_keys_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEGUE_API_KEYS", raising=False)


def test_no_run() -> None:
    assert "no run was given" in segue("serve").error


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    assert "is not a complete run" in segue("serve", tmp_path, "--port", 0).error


def test_a_run_of_another_format(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    copy.mkdir()
    for file in run.iterdir():
        if file.is_file():
            (copy / file.name).write_bytes(file.read_bytes())
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"format_version": 1}))
    assert segue("serve", copy, "--port", 0).error


def test_a_busy_port(run: Path) -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        assert f"port {port} of 127.0.0.1 is in use" in segue("serve", run, "--port", port).error


def test_other_addresses_than_loopback_need_keys(run: Path) -> None:
    for host in ("0.0.0.0", "::", "example.org"):
        assert "no API key is required" in segue("serve", run, "--host", host, "--port", 0).error


def test_an_address_of_another_machine(run: Path) -> None:
    error = segue("serve", run, "--host", "localhost.invalid.", "--port", 0).error
    assert "no API key is required" in error


def test_key_files(run: Path, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    serve = ("serve", run, "--port", 0, "--key-file", file)
    assert "cannot read the key file" in segue(*serve).error
    made = segue("serve", "--new-key", "web")
    file.write_text(made.out)
    file.chmod(0o644)
    assert "can be read or written by other users" in segue(*serve).error
    file.chmod(0o600)
    file.write_text("nonsense\n")
    assert "line 1 of" in segue(*serve).error


def test_a_new_key_is_shown_once_and_stored_as_a_hash() -> None:
    made = segue("serve", "--new-key", "web", "--admin", "--expires", "2030-01-31")
    assert made.code == 0
    name, role, digest, expires = made.out.strip().split(":")
    assert (name, role, expires) == ("web", "admin", "2030-01-31")
    secret = made.err.split()[-1]
    assert digest not in made.err
    assert secret not in made.out


def test_a_new_key_expires_in_the_future() -> None:
    made = segue("serve", "--new-key", "web", "--expires", "2020-01-31")
    assert (made.code, made.out) == (2, "")
    assert "--expires 2020-01-31 is in the past" in made.error


def test_names_of_runs() -> None:
    runs = parse_runs(["runs/a", "b=runs/a", "./c=d/e"])
    assert runs == {"a": Path("runs/a"), "b": Path("runs/a"), "e": Path("c=d/e")}
    with pytest.raises(RequestError, match="two runs have the name 'a'"):
        parse_runs(["x/a", "y/a"])


class Server:
    """A server in a process of its own, and the events of its log."""

    def __init__(self, *arguments: object) -> None:
        command = [sys.executable, "-m", "segue", "serve", *map(str, arguments)]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, env=dict(os.environ))
        self.events: list[dict[str, Any]] = []
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.events.append(json.loads(line))

    def wait_for(self, event: str, count: int = 1) -> dict[str, Any]:
        end_s = time.monotonic() + START_S
        while time.monotonic() < end_s:
            matches = [e for e in self.events if e["event"] == event]
            if len(matches) >= count:
                return matches[count - 1]
            assert self.process.poll() is None, self.events
            time.sleep(0.02)
        raise AssertionError(self.events)

    def end(self) -> int:
        try:
            return self.process.wait(START_S)
        finally:
            self.process.kill()
            self._thread.join()
            assert self.process.stderr is not None
            self.process.stderr.close()


def test_a_model_that_cannot_be_warmed_up(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def warm_up(*_: Any) -> None:
        raise NotFiniteError("the scores of the model are not finite", "train again")

    monkeypatch.setattr("segue.server.service.warm_up", warm_up)
    outcome = segue("serve", run, "--port", 0)
    assert outcome.code == 2
    assert outcome.err.splitlines()[-1].startswith("error: the scores of the model are not finite")


@pytest.mark.slow
def test_a_signal_before_the_server_is_ready(run: Path) -> None:
    server = Server(run, "--port", 0)
    try:
        server.wait_for("listening")
        time.sleep(0.5)
        server.process.send_signal(signal.SIGTERM)
    finally:
        code = server.end()
    is_ready = any(event["event"] == "ready" for event in server.events)
    assert code == (0 if is_ready else 130)


@pytest.mark.slow
def test_hangups_reload_and_a_signal_stops_after_the_answers(run: Path) -> None:
    server = Server(run, "--port", 0, "--max-k", 10, "--max-batch", 1)
    try:
        url = server.wait_for("listening")["url"]
        server.wait_for("ready")
        assert httpx.post(f"{url}/v1/recommend", json={"k": 3}).status_code == 200
        for count in (1, 2):  # a second one must not end the process
            server.process.send_signal(signal.SIGHUP)
            assert server.wait_for("reloaded", count)["model"] == run.name
        assert httpx.post(f"{url}/v1/recommend", json={"k": 3}).status_code == 200
        server.process.send_signal(signal.SIGTERM)
    finally:
        code = server.end()
    assert code == 0
    assert [e["event"] for e in server.events][-2:] == ["stopping", "stopped"]
    assert server.events[-1]["complete"] is True
