"""``/healthz``, ``/readyz``, ``/metrics`` and ``POST /v1/admin/reload``."""

from __future__ import annotations

import msgspec
from fastapi import APIRouter, Request, Response

from segue.errors import SegueError
from segue.server import metrics
from segue.server.bodies import ReloadBody
from segue.server.errors import ApiError
from segue.server.routes import BODY_ERRORS, KEY_ERRORS, OPEN_ERRORS, error_responses
from segue.server.schemas import ReloadShape, StatusShape

router = APIRouter(tags=["operations"])


@router.get("/healthz", responses={200: {"model": StatusShape}, **OPEN_ERRORS})
async def healthz() -> Response:
    """Whether the process answers."""
    return Response(b'{"status":"ok"}', media_type="application/json")


@router.get(
    "/readyz", responses={200: {"model": StatusShape}, **OPEN_ERRORS, **error_responses(503)}
)
async def readyz(request: Request) -> Response:
    """Whether every model is warmed up, and whether events can be stored."""
    service = request.app.state.service
    service.check_ready()
    status = {"status": "ready"}
    if service.events is not None:
        # Not 503: requests without users are answered all the same.
        status["events"] = "available" if service.events.is_available else "unavailable"
    return Response(msgspec.json.encode(status), media_type="application/json")


@router.get("/metrics", response_class=Response, responses={**KEY_ERRORS})
async def get_metrics(request: Request) -> Response:
    """Metrics in the text format of Prometheus."""
    service = request.app.state.service
    for name in service.registry.names:
        service.metrics.set_waiting(name, service.n_waiting(name))
    return Response(service.metrics.text(), media_type=metrics.CONTENT_TYPE)


@router.post(
    "/v1/admin/reload",
    responses={200: {"model": ReloadShape}, **BODY_ERRORS, **error_responses(403, 409)},
    tags=["administration"],
)
async def reload(body: ReloadBody, request: Request) -> Response:
    """Load the run that now lies at the path of a model, or of every model."""
    service = request.app.state.service
    names = service.registry.names if body.model is None else [body.model]
    reloaded = []
    for name in names:
        previous = service.registry.find(name)
        try:
            model = await service.reload(name)
        except SegueError as error:
            message = f"{name} was not loaded: {error.message}; the old version stays"
            raise ApiError(409, "reload_failed", message, error.hint) from None
        versions = {"version": model.version, "previous_version": previous.version}
        reloaded.append({"name": name, **versions})
    return Response(msgspec.json.encode({"models": reloaded}), media_type="application/json")
