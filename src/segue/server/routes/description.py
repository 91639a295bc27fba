"""``GET /v1/model/card`` and ``GET /v1/model/curves``."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request, Response

from segue.errors import RunError
from segue.server.routes import KEY_ERRORS, error_responses
from segue.server.routes.served import (
    ModelParameter,
    finished,
    json_response,
    served_model,
    views_of,
)
from segue.server.view_schemas import CardShape, CurvesShape
from segue.server.views import curves_of, scores_of

router = APIRouter(tags=["views"])
_ERRORS = KEY_ERRORS | error_responses(404, 422)


@router.get(
    "/v1/model/card", responses={200: {"model": CardShape}, **_ERRORS, **error_responses(503, 504)}
)
async def get_card(request: Request, model: ModelParameter = None) -> Response:
    """A model described for people: sentences, results, data audit, and graph."""
    served = served_model(request, model)
    computation = views_of(request).cards.of(served)
    value = await finished(computation, request.app.state.service.settings.timeout_s)
    summary = {
        "name": served.name,
        "version": served.version,
        "loaded_at": served.loaded_at,
        "n_items": len(served.recommender.item_ids),
        "scores": await asyncio.to_thread(scores_of, served),
    }
    return json_response(summary | value)


@router.get("/v1/model/curves", responses={200: {"model": CurvesShape}, **_ERRORS})
async def get_curves(request: Request, model: ModelParameter = None) -> Response:
    """The training curves of a model."""
    served = served_model(request, model)
    try:
        curves = await asyncio.to_thread(curves_of, served.folder)
    except RunError:  # a run may be served without its log
        curves = {"metric": served.card["validation"]["metric"], "best": None, "series": []}
    return json_response({"model": served.name, **curves})
