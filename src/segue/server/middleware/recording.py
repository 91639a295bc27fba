"""The outermost layer: request ids, headers of all responses, access log, metrics, last resort."""

from __future__ import annotations

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from segue.server.errors import INTERNAL_ERROR, error_response
from segue.server.log import Log
from segue.server.metrics import Metrics
from segue.server.middleware.access import OPEN_PATHS
from segue.server.request_record import RequestRecord, start_record

SECURITY_HEADERS = (
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
"""Headers of every response that does not set them itself."""

UNMATCHED = "unmatched"
"""The route, in the log and the metrics, of a path that is none."""
QUIET_ROUTES = frozenset(["/healthz", "/readyz", "/metrics"])
"""Routes whose successes are not logged: probes call them every few seconds."""


class Recording:
    """Notes what happens to each request, and answers with 500 if an exception escapes."""

    def __init__(self, app: ASGIApp, *, log: Log, metrics: Metrics) -> None:
        """Wrap an application."""
        self._app = app
        self._log = log
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        record, status, n_bytes = start_record(scope), 0, 0

        async def send_noted(message: Message) -> None:
            nonlocal status, n_bytes
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = _complete(message["headers"], record)
            elif message["type"] == "http.response.body":
                n_bytes += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, send_noted)
        except Exception as error:  # noqa: BLE001 - the last resort
            self._log.write_bug(error, request_id=record.request_id)
            if not status:
                await error_response(scope, INTERNAL_ERROR)(scope, receive, send_noted)
        finally:
            self._note(scope, record, status, n_bytes)

    def _note(self, scope: Scope, record: RequestRecord, status: int, n_bytes: int) -> None:
        seconds = time.perf_counter() - record.start_s
        own_path = scope["path"] if scope["path"] in OPEN_PATHS else UNMATCHED
        route = getattr(scope.get("route"), "path", own_path)
        self._metrics.count_request(route, status, seconds)
        if record.error is not None:
            self._metrics.count_error(record.error)
        elif route in QUIET_ROUTES:
            return
        self._log.write_soon(
            "request",
            request_id=record.request_id,
            method=scope["method"] if route != UNMATCHED else None,
            route=route,
            status=status,
            ms=round(1e3 * seconds, 2),
            bytes=n_bytes,
            key=record.key,
            model=record.model,
            version=record.version,
            error=record.error,
        )


def _complete(
    headers: list[tuple[bytes, bytes]], record: RequestRecord
) -> list[tuple[bytes, bytes]]:
    """The headers of a response with those that every response has."""
    given = {name.lower() for name, _ in headers}
    added = [header for header in SECURITY_HEADERS if header[0] not in given]
    return [*headers, *added, (b"x-request-id", record.request_id.encode("ascii"))]
