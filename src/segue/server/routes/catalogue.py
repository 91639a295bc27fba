"""``GET /v1/items``, ``/v1/items/{id}``, ``/v1/model`` and ``/v1/models``."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query, Request, Response

from segue.server.errors import ApiError
from segue.server.registry import ServedModel
from segue.server.request_record import record_of
from segue.server.routes import KEY_ERRORS, error_responses
from segue.server.schemas import Item, MatchesShape, ModelShape, ModelsShape

MAX_MATCHES, MAX_QUERY = 100, 200

router = APIRouter(tags=["catalogue"])
_ERRORS = KEY_ERRORS | error_responses(404, 422)
ModelParameter = Annotated[
    str | None, Query(description="The name of a model; by default the first one of the server.")
]


def _responses(shape: Any) -> dict[int | str, Any]:
    return {200: {"model": shape}, **_ERRORS}


@router.get("/v1/items", responses=_responses(MatchesShape))
async def find_items(
    request: Request,
    q: Annotated[str, Query(min_length=1, max_length=MAX_QUERY, description="What to search.")],
    limit: Annotated[int, Query(ge=1, le=MAX_MATCHES, description="Number of items.")] = 10,
    column: Annotated[
        str | None,
        Query(max_length=MAX_QUERY, description="The attribute to search; by default all."),
    ] = None,
    model: ModelParameter = None,
) -> Response:
    """Items that match a text, best first."""
    served = _model(request, model)
    # One search at a time: a scan of a large catalogue must not take every thread.
    async with request.app.state.searching:
        items = await asyncio.to_thread(_matches, served, q, limit, column)
    notes = [] if items else ["no item matches"]
    return _json({"query": q, "items": items, "model": served.name, "notes": notes})


@router.get("/v1/items/{item_id:path}", responses=_responses(Item))
async def get_item(request: Request, item_id: str, model: ModelParameter = None) -> Response:
    """An item with its attributes."""
    item = _model(request, model).descriptions.find(item_id)
    if item is None:
        message, hint = "there is no item of this id", "GET /v1/items?q=TEXT finds ids"
        raise ApiError(404, "unknown_item", message, hint)
    return _json(item)


@router.get("/v1/model", responses=_responses(ModelShape))
async def get_model(request: Request, model: ModelParameter = None) -> Response:
    """What is known of a model: its catalogue, what requests may use, its results."""
    served = _model(request, model)
    recommender = served.recommender
    layout = recommender.encoder.layout
    described = {
        "n_candidates": recommender.ensemble.n_candidates,
        "context": layout.context,
        "attributes": [
            name for name in recommender.items.table.column_names if name not in ("index",)
        ],
        "sequence_features": list(recommender.ensemble.vocabulary.values),
        "starts_empty": layout.start,
        "ends_sequences": layout.end,
        "members": [member.name for member in recommender.ensemble.members],
        "max_k": request.app.state.service.settings.max_k,
        "card": {
            key: value for key, value in served.card.items() if key not in ("checksums", "machine")
        },
    }
    return _json(_summary(served) | described)


@router.get("/v1/models", responses={200: {"model": ModelsShape}, **KEY_ERRORS})
async def list_models(request: Request) -> Response:
    """The models of this server; the first is the default."""
    models = request.app.state.service.registry.models
    return _json({"models": [_summary(model) for model in models]})


def _model(request: Request, name: str | None) -> ServedModel:
    served = request.app.state.service.registry.find(name)
    record = record_of(request.scope)
    record.model, record.version = served.name, served.version
    return served


def _matches(model: ServedModel, text: str, limit: int, column: str | None) -> list[dict[str, Any]]:
    rows = model.recommender.search(text, limit, column=column)
    return [model.descriptions.describe(row["index"]) for row in rows]


def _summary(model: ServedModel) -> dict[str, Any]:
    n_items = len(model.recommender.item_ids)
    return {
        "name": model.name,
        "version": model.version,
        "loaded_at": model.loaded_at,
        "n_items": n_items,
    }


def _json(content: Any) -> Response:
    return Response(msgspec.json.encode(content), media_type="application/json")
