"""Compression of responses."""

from __future__ import annotations

import asyncio
import gzip
from typing import Any

import pytest

from segue.server.middleware.compression import MIN_BYTES, Compression

LONG = b"0123456789" * MIN_BYTES


def respond(
    body: bytes | list[bytes], content_type: bytes = b"application/json", *further: Any
) -> Any:
    """An application that answers everything with a body, in one message or several."""
    parts = [body] if isinstance(body, bytes) else body
    n_bytes = str(sum(map(len, parts))).encode()
    headers = [(b"content-type", content_type), (b"content-length", n_bytes), *further]

    async def app(_: Any, __: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for number, part in enumerate(parts, start=1):
            more = number < len(parts)
            await send({"type": "http.response.body", "body": part, "more_body": more})

    return app


def call(app: Any, accepted: bytes | None = b"br, gzip") -> tuple[dict[bytes, bytes], bytes]:
    """The headers and body of a response."""
    headers = [] if accepted is None else [(b"accept-encoding", accepted)]
    messages: list[Any] = []

    async def send(message: Any) -> None:
        messages.append(message)

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    asyncio.run(Compression(app)({"type": "http", "headers": headers}, receive, send))
    received = messages[0]["headers"]
    assert len(dict(received)) == len(received), "a header occurs twice"
    return dict(received), b"".join(message["body"] for message in messages[1:])


def test_a_long_text_is_compressed_for_those_that_accept_it() -> None:
    headers, body = call(respond(LONG))
    assert gzip.decompress(body) == LONG
    assert headers[b"content-encoding"] == b"gzip"
    assert int(headers[b"content-length"]) == len(body) < len(LONG)
    assert headers[b"vary"] == b"Accept-Encoding"


@pytest.mark.parametrize("accepted", [None, b"br"])
def test_others_get_it_as_it_is(accepted: bytes | None) -> None:
    headers, body = call(respond(LONG), accepted)
    assert body == LONG
    assert b"content-encoding" not in headers
    assert headers[b"vary"] == b"Accept-Encoding"


@pytest.mark.parametrize(
    "app",
    [
        respond(LONG[: MIN_BYTES - 1]),
        respond(LONG, b"image/png"),
        respond(LONG, b"text/css", (b"content-encoding", b"br")),
        respond([LONG, LONG]),
    ],
    ids=["short", "image", "compressed", "stream"],
)
def test_what_is_left_alone(app: Any) -> None:
    (headers, body), (plain_headers, plain_body) = call(app), call(app, None)
    assert (headers, body) == (plain_headers, plain_body)
    assert b"vary" not in headers
