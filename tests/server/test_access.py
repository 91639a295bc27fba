"""API keys, roles, rate limits, hosts and headers over HTTP."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from app_client import AppClient
from test_errors_over_http import error_of

if TYPE_CHECKING:
    from segue.server.settings import ServerSettings

ORIGIN = "https://shop.example"


@pytest.fixture(scope="module")
def secrets() -> dict[str, str]:
    """The keys of the server, by name."""
    return {}


@pytest.fixture(scope="module")
def guarded(
    cycle_run: Path, small_settings: ServerSettings, secrets: dict[str, str], log_stream: io.BytesIO
) -> Iterator[AppClient]:
    """A server with keys, a rate limit, trusted hosts and an origin."""
    from segue.server.api_keys import KeyRing, new_key
    from segue.server.app import create_app
    from segue.server.log import Log
    from segue.server.registry import ModelRegistry

    keys = []
    for name, role, expires in [
        ("web", "user", None),
        ("limited", "user", None),
        ("boss", "admin", None),
        ("old", "user", date(2020, 1, 1)),
    ]:
        secrets[name], key = new_key(name, role, expires)
        keys.append(key)
    settings = replace(
        small_settings, rate=50.0, trusted_hosts=("localhost",), cors_origins=(ORIGIN,)
    )
    registry = ModelRegistry({"cycles": cycle_run})
    app = create_app(registry, settings=settings, keys=KeyRing(keys), log=Log(log_stream))
    with AppClient(app) as client:
        yield client


def bearer(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


def test_a_key_is_required(guarded: AppClient, secrets: dict[str, str]) -> None:
    body = {"items": ["i1"]}
    error_of(guarded.post("/v1/recommend", body), 401, "unauthorized")
    wrong = guarded.post("/v1/recommend", body, headers=bearer("segue_x"))
    assert wrong.headers["www-authenticate"] == "Bearer"
    error_of(wrong, 401, "unauthorized")
    for headers in (bearer(secrets["web"]), {"x-api-key": secrets["web"]}):
        assert guarded.post("/v1/recommend", body, headers=headers).status_code == 200
    for path in ("/metrics", "/v1/models", "/v1/items/i1", "/v1/model", "/v1/items?q=i"):
        error_of(guarded.get(path), 401, "unauthorized")
        assert guarded.get(path, headers=bearer(secrets["web"])).status_code == 200


def test_an_expired_key_is_refused(guarded: AppClient, secrets: dict[str, str]) -> None:
    response = guarded.get("/v1/models", headers=bearer(secrets["old"]))
    assert "expired" in error_of(response, 401, "unauthorized")["message"]


def test_probes_need_no_key(guarded: AppClient) -> None:
    assert [guarded.get(p).status_code for p in ("/healthz", "/readyz", "/openapi.json")] == [
        200
    ] * 3


def test_only_administrators_reload(guarded: AppClient, secrets: dict[str, str]) -> None:
    reload = "/v1/admin/reload"
    error_of(guarded.post(reload, {}), 401, "unauthorized")
    error_of(guarded.post(reload, {}, headers=bearer(secrets["web"])), 403, "forbidden")
    boss = bearer(secrets["boss"])
    assert guarded.post(reload, {}, headers=boss).status_code == 200
    error_of(guarded.post(reload, {"model": "x"}, headers=boss), 404, "unknown_model")
    error_of(guarded.post(reload, {"path": "/tmp/x"}, headers=boss), 422, "invalid_request")


def test_without_keys_nobody_administers(client: AppClient) -> None:
    error = error_of(client.post("/v1/admin/reload", {}), 403, "forbidden")
    assert "without API keys" in error["message"]


def test_the_rate_limit_of_a_key(
    guarded: AppClient, secrets: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.monotonic()  # on a busy machine the bucket would fill up again
    monkeypatch.setattr(guarded.app.state.limiter, "_clock", lambda: now)
    headers = bearer(secrets["limited"])
    many = {"requests": [{"items": ["i1"]}] * 64}
    statuses = [guarded.post("/v1/recommend", many, headers=headers).status_code for _ in range(3)]
    assert statuses[0] == 200
    response = guarded.post("/v1/recommend", many, headers=headers)
    error_of(response, 429, "rate_limited")
    assert int(response.headers["retry-after"]) >= 1
    assert guarded.get("/v1/models", headers=bearer(secrets["web"])).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "localhost.evil.example"])
def test_another_host_is_refused(guarded: AppClient, host: str) -> None:
    error_of(guarded.get("/healthz", headers={"host": host}), 421, "misdirected_request")


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "LOCALHOST:1"])
def test_the_own_host_is_accepted(guarded: AppClient, host: str) -> None:
    assert guarded.get("/healthz", headers={"host": host}).status_code == 200


def test_headers_of_every_response(client: AppClient) -> None:
    for path in ("/healthz", "/nowhere"):
        headers = client.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert "server" not in headers
        assert "access-control-allow-origin" not in headers


def test_origins_are_allowed_one_by_one(guarded: AppClient, client: AppClient) -> None:
    preflight = {"origin": ORIGIN, "access-control-request-method": "POST"}
    allowed = guarded.request("OPTIONS", "/v1/recommend", headers=preflight)
    assert allowed.headers["access-control-allow-origin"] == ORIGIN
    foreign = guarded.request(
        "OPTIONS", "/v1/recommend", headers=preflight | {"origin": "https://evil.example"}
    )
    assert "access-control-allow-origin" not in foreign.headers
    refused = client.request("OPTIONS", "/v1/recommend", headers=preflight)
    error_of(refused, 405, "method_not_allowed")


def test_request_ids(client: AppClient) -> None:
    given = client.get("/healthz", headers={"x-request-id": "abc-1:2"})
    assert given.headers["x-request-id"] == "abc-1:2"
    for bad in ("a b", "x" * 65, 'a"b'):
        headers = client.get("/healthz", headers={"x-request-id": bad}).headers
        assert headers["x-request-id"] != bad
        assert len(headers["x-request-id"]) == 32


def test_long_answers_are_compressed_where_that_is_accepted(client: AppClient) -> None:
    body = {"requests": [{"items": ["i1"]}] * 4}
    plain = client.post("/v1/recommend", body, headers={"accept-encoding": "identity"})
    compressed = client.post("/v1/recommend", body, headers={"accept-encoding": "gzip"})
    assert "content-encoding" not in plain.headers
    assert compressed.headers["content-encoding"] == "gzip"
    assert len(compressed.json()["answers"]) == 4
    short = client.get("/healthz", headers={"accept-encoding": "gzip"})
    assert "content-encoding" not in short.headers


def test_the_log_has_nothing_of_what_a_request_contains(
    client: AppClient, log_stream: io.BytesIO
) -> None:
    marks = {"x-request-id": "marked", "user-agent": "secret-agent"}
    client.post("/v1/recommend", {"items": ["secret-item"], "user": "secret-user"}, headers=marks)
    client.get("/v1/items/secret-item?model=secret-model", headers=marks)
    client.get("/secret-path", headers=marks)
    client.post("/v1/recommend", content=b"secret-body", headers=marks)
    client.get("/v1/items", params={"q": "secret-query"}, headers=marks)
    client.run(_a_moment())
    text = log_stream.getvalue().decode()
    assert "secret" not in text
    lines = [json.loads(line) for line in text.splitlines()]
    marked = [line for line in lines if line.get("request_id") == "marked"]
    assert len(marked) == 5
    found_items = marked[-1]
    assert found_items.keys() == {
        "time", "event", "request_id", "method", "route", "status", "ms", "bytes", "key", "model",
        "version",
    }  # fmt: skip
    assert found_items["route"] == "/v1/items"


async def _a_moment() -> None:
    import asyncio

    from segue.server.log import FLUSH_S

    await asyncio.sleep(2 * FLUSH_S)


def test_metrics(client: AppClient) -> None:
    client.post("/v1/recommend", {"items": ["i1"]})
    text = client.get("/metrics").text
    for name in (
        'segue_requests_total{route="/v1/recommend",status="200"}',
        'segue_request_seconds_bucket{le="0.05",route="/v1/recommend"}',
        'segue_batch_requests_count{model="cycles"}',
        'segue_waiting_requests{model="cycles"} 0.0',
        "segue_model_info{",
        "segue_ready 1.0",
    ):
        assert name in text
    assert "secret" not in text
