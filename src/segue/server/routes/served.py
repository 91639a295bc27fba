"""What the routes of the views share: the model of a request, and JSON responses."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import Query, Request, Response

from segue.errors import SegueError
from segue.server.long_computation import LongComputation
from segue.server.registry import ServedModel
from segue.server.request_record import record_of
from segue.server.views import Views

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
    """The contents of the views."""
    return request.app.state.views


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
