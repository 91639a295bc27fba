"""Reads the body of a request before anything else happens: bounded in size, time and type."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from segue.server.errors import ApiError, error_response
from segue.server.middleware.headers import header

WITHOUT_BODY = frozenset(["DELETE", "GET", "HEAD", "OPTIONS"])


class BodyReading:
    """Passes on requests whose body was read; refuses those that are too large or too slow."""

    def __init__(self, app: ASGIApp, *, max_body: int, timeout_s: float) -> None:
        """Wrap an application.

        Args:
            max_body: bytes of a body.
            timeout_s: seconds that a client has to send it.
        """
        self._app = app
        self._max_body = max_body
        self._timeout_s = timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http" or scope["method"] in WITHOUT_BODY:
            await self._app(scope, receive, send)
            return
        try:
            self._check(scope)
            body = await self._read(receive)
        except ApiError as error:
            await error_response(scope, error)(scope, receive, send)
            return
        if body is None:  # the client is gone
            return
        await self._app(scope, replay(body, receive), send)

    def _check(self, scope: Scope) -> None:
        content_type = header(scope, b"content-type").partition(";")[0].strip().lower()
        if content_type != "application/json":
            message = "the content type is not application/json"
            hint = "send the header Content-Type: application/json"
            raise ApiError(415, "unsupported_media_type", message, hint)
        if header(scope, b"content-encoding").lower() not in ("", "identity"):
            message = "the body is compressed, which this server does not accept"
            raise ApiError(415, "unsupported_media_type", message, "send it as it is")
        length = header(scope, b"content-length")
        if length.isdecimal() and int(length[:18]) > self._max_body:
            raise self._too_large()

    async def _read(self, receive: Receive) -> bytes | None:
        body, has_more = bytearray(), True
        try:
            async with asyncio.timeout(self._timeout_s):
                while has_more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return None
                    body += message.get("body", b"")
                    has_more = message.get("more_body", False)
                    if len(body) > self._max_body:
                        raise self._too_large()
        except TimeoutError:
            message = f"the body did not arrive within {self._timeout_s:g} s"
            headers = {"connection": "close"}
            hint = "send it faster, or less of it"
            raise ApiError(408, "request_timeout", message, hint, headers) from None
        return bytes(body)

    def _too_large(self) -> ApiError:
        message = f"the body has more than {self._max_body:,} bytes"
        return ApiError(413, "content_too_large", message, "send several smaller calls")


def replay(body: bytes, receive: Receive) -> Receive:
    """A ``receive`` that returns the body first."""
    is_read = False

    async def replayed() -> Message:
        nonlocal is_read
        if is_read:
            return await receive()
        is_read = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed
