"""Arguments of ``Recommender``'s methods as bodies of calls: plain values, one body per history."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import uuid4

from segue.config.section import ConfigSection
from segue.errors import RequestError
from segue.recommender.control_options import listed, merged
from segue.recommender.ids import histories_of, id_string, id_strings, one_per_history


def bodies_of(
    kind: type[ConfigSection],
    items: Any,
    *,
    shared: Mapping[str, Any],
    per_history: Mapping[str, Any],
    controls: Any = None,
    shared_controls: Mapping[str, Any] | None = None,
) -> tuple[list[dict[str, Any]], bool]:
    """The bodies for one history or many.

    Args:
        kind: the type of the body, for its defaults: an argument that has the default is left to
            the server.
        items: as in ``Recommender.recommend``.
        shared: arguments that all histories have in common.
        per_history: arguments of which each of many histories has its own.
        controls: as in ``Recommender.recommend``.
        shared_controls: as in ``Recommender.recommend``.

    Returns:
        The bodies, and whether many histories were given.

    Raises:
        RequestError: a value is not of a possible type.
    """
    histories, has_many = histories_of(items)
    n = len(histories)
    columns = {
        name: one_per_history(name, _listed_if_many(value, has_many), n, has_many=has_many)
        for name, value in per_history.items()
    }
    own_controls = one_per_history("controls", controls, n, has_many=has_many)
    common = _without_defaults(kind, shared)
    of_all = listed(shared_controls or {})
    bodies = []
    for row, history in enumerate(histories):
        own = {name: _plain(name, values[row]) for name, values in columns.items()}
        steering = listed(merged(of_all, own_controls[row]))
        steering = {name: _plain(name, value) for name, value in steering.items()}
        body = {"items": history, **common, **own, **steering}
        bodies.append({name: value for name, value in body.items() if value is not None})
    return bodies, has_many


def similar_body(item: Any, k: int, **filters: Any) -> dict[str, Any]:
    """The body of a call for similar items."""
    given = {name: _plain(name, value) for name, value in listed(filters).items() if value}
    if filters.get("only") is not None:
        given["only"] = id_strings(filters["only"], "only")
    return {"item": id_string(item, "item"), "k": _plain("k", k), **given}


def event_body(event: Any) -> dict[str, Any]:
    """The body of one event: times as text, and an id of its own if it has none.

    Raises:
        RequestError: it is not a mapping, or its time has no time zone.
    """
    if not isinstance(event, Mapping):
        message = f"an event is {event!r:.80}, expected a mapping"
        raise RequestError(message, 'with "user_id", "item_id", "time" and "kind"')
    body = {"event_id": uuid4().hex, **event}
    time = body.get("time")
    if isinstance(time, datetime):
        if time.tzinfo is None:
            message = f"the time {time} of an event has no time zone"
            raise RequestError(message, "give datetime.now(timezone.utc), for example")
        body["time"] = time.isoformat()
    return {name: _plain(name, value) for name, value in body.items()}


def _listed_if_many(value: Any, has_many: bool) -> Any:
    """A column of any sequence type as a list; the value itself for one history."""
    is_column = has_many and value is not None and not isinstance(value, str | Mapping)
    return list(value) if is_column and isinstance(value, Iterable) else value


def _without_defaults(kind: type[ConfigSection], arguments: Mapping[str, Any]) -> dict[str, Any]:
    given = {}
    for name, value in arguments.items():
        plain, default = _plain(name, value), kind.model_fields[name].default
        if type(plain) is not type(default) or plain != default:
            given[name] = plain
    return given


def _plain(name: str, value: Any) -> Any:
    """A value as JSON has it: NumPy scalars as numbers, ids of all kinds as text."""
    if name in ("user", "user_id", "item_id", "event_id"):
        return None if value is None else id_string(value, name)
    if name == "candidates":
        return None if value is None else id_strings(value, name)
    if name == "locked":
        return None if value is None else _locked(value)
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        return value.item()
    if isinstance(value, Mapping):
        return {str(key): _plain("", entry) for key, entry in value.items()}
    return value


def _locked(value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping):
        message = f"locked is {value!r:.80}, expected a mapping of positions to item ids"
        raise RequestError(message, 'give {3: "item id"}, for example')
    return {str(position): id_string(item, "locked item") for position, item in value.items()}
