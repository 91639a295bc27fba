"""The HTTP protocol of uvicorn with bounds on what slow, silent or excessive clients may hold."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from segue.server.errors import ApiError

HEADER_TIMEOUT_S = 10.0
"""Seconds from a connection, or from the first byte after a response, to the end of the headers."""
WRITE_TIMEOUT_S = 30.0
"""Seconds that a client may leave a response unread once the buffers are full, and that a closed
connection may keep what is not sent."""
MAX_HEADER_BYTES = 65_536
MAX_CONNECTIONS = 2_000
"""Further connections are closed at once."""

_TOO_LARGE = ApiError(
    431, "headers_too_large", f"the headers have more than {MAX_HEADER_BYTES:,} bytes", "send fewer"
).body
TOO_LARGE_RESPONSE = b"\r\n".join(
    [
        b"HTTP/1.1 431 Request Header Fields Too Large",
        b"content-type: application/json",
        b"content-length: %d" % len(_TOO_LARGE),
        b"connection: close",
        b"",
        _TOO_LARGE,
    ]
)


class BoundedProtocol(HttpToolsProtocol):
    """Closes connections whose headers do not arrive in time, or whose client does not read.

    uvicorn waits for both for ever. It closes a connection that is silent after a response.
    """

    _header_timer: asyncio.TimerHandle | None = None
    _write_timer: asyncio.TimerHandle | None = None
    _in_headers = False
    _header_bytes = 0

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for the headers of the first request."""
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            transport.abort()
        else:
            self._await_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_waiting()
        self._stop_write_timer()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Begin to count the bytes of the headers."""
        self._in_headers, self._header_bytes = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Stop waiting: the rest is the application's."""
        self._in_headers = False
        self._stop_waiting()
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Bound the headers, and wait again if the data is the beginning of another request."""
        super().data_received(data)
        is_between = self.cycle is None or self.cycle.response_complete
        if self.transport.is_closing():
            return
        if self._in_headers:
            self._header_bytes += len(data)
            if self._header_bytes > MAX_HEADER_BYTES:
                if is_between:
                    self.transport.write(TOO_LARGE_RESPONSE)
                self._close()
                return
        if is_between and self._header_timer is None:
            self._await_headers()

    def pause_writing(self) -> None:
        """The client does not read what is sent: give it a limited time."""
        super().pause_writing()
        self._abort_later()

    def resume_writing(self) -> None:
        """The client has read on."""
        if not self.transport.is_closing():
            self._stop_write_timer()
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        """Close the connection, also one whose client never reads the end of its response."""
        super().timeout_keep_alive_handler()
        self._abort_later()

    def _await_headers(self) -> None:
        self._header_timer = self.loop.call_later(HEADER_TIMEOUT_S, self._close)

    def _stop_waiting(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _abort_later(self) -> None:
        if self._write_timer is None:
            self._write_timer = self.loop.call_later(WRITE_TIMEOUT_S, self.transport.abort)

    def _stop_write_timer(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def _close(self) -> None:
        self._stop_waiting()
        if not self.transport.is_closing():
            self.transport.close()
            self._abort_later()


PROTOCOL: Any = BoundedProtocol
"""As uvicorn's option takes it."""
