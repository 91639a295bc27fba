"""Compression of responses with gzip, for clients that accept it."""

from __future__ import annotations

import gzip

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from segue.server.middleware.headers import header

MIN_BYTES = 1_000
"""Shorter bodies fit into one packet as they are."""
LEVEL = 5
COMPRESSIBLE = (b"application/", b"image/svg", b"text/")
"""Beginnings of the content types that become shorter."""


class Compression:
    """Compresses responses that are sent as one body and are not compressed already."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        accepts = "gzip" in header(scope, b"accept-encoding")
        start: Message | None = None

        async def send_compressed(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message  # its headers depend on the body
                return
            if start is not None:
                if _is_compressible(start, message):
                    _compress(start, message, accepts=accepts)
                await send(start)
                start = None
            await send(message)

        await self._app(scope, receive, send_compressed)


def _is_compressible(start: Message, body: Message) -> bool:
    if len(body.get("body", b"")) < MIN_BYTES or body.get("more_body", False):
        return False
    headers = dict(start["headers"])
    content_type = headers.get(b"content-type", b"")
    return b"content-encoding" not in headers and content_type.startswith(COMPRESSIBLE)


def _compress(start: Message, body: Message, *, accepts: bool) -> None:
    """Compress the body, or only say that it would be for a client that accepts it."""
    headers = list(start["headers"])
    if all(name != b"vary" for name, _ in headers):
        headers.append((b"vary", b"Accept-Encoding"))
    if accepts:
        body["body"] = gzip.compress(body["body"], LEVEL, mtime=0)
        headers = [pair for pair in headers if pair[0] != b"content-length"]
        headers.append((b"content-encoding", b"gzip"))
        headers.append((b"content-length", str(len(body["body"])).encode("ascii")))
    start["headers"] = headers
