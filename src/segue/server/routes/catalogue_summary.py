"""``GET /v1/catalogue``, ``POST /v1/items`` and ``GET /v1/covers/{id}``: what a page shows."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Path, Request, Response

from segue.server.bodies import ItemsBody, check_limits
from segue.server.covers import Covers
from segue.server.registry import ServedModel
from segue.server.request_record import record_of
from segue.server.routes import BODY_ERRORS, KEY_ERRORS, error_responses
from segue.server.routes.catalogue import ModelParameter
from segue.server.schemas import CatalogueShape, ItemsShape

router = APIRouter(tags=["catalogue"])
_NO_COVER = 204


@router.get(
    "/v1/catalogue",
    responses={200: {"model": CatalogueShape}, **KEY_ERRORS, **error_responses(404, 422, 503)},
)
async def get_catalogue(request: Request, model: ModelParameter = None) -> Response:
    """The attributes of a catalogue with their values, levels of popularity, and examples."""
    served = _find(request, model)
    state = request.app.state
    state.service.check_ready()
    summary = served.catalogue_summary  # computed by the warm-up
    answer = summary | {
        "model": served.name,
        "popular": _described(served, summary["popular"]),
        "examples": [_described(served, example) for example in summary["examples"]],
        "n_covers": len(state.covers),
        "run": state.run_paths.get(served.name),
    }
    return Response(msgspec.json.encode(answer), media_type="application/json")


@router.post("/v1/items", responses={200: {"model": ItemsShape}, **BODY_ERRORS})
async def get_items(body: ItemsBody, request: Request) -> Response:
    """Items by their ids, in the order of the request."""
    check_limits(body, request.app.state.service.settings)
    served = _find(request, body.model)
    ids = [str(item_id) for item_id in body.ids]
    items = await asyncio.to_thread(lambda: {id_: served.descriptions.find(id_) for id_ in ids})
    answer = {
        "items": [item for item in items.values() if item is not None],
        "unknown_items": [item_id for item_id, item in items.items() if item is None],
        "model": served.name,
    }
    return Response(msgspec.json.encode(answer), media_type="application/json")


@router.get(
    "/v1/covers/{item_id:path}",
    response_class=Response,
    responses={
        200: {"description": "An image.", "content": {"image/*": {}}},
        _NO_COVER: {"description": "The item has no cover."},
        **KEY_ERRORS,
        **error_responses(422),
    },
)
async def get_cover(
    request: Request, item_id: Annotated[str, Path(description="The id of an item.")]
) -> Response:
    """The cover of an item."""
    covers: Covers = request.app.state.covers
    cover = await asyncio.to_thread(covers.find, item_id)
    if cover is None:
        return Response(status_code=_NO_COVER)
    content, content_type = cover
    headers = {"cache-control": "private, max-age=3600"}
    return Response(content, headers=headers, media_type=content_type)


def _find(request: Request, name: str | None) -> ServedModel:
    served = request.app.state.service.registry.find(name)
    record = record_of(request.scope)
    record.model, record.version = served.name, served.version
    return served


def _described(served: ServedModel, ids: list[str]) -> list[dict[str, Any]]:
    return [item for item_id in ids if (item := served.descriptions.find(item_id)) is not None]
