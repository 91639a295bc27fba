"""``GET /v1/map``, ``GET /v1/map/points`` and ``POST /v1/map/items``."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import Field

from segue.config.section import ConfigSection
from segue.recommender.ids import Id
from segue.server.bodies import MAX_ITEMS, ModelName, check_limits
from segue.server.routes import BODY_ERRORS, KEY_ERRORS, error_responses
from segue.server.routes.served import (
    ModelParameter,
    json_response,
    not_there_yet,
    progress,
    served_model,
    views_of,
)
from segue.server.served_map import describe_items
from segue.server.view_schemas import MapItemsShape, MapShape

router = APIRouter(tags=["views"])
_ERRORS = KEY_ERRORS | error_responses(404, 422)


class MapItemsBody(ConfigSection):
    """Which items to describe: by number on the map, and by id."""

    indices: Annotated[
        list[Annotated[int, Field(ge=0)]],
        Field(
            max_length=MAX_ITEMS,
            default_factory=list,
            description="Numbers from 0; others are left out.",
        ),
    ]
    items: Annotated[
        list[Id],
        Field(
            max_length=MAX_ITEMS,
            default_factory=list,
            description="Ids; unknown ones are left out.",
        ),
    ]
    model: ModelName = None


@router.get("/v1/map", responses={200: {"model": MapShape}, **_ERRORS, **error_responses(503)})
async def get_map(request: Request, model: ModelParameter = None) -> Response:
    """What the map of a model shows. The first call computes it, if it was never computed."""
    served = served_model(request, model)
    computation = views_of(request).maps.of(served)
    ready = computation.value
    return json_response(
        {
            **progress(served, computation),
            "n_items": None if ready is None else ready.n_items,
            "attribute": None if ready is None else ready.groups.attribute,
            "groups": [] if ready is None else ready.groups.names,
            "kept_neighbours": None if ready is None else round(ready.kept_neighbours, 4),
        }
    )


@router.get(
    "/v1/map/points",
    response_class=Response,
    responses={
        200: {
            "content": {"application/octet-stream": {"schema": {"format": "binary"}}},
            "description": "Little-endian arrays of all items: x, y (uint16), group, popularity "
            "(uint8).",
        },
        **_ERRORS,
        **error_responses(503),
    },
)
async def get_points(request: Request, model: ModelParameter = None) -> Response:
    """The points of a map, once it is ready."""
    served = served_model(request, model)
    computation = views_of(request).maps.of(served)
    if computation.value is None:
        raise not_there_yet(computation, "the map is being computed")
    return Response(computation.value.points, media_type="application/octet-stream")


@router.post("/v1/map/items", responses={200: {"model": MapItemsShape}, **BODY_ERRORS})
async def get_map_items(body: MapItemsBody, request: Request) -> Response:
    """Items of the map with their titles and attributes, by number or id."""
    check_limits(body, request.app.state.service.settings)
    served = served_model(request, body.model)
    ids = [str(item_id) for item_id in body.items]
    items = await asyncio.to_thread(describe_items, served, body.indices, ids)
    return json_response({"items": items})
