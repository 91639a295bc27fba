"""The HTTP protocol of uvicorn with bounds on what clients that send nothing may hold."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEADER_TIMEOUT_S = 10.0
"""Seconds from a connection, or from the first byte after a response, to the end of the headers."""
MAX_CONNECTIONS = 2_000
"""Further connections are closed at once."""


class BoundedProtocol(HttpToolsProtocol):
    """Closes a connection whose headers do not arrive in time; uvicorn waits for ever.

    uvicorn itself closes a connection that is silent after a response.
    """

    _header_timer: asyncio.TimerHandle | None = None

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
        super().connection_lost(exc)

    def on_headers_complete(self) -> None:
        """Stop waiting: the rest is the application's."""
        self._stop_waiting()
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Wait again, if the data is the beginning of another request."""
        super().data_received(data)
        is_between = self.cycle is None or self.cycle.response_complete
        if is_between and self._header_timer is None and not self.transport.is_closing():
            self._await_headers()

    def _await_headers(self) -> None:
        self._header_timer = self.loop.call_later(HEADER_TIMEOUT_S, self._close)

    def _stop_waiting(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _close(self) -> None:
        self._header_timer = None
        if not self.transport.is_closing():
            self.transport.close()


PROTOCOL: Any = BoundedProtocol
"""As uvicorn's option takes it."""
