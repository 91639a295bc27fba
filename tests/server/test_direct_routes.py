"""The layer that answers valid calls of a router without FastAPI's routing."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI, Request, Response
from pydantic import BaseModel

from segue.server.errors import ApiError
from segue.server.middleware.direct_routes import DirectRoutes
from segue.server.request_record import record_of, start_record


class Body(BaseModel, strict=True):
    n: int = 0
    text: str = ""


def application() -> tuple[FastAPI, DirectRoutes]:
    """An application, and the same with the layer; the answer says the route and the body."""
    router = APIRouter()

    @router.post("/echo")
    async def echo(body: Body, request: Request) -> Response:
        if body.n < 0:
            raise ApiError(422, "negative", "n is negative")
        path = getattr(request.scope.get("route"), "path", None)
        return Response(json.dumps([path, body.n, body.text]), media_type="application/json")

    app = FastAPI()
    app.include_router(router)

    @app.get("/echo")
    async def read() -> str:
        return "read"

    return app, DirectRoutes(app, router=router)


def call(app: Any, content: bytes, method: str = "POST", path: str = "/echo") -> tuple[int, bytes]:
    """The status and body of a response."""
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "headers": [(b"content-type", b"application/json")],
        "query_string": b"",
    }
    start_record(scope)
    messages: list[Any] = []

    async def run() -> None:
        received = iter([{"type": "http.request", "body": content, "more_body": False}])

        async def receive() -> Any:
            return next(received, {"type": "http.disconnect"})

        async def send(message: Any) -> None:
            messages.append(message)

        await app(scope, receive, send)

    asyncio.run(run())
    body = b"".join(message.get("body", b"") for message in messages[1:])
    return messages[0]["status"], body


CONTENTS = [
    b'{"n": 3, "text": "\\u00e9"}',
    b"{}",
    b'{"n": true}',  # wrong: FastAPI words it
    b'{"n": 1.0}',
    b'{"n": 1, "n": 2}',
    b"not JSON",
    b"",
    b"[]",
    b'\xef\xbb\xbf{"n": 4}',  # JSON for FastAPI only
    b'{"text": "\\ud800"}',
    b'{"n": 123456789012345678901234567890}',
]


@pytest.mark.parametrize("content", CONTENTS, ids=range(len(CONTENTS)))
def test_answers_are_those_of_the_application(content: bytes) -> None:
    app, direct = application()
    assert call(direct, content) == call(app, content)


def test_a_valid_body_does_not_reach_the_application() -> None:
    _, direct = application()
    refused = APIRouter()
    alone = DirectRoutes(FastAPI(), router=refused)
    assert call(direct, b'{"n": 3}') == (200, b'["/echo", 3, ""]')
    assert call(alone, b'{"n": 3}')[0] == 404
    direct._app = FastAPI()  # without the route
    assert call(direct, b'{"n": 3}') == (200, b'["/echo", 3, ""]')
    assert call(direct, b'{"n": "3"}')[0] == 404


def test_other_methods_and_paths_are_the_applications() -> None:
    _, direct = application()
    assert call(direct, b"", "GET") == (200, b'"read"')
    assert call(direct, b"{}", path="/echo/")[0] == 307
    assert call(direct, b"{}", path="/nothing")[0] == 404


def test_an_error_has_the_common_shape_and_is_noted() -> None:
    _, direct = application()
    scopes: list[Any] = []

    async def noting(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)
        await direct(scope, receive, send)

    status, body = call(noting, b'{"n": -1}')
    assert status == 422
    assert json.loads(body)["error"]["code"] == "negative"
    assert record_of(scopes[0]).error == "negative"
