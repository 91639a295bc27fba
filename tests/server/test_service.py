"""The service: readiness, time limits, disconnected clients, full queues, reload, shutdown."""

from __future__ import annotations

import asyncio
import io
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from app_client import AppClient
from test_errors_over_http import error_of

from segue.errors import NotFiniteError, RunError
from segue.machine import resident_memory
from segue.server import computations, service
from segue.server.api_keys import KeyRing, new_key
from segue.server.app import create_app
from segue.server.bodies import RecommendOne
from segue.server.log import Log
from segue.server.registry import ModelRegistry

if TYPE_CHECKING:
    from segue.server.settings import ServerSettings


class Gate:
    """Holds the worker threads up until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_open = threading.Event()
        self.n_batches = 0
        monkeypatch.setattr(service, "compute", self._compute)

    def _compute(self, *arguments: Any) -> Any:
        self.n_batches += 1
        assert self.is_open.wait(20)
        return computations.compute(*arguments)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    gate = Gate(monkeypatch)
    yield gate
    gate.is_open.set()


@contextmanager
def serving(run: Path, settings: ServerSettings, **options: Any) -> Iterator[AppClient]:
    registry = ModelRegistry({"cycles": run})
    log = options.pop("log", Log(io.BytesIO()))
    with AppClient(create_app(registry, settings=settings, log=log, **options)) as client:
        yield client


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.005)


def test_not_ready_before_the_warm_up_is_over(
    cycle_run: Path, small_settings: ServerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    warmed = threading.Event()
    monkeypatch.setattr(service, "warm_up", lambda *_: warmed.wait(20))
    registry = ModelRegistry({"cycles": cycle_run})
    app = create_app(registry, settings=small_settings, log=Log(io.BytesIO()))
    with AppClient(app, waits=False) as client:
        assert client.get("/healthz").json() == {"status": "ok"}
        error_of(client.get("/readyz"), 503, "not_ready")
        response = client.post("/v1/recommend", {"items": ["i1"]})
        error_of(response, 503, "not_ready")
        assert response.headers["retry-after"]
        for path in ("catalogue", "map", "map/points", "people", "people/u1", "model/card"):
            error_of(client.get(f"/v1/{path}"), 503, "not_ready")
        for path in ("models", "model", "items/i1", "items?q=i1"):
            assert client.get(f"/v1/{path}").status_code == 200
        warmed.set()
        client.run(until(lambda: app.state.service.is_ready))
        assert client.get("/readyz").json() == {"status": "ready"}


def test_a_failed_warm_up_is_noted(
    cycle_run: Path, small_settings: ServerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def warm_up(*_: Any) -> None:
        raise NotFiniteError("the scores of the model are not finite")

    monkeypatch.setattr(service, "warm_up", warm_up)
    registry = ModelRegistry({"cycles": cycle_run})
    app = create_app(registry, settings=small_settings, log=Log(io.BytesIO()))
    with AppClient(app, waits=False) as client:
        client.run(until(lambda: app.state.service.failure is not None))
        assert isinstance(app.state.service.failure, NotFiniteError)
        error_of(client.get("/readyz"), 503, "not_ready")


def test_an_answer_that_takes_too_long(
    cycle_run: Path, small_settings: ServerSettings, gate: Gate
) -> None:
    with serving(cycle_run, replace(small_settings, timeout_s=0.3)) as client:
        error_of(client.post("/v1/recommend", {"items": ["i1"]}), 504, "timeout")
        gate.is_open.set()
        assert client.post("/v1/recommend", {"items": ["i1"]}).status_code == 200


def test_a_full_queue(cycle_run: Path, small_settings: ServerSettings, gate: Gate) -> None:
    async def scenario(client: AppClient) -> list[Any]:
        first = asyncio.create_task(client.http.post("/v1/recommend", json={"items": ["i1"]}))
        await until(lambda: gate.n_batches == 1)
        waiting = asyncio.create_task(client.http.post("/v1/recommend", json=pair))
        await until(lambda: client.app.state.service._batchers["cycles"].n_waiting == 2)
        refused = await client.http.post("/v1/recommend", json={"items": ["i1"]})
        gate.is_open.set()
        return [refused, await first, await waiting]

    pair = {"requests": [{"items": ["i1"]}, {"items": ["i2"]}]}
    with serving(cycle_run, replace(small_settings, max_queue=2)) as client:
        refused, first, waiting = client.run(scenario(client))
        error_of(refused, 503, "queue_full")
        assert int(refused.headers["retry-after"]) >= 1
        assert (first.status_code, waiting.status_code) == (200, 200)


def test_a_client_that_is_gone_leaves_the_queue(
    cycle_run: Path, small_settings: ServerSettings, gate: Gate
) -> None:
    gone = asyncio.Event()

    async def is_disconnected() -> bool:
        return gone.is_set()

    async def scenario(client: AppClient) -> None:
        answer = client.app.state.service.answer
        first = asyncio.create_task(client.http.post("/v1/recommend", json={"items": ["i1"]}))
        await until(lambda: gate.n_batches == 1)
        second = asyncio.create_task(
            answer("recommend", RecommendOne(items=["i2"]), is_disconnected)
        )
        await until(lambda: batcher.n_waiting == 1)
        gone.set()
        with pytest.raises(service.ClientDisconnectedError):
            await second
        assert batcher.n_waiting == 0
        gate.is_open.set()
        assert (await first).status_code == 200
        assert gate.n_batches == 1

    with serving(cycle_run, small_settings) as client:
        batcher = client.app.state.service._batchers["cycles"]
        client.run(scenario(client))


def test_shutdown_answers_what_was_accepted(
    cycle_run: Path, small_settings: ServerSettings, gate: Gate
) -> None:
    async def scenario(client: AppClient) -> list[int]:
        posts = [
            asyncio.create_task(client.http.post("/v1/recommend", json={"items": [f"i{n}"]}))
            for n in range(6)
        ]
        await until(lambda: gate.n_batches == 1)
        closing = asyncio.create_task(client.app.state.service.close())
        await asyncio.sleep(0.05)
        refused = await client.http.post("/v1/recommend", json={"items": ["i1"]})
        gate.is_open.set()
        await closing
        return [refused.status_code, *[(await post).status_code for post in posts]]

    with serving(cycle_run, small_settings) as client:
        assert client.run(scenario(client)) == [503] + [200] * 6


def test_a_bug_is_an_internal_error_with_its_place_in_the_log(
    cycle_run: Path, small_settings: ServerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def compute(*_: Any) -> Any:
        raise KeyError("secret")

    monkeypatch.setattr(service, "compute", compute)
    stream = io.BytesIO()
    with serving(cycle_run, small_settings, log=Log(stream)) as client:
        response = client.post("/v1/recommend", {"items": ["i1"]})
        error_of(response, 500, "internal_error")
    text = stream.getvalue().decode()
    assert "secret" not in text
    (bug,) = [line for line in map(json.loads, text.splitlines()) if line["event"] == "bug"]
    assert bug["kind"] == "KeyError"
    assert bug["request_id"] == response.headers["x-request-id"]
    assert any("test_service.py" in place for place in bug["places"])


def changed_copy(run: Path, folder: Path, **changes: Any) -> Path:
    """A copy of a run with other values in its card, hence another version."""
    shutil.copytree(run, folder, ignore=shutil.ignore_patterns("checkpoints", "events"))
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps(card | changes))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("n_reloads", [4, pytest.param(20, marks=pytest.mark.slow)])
def test_reload_under_load_answers_every_call_by_one_version(
    cycle_run: Path, small_settings: ServerSettings, tmp_path: Path, n_reloads: int
) -> None:
    runs = [changed_copy(cycle_run, tmp_path / f"run{n}", seed=n) for n in range(2)]
    path, (secret, key) = tmp_path / "current", new_key("boss", "admin")
    path.symlink_to(runs[0])
    pair = {"requests": [{"items": ["i1"]}, {"items": ["i2"], "k": 3}]}

    async def scenario(client: AppClient) -> list[Any]:
        responses, is_over = [], False

        async def load() -> None:
            while not is_over:
                responses.append(await client.http.post("/v1/recommend", json=pair))

        loads = [asyncio.create_task(load()) for _ in range(4)]
        versions, resident = [], []
        for n in range(1, n_reloads + 1):
            resident.append(resident_memory())
            (tmp_path / "next").symlink_to(runs[n % 2])
            (tmp_path / "next").replace(path)
            reloaded = (await client.http.post("/v1/admin/reload", json={})).json()
            versions.append(reloaded["models"][0]["version"])
        is_over = True
        await asyncio.gather(*loads)
        assert versions[0] != versions[1]
        assert versions == versions[:2] * (n_reloads // 2)
        # Old models are freed; what is compiled is shared between models of equal shapes.
        assert resident[-1] < 1.1 * resident[1]
        assert {response.status_code for response in responses} == {200}
        assert {r.headers["x-model-version"] for r in responses} == set(versions)
        return responses

    with serving(path, small_settings, keys=KeyRing([key])) as client:
        client.http.headers["authorization"] = f"Bearer {secret}"
        assert client.run(scenario(client))


def test_a_reload_that_fails_keeps_the_old_version(
    cycle_run: Path, small_settings: ServerSettings, tmp_path: Path
) -> None:
    path, (secret, key) = tmp_path / "current", new_key("boss", "admin")
    path.symlink_to(cycle_run)
    with serving(path, small_settings, keys=KeyRing([key])) as client:
        client.http.headers["authorization"] = f"Bearer {secret}"
        before = client.get("/v1/models").json()
        path.unlink()
        error_of(client.post("/v1/admin/reload", {}), 409, "reload_failed")
        assert client.get("/v1/models").json() == before
        assert client.post("/v1/recommend", {"items": ["i1"]}).status_code == 200
        assert (
            'segue_reloads_total{model="cycles",result="failed"} 1.0' in client.get("/metrics").text
        )


def test_several_models_by_name(
    cycle_run: Path, genre_run: Path, small_settings: ServerSettings
) -> None:
    registry = ModelRegistry({"first": cycle_run, "second": genre_run})
    app = create_app(registry, settings=small_settings, log=Log(io.BytesIO()))
    with AppClient(app) as client:
        assert [m["name"] for m in client.get("/v1/models").json()["models"]] == ["first", "second"]
        default = client.post("/v1/recommend", {"items": ["i1"]}).json()
        assert default["model"] == "first"
        body = {"items": ["i1"], "model": "second"}
        second = client.post("/v1/recommend", body).json()
        assert (second["model"], second["unknown_items"]) == ("second", ["i1"])


def test_a_run_that_cannot_be_loaded_is_an_error_of_the_start(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is not a complete run"):
        ModelRegistry({"none": tmp_path})
