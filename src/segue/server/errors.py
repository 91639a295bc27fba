"""Errors over HTTP: one shape for all, ``{"error": {"code", "message", "hint"}}``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Scope

from segue.config import nearest_hint
from segue.errors import (
    DatasetError,
    EventStoreError,
    NotFiniteError,
    RequestError,
    SegueError,
)
from segue.recommender.request_problems import problem_of
from segue.server.micro_batcher import ClosedError, QueueFullError
from segue.server.request_record import record_of


class ApiError(Exception):
    """An error that is answered with a status and the common shape.

    Attributes:
        status: the HTTP status.
        code: what programs tell errors apart by.
        message: what was given and what was expected.
        hint: what to do; may be empty.
        headers: further headers of the response, in lower case.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        hint: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.hint = hint
        self.headers = dict(headers or {})

    def within(self, place: str) -> ApiError:
        """The same error with the place in the body at which it occurred."""
        message = f"{place}: {self.message}"
        return ApiError(self.status, self.code, message, self.hint, self.headers)

    @property
    def body(self) -> bytes:
        """The response body."""
        error = {"code": self.code, "message": _valid(self.message), "hint": _valid(self.hint)}
        return msgspec.json.encode({"error": error})


ERRORS = (
    ApiError,
    SegueError,
    QueueFullError,
    ClosedError,
    RequestValidationError,
    HTTPException,
)
"""Exceptions that are answers; any other one is a bug."""

INTERNAL_ERROR = ApiError(
    500, "internal_error", "the server failed to answer", "its log has a line with this request id"
)


def retry_later(status: int, code: str, message: str, seconds: float) -> ApiError:
    """An error after which the client should wait: at least a second, in whole seconds."""
    wait = str(max(1, min(60, round(seconds + 0.5))))
    hint = f"try again after {wait} s"
    return ApiError(status, code, message, hint, {"retry-after": wait})


def timed_out(limit_s: float) -> ApiError:
    """The request was not computed in time."""
    message = f"the answer took longer than {limit_s:g} s"
    return ApiError(504, "timeout", message, "ask for less, or try again later")


def api_error(error: Exception) -> ApiError:  # noqa: PLR0911 - one return per kind of error
    """The response to an exception; ``INTERNAL_ERROR`` for one that is a bug."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, QueueFullError):
        return retry_later(503, "queue_full", "too many requests are waiting", error.retry_after_s)
    if isinstance(error, EventStoreError):
        message = "the database of events does not answer; nothing is stored twice"
        return retry_later(503, "events_unavailable", message, 1.0)
    if isinstance(error, ClosedError):
        return retry_later(503, "stopping", "the server is stopping", 1.0)
    if isinstance(error, RequestValidationError):
        return _invalid_body(error)
    if isinstance(error, RequestError):
        return ApiError(422, "invalid_request", error.message, error.hint)
    if isinstance(error, DatasetError):
        # Its message names a path of the server.
        message = "this server has no histories of users"
        return ApiError(422, "no_histories", message, "give the history itself in items")
    if isinstance(error, SegueError):
        is_model = isinstance(error, NotFiniteError)
        return ApiError(500, "model_error", error.message if is_model else "the model failed")
    if isinstance(error, HTTPException):
        return _http_error(error)
    return INTERNAL_ERROR


def _http_error(error: HTTPException) -> ApiError:
    """Errors of the framework: no such route or method, or a body that cannot be read."""
    phrase = HTTPStatus(error.status_code).phrase
    code = phrase.lower().replace(" ", "_").replace("-", "_")
    hints = {
        400: "send one JSON object in UTF-8",
        404: "/openapi.json lists what there is",
        405: "/openapi.json lists what there is",
    }
    message = "the body is not JSON" if error.status_code == 400 else phrase.lower()
    return ApiError(
        error.status_code, code, message, hints.get(error.status_code, ""), error.headers
    )


_ONE_OR_MANY = ("one", "many")
"""Names that the place of an error has besides the keys of a body."""


def _invalid_body(error: RequestValidationError) -> ApiError:
    """The first thing that is wrong with the keys of a body, or of a query string."""
    errors: Sequence[dict[str, Any]] = error.errors()
    if errors[0]["type"] == "json_invalid":
        return ApiError(400, "bad_request", "the body is not JSON", "send one JSON object in UTF-8")
    part = errors[0]["loc"][0]
    within = [{**one, "loc": _place_in(one["loc"])} for one in errors]
    problem = problem_of(within, root=f"the {part}", is_text=part != "body")
    what = "types" if problem.unknown_key is None and "expected" in problem.message else "keys"
    return ApiError(422, "invalid_request", problem.message, f"/openapi.json lists the {what}")


def _place_in(location: Sequence[str | int]) -> Sequence[str | int]:
    """The place of an error within its body or query."""
    part, *place = location
    return place[1:] if part == "body" and place[:1] and place[0] in _ONE_OR_MANY else place


def error_response(scope: Scope, error: ApiError) -> Response:
    """The response to an error, whose code is noted for the log."""
    record_of(scope).error = error.code
    return Response(error.body, error.status, error.headers, "application/json")


def unknown_name(kind: str, name: str, names: list[str]) -> ApiError:
    """There is no such model, for example."""
    message = f"there is no {kind} {_shortened(name)!r}"
    return ApiError(404, f"unknown_{kind}", message, nearest_hint(name, names))


def _valid(text: str) -> str:
    """Text without halves of characters, which JSON escapes can name and UTF-8 cannot encode."""
    return text.encode("utf-8", "backslashreplace").decode()


def _shortened(text: str, length: int = 100) -> str:
    return text if len(text) <= length else text[:length] + "..."
