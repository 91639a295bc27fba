"""``GET /v1/people`` and ``GET /v1/people/{person_id}``."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from segue.server.errors import ApiError
from segue.server.routes import KEY_ERRORS, error_responses
from segue.server.routes.served import (
    ModelParameter,
    json_response,
    not_there_yet,
    progress,
    served_model,
    views_of,
)
from segue.server.served_people import why_no_people
from segue.server.view_schemas import PeopleShape, PersonShape

MAX_PAGE, MAX_QUERY, MAX_K = 200, 200, 50

router = APIRouter(tags=["views"])
_ERRORS = KEY_ERRORS | error_responses(404, 422, 503)


@router.get("/v1/people", responses={200: {"model": PeopleShape}, **_ERRORS})
async def list_people(
    request: Request,
    q: Annotated[str, Query(max_length=MAX_QUERY, description="Text in the ids.")] = "",
    start: Annotated[int, Query(ge=0, le=10**6, description="How many to skip.")] = 0,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE, description="How many to list.")] = 50,
    model: ModelParameter = None,
) -> Response:
    """People of the test part, the worst ranked first. The first call starts the ranking."""
    served, views = served_model(request, model), views_of(request)
    nothing = {
        "part": None,
        "n_people": None,
        "n_ranked": None,
        "n_matches": 0,
        "start": start,
        "people": [],
    }
    if (hint := why_no_people(served, views.data)) is not None:
        state = {"model": served.name, "status": "unavailable", "share": 0.0, "hint": hint}
        return json_response(state | nothing)
    computation = views.people.of(served)
    people = computation.value
    if people is None:
        return json_response(progress(served, computation) | nothing)
    n_matches, rows = await asyncio.to_thread(people.page, q, start, limit)
    return json_response(
        {
            **progress(served, computation),
            "hint": people.remark,
            "part": people.held_out.part,
            "n_people": people.held_out.n_people,
            "n_ranked": len(people.ranked),
            "n_matches": n_matches,
            "start": start,
            "people": rows,
        }
    )


@router.get(
    "/v1/people/{person_id:path}",
    responses={200: {"model": PersonShape}, **_ERRORS},
)
async def get_person(
    request: Request,
    person_id: str,
    k: Annotated[int, Query(ge=1, le=MAX_K, description="Length of the lists.")] = 10,
    against: Annotated[
        str | None,
        Query(description="The model of the second list; by default the most popular items."),
    ] = None,
    model: ModelParameter = None,
) -> Response:
    """A person: history, what came next, and two lists."""
    served, views = served_model(request, model), views_of(request)
    if (hint := why_no_people(served, views.data)) is not None:
        raise ApiError(404, "unknown_person", "this model has no people", hint)
    second = None if against is None else request.app.state.service.registry.find(against)
    computation = views.people.of(served)
    people = computation.value
    if people is None:
        raise not_there_yet(computation, "the people are being ranked")
    async with request.app.state.searching:
        person = await asyncio.to_thread(people.open, person_id, k, second)
    if person is None:
        message = "the held-out part has no person of this id"
        raise ApiError(404, "unknown_person", message, "GET /v1/people lists ids")
    return json_response({"model": served.name, **person})
