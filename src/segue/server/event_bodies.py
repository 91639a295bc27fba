"""Bodies of ``POST /v1/events``: one event, or many as ``{"events": [...]}``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag

from segue.config.section import ConfigSection
from segue.errors import ConfigError
from segue.event_store import Event, check_kinds
from segue.event_store.event import MAX_ITEM_ID, stored_id, time_from_text
from segue.recommender.ids import Id
from segue.server.errors import ApiError
from segue.server.settings import ServerSettings


class EventBody(ConfigSection):
    """One user did one thing with one item."""

    event_id: Id = Field(
        description="Your id of the event. The same event sent again is stored once."
    )
    user_id: Id = Field(description="Who. The key user of other requests names it.")
    item_id: Id = Field(description="What with.")
    time: str = Field(
        description="When: ISO 8601 with an offset.", json_schema_extra={"format": "date-time"}
    )
    kind: str = Field(description="What the user did, such as view, like, skip or dislike.")


class ManyEvents(ConfigSection):
    """Some events, which are stored together."""

    events: list[EventBody]


def _form(body: Any) -> str:
    return "many" if isinstance(body, dict) and "events" in body else "one"


EventCall = Annotated[
    Annotated[EventBody, Tag("one")] | Annotated[ManyEvents, Tag("many")], Discriminator(_form)
]


def events_of(call: EventBody | ManyEvents, settings: ServerSettings) -> list[Event]:
    """The events of a call.

    Raises:
        ApiError: there are no events or too many, or one of them cannot be stored.
    """
    if isinstance(call, EventBody):
        return [_event(call, settings)]
    if not 1 <= len(call.events) <= settings.max_events:
        message = f"events has {len(call.events):,} elements, expected 1 to {settings.max_events:,}"
        raise ApiError(422, "invalid_request", message, "send several calls")
    events = []
    for number, body in enumerate(call.events):
        try:
            events.append(_event(body, settings))
        except ApiError as error:
            raise error.within(f"events[{number}]") from None
    return events


def user_id_of(text: str) -> str:
    """The id of a user in a path.

    Raises:
        ApiError: it cannot be one.
    """
    try:
        return _checked(stored_id(text, "user_id"))
    except ValueError as error:
        raise ApiError(422, "invalid_request", str(error), "give the id of a user") from None


def _event(body: EventBody, settings: ServerSettings) -> Event:
    try:
        event = Event(
            _checked(stored_id(body.event_id, "event_id")),
            _checked(stored_id(body.user_id, "user_id")),
            _checked(stored_id(body.item_id, "item_id", MAX_ITEM_ID)),
            time_from_text(body.time, datetime.now(UTC)),
            body.kind,
        )
        check_kinds([body.kind], settings.event_weights)
    except ValueError as error:
        raise ApiError(422, "invalid_request", str(error), "see POST /v1/events") from None
    except ConfigError:
        kinds = ", ".join(sorted(settings.event_weights))
        message = "kind is not one that this server has a weight for"
        raise ApiError(422, "invalid_request", message, f"its kinds: {kinds}") from None
    return event


def _checked(text: str) -> str:
    """Text that can be encoded: JSON escapes can name halves of characters."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("an id has half of a character (a surrogate)") from None
    return text
