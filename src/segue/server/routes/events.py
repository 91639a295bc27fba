"""``POST /v1/events``, and ``GET`` and ``DELETE /v1/users/{id}/events``."""

from __future__ import annotations

import re
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query, Request, Response

from segue.event_store import CONFLICT, EXISTING, STORED, Event
from segue.event_store.event import time_to_text
from segue.event_store.store import Position
from segue.server.errors import ApiError
from segue.server.event_bodies import EventCall, ManyEvents, events_of, user_id_of
from segue.server.event_schemas import DeletedEventsShape, EventResultsShape, UserEventsShape
from segue.server.routes import BODY_ERRORS, KEY_ERRORS, error_responses
from segue.server.user_events import UserEvents

MAX_PAGE = 1_000
_CURSOR = re.compile(r"(-?\d{1,18})\.(\d{1,18})")

router = APIRouter(tags=["events"])
_ERRORS = KEY_ERRORS | error_responses(404, 422, 503, 504)


@router.post(
    "/v1/events",
    responses={200: {"model": EventResultsShape}, **BODY_ERRORS, **error_responses(409)},
)
async def add_events(body: EventCall, request: Request) -> Response:
    """Store one event or many. They are on disk when the answer arrives; repeat calls freely."""
    store = _store(request)
    events = events_of(body, request.app.state.service.settings)
    results = await store.add(events)
    if not isinstance(body, ManyEvents) and results == [CONFLICT]:
        message = "another event has this event_id, and stays as it is"
        raise ApiError(409, "event_conflict", message, "give every event an id of its own")
    listed = [
        {"event_id": event.event_id, "status": status}
        for event, status in zip(events, results, strict=True)
    ]
    counts = [results.count(status) for status in (STORED, EXISTING, CONFLICT)]
    names = ("stored", "already_stored", "conflicts")
    return _json({"results": listed, **dict(zip(names, counts, strict=True))})


@router.get(
    "/v1/users/{user_id:path}/events", responses={200: {"model": UserEventsShape}, **_ERRORS}
)
async def get_user_events(
    request: Request,
    user_id: str,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE, description="Number of events.")] = 100,
    after: Annotated[
        str | None, Query(max_length=40, description="next of the page before.")
    ] = None,
) -> Response:
    """The stored events of a user, oldest first, in pages. An unknown user has none."""
    store, user = _store(request), user_id_of(user_id)
    events, following = await store.page(user, _position(after), limit)
    cursor = None if following is None else f"{following[0]}.{following[1]}"
    return _json({"user_id": user, "events": list(map(_described, events)), "next": cursor})


@router.delete(
    "/v1/users/{user_id:path}/events", responses={200: {"model": DeletedEventsShape}, **_ERRORS}
)
async def delete_user_events(request: Request, user_id: str) -> Response:
    """Delete all stored events of a user. A run keeps what it was trained on."""
    store, user = _store(request), user_id_of(user_id)
    return _json({"user_id": user, "deleted": await store.delete_user(user)})


def _store(request: Request) -> UserEvents:
    events = request.app.state.service.events
    if events is None:
        message, hint = "this server stores no events", "start it with --events events.db"
        raise ApiError(404, "no_event_store", message, hint)
    return events


def _position(cursor: str | None) -> Position | None:
    if cursor is None:
        return None
    numbers = _CURSOR.fullmatch(cursor)
    if numbers is None or not cursor.isascii():
        message = "after is not a position in the events of a user"
        raise ApiError(422, "invalid_request", message, "give next of the page before")
    return int(numbers[1]), int(numbers[2])


def _described(event: Event) -> dict[str, Any]:
    return {
        "event_id": event.event_id,
        "user_id": event.user_id,
        "item_id": event.item_id,
        "time": time_to_text(event.time_us),
        "kind": event.kind,
    }


def _json(content: Any) -> Response:
    return Response(msgspec.json.encode(content), media_type="application/json")
