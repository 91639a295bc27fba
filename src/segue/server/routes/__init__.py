"""The routes of the API: each reads its request, calls the service, and returns prebuilt JSON."""

from __future__ import annotations

from typing import Any

from segue.server.schemas import ErrorShape

_ERRORS = {
    400: "The body is not JSON.",
    401: "The API key is missing, unknown or has expired.",
    403: "The key may not do this.",
    404: "There is no such route, model or item.",
    405: "The route has other methods.",
    408: "The request did not arrive in time.",
    409: "The run at the path cannot be loaded, or an event id is that of another event.",
    413: "The body is too large.",
    415: "The body is not of the type application/json.",
    421: "The header Host does not name this server.",
    422: "The request cannot be satisfied as it is.",
    429: "The key sent too many requests; see Retry-After.",
    500: "The server failed.",
    503: "Starting, stopping, too many requests, or no database of events; see Retry-After.",
    504: "The answer took too long.",
}


def error_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The documentation of error responses, which all have one shape."""
    return {status: {"model": ErrorShape, "description": _ERRORS[status]} for status in statuses}


OPEN_ERRORS = error_responses(405, 421, 500)
KEY_ERRORS = OPEN_ERRORS | error_responses(401, 429)
BODY_ERRORS = KEY_ERRORS | error_responses(400, 404, 408, 413, 415, 422, 503, 504)
"""Errors of the routes that read a body."""
