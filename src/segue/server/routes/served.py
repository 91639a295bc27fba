"""What the routes of the views share: the model of a request, and JSON responses."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Any, TypeVar

import msgspec
from fastapi import Query, Request, Response

from segue.errors import SegueError
from segue.server.errors import ApiError, retry_later, timed_out
from segue.server.long_computation import RETRY_S, LongComputation
from segue.server.registry import ServedModel
from segue.server.request_record import record_of
from segue.server.views import Views

ValueT = TypeVar("ValueT")
POLL_S = 0.02
ModelParameter = Annotated[
    str | None, Query(description="The name of a model; by default the first one of the server.")
]


def served_model(request: Request, name: str | None) -> ServedModel:
    """The model of a request, which is noted for the log.

    Raises:
        ApiError: there is none of this name.
    """
    served: ServedModel = request.app.state.service.registry.find(name)
    record = record_of(request.scope)
    record.model, record.version = served.name, served.version
    return served


def views_of(request: Request) -> Views:
    """The contents of the views, whose long computations must not compete with the warm-up.

    Raises:
        ApiError: the models are being warmed up.
    """
    request.app.state.service.check_ready()
    return request.app.state.views


async def finished(computation: LongComputation[ValueT], timeout_s: float) -> ValueT:
    """The value of a computation, without a thread that waits for it.

    Raises:
        ApiError: it takes longer.
        Exception: it failed.
    """
    end_s = time.monotonic() + timeout_s
    while computation.state == "computing":
        if time.monotonic() > end_s:
            raise timed_out(timeout_s)
        await asyncio.sleep(POLL_S)
    if computation.error is not None:
        raise computation.error.with_traceback(None)
    assert computation.value is not None
    return computation.value


def not_there_yet(computation: LongComputation[Any], doing: str) -> ApiError:
    """The error of a call that needs a value that is not there.

    Args:
        computation: computes the value.
        doing: what it does, for the message: "the map is being computed".
    """
    if computation.state == "failed":
        message = f"{doing}, and that failed; a call after {RETRY_S:g} s tries it again"
        return retry_later(404, "not_computed", message, RETRY_S)
    return retry_later(404, "not_computed", doing, 5.0)


def progress(model: ServedModel, computation: LongComputation[Any]) -> dict[str, Any]:
    """How far a background computation is, as every view says it."""
    error, hint = computation.error, ""
    if isinstance(error, SegueError):
        hint = f"{error.message}: {error.hint}" if error.hint else error.message
    elif error is not None:
        hint = "the server failed; its log says where"
    share = 1.0 if computation.state == "ready" else round(computation.share, 3)
    return {"model": model.name, "status": computation.state, "share": share, "hint": hint}


def json_response(content: Any) -> Response:
    """A response with a value as JSON."""
    return Response(msgspec.json.encode(content), media_type="application/json")
