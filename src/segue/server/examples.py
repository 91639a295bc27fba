"""Examples of calls: in the OpenAPI document and in the documentation. Tests make all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode


class Example(NamedTuple):
    """A call of the API.

    Attributes:
        name: a short name, unique.
        summary: what it does.
        method: ``GET``, ``POST`` or ``DELETE``.
        route: the path with the names of its parameters.
        parameters: of the path and the query string.
        body: the body, as plain values.
        role: which key it needs.
    """

    name: str
    summary: str
    method: str
    route: str
    parameters: Mapping[str, Any] = {}
    body: Any = None
    role: str = "user"

    @property
    def path(self) -> str:
        """The path with its parameters, and the query string."""
        path, rest = self.route, dict(self.parameters)
        for name in list(rest):
            for placeholder in (f"{{{name}}}", f"{{{name}:path}}"):
                if placeholder in path:
                    path = path.replace(placeholder, quote(str(rest.pop(name)), safe=""))
        return f"{path}?{urlencode(rest)}" if rest else path


def examples_of(ids: Sequence[str]) -> list[Example]:
    """The examples with some item ids of a catalogue.

    Args:
        ids: at least two.
    """
    first, second = ids[0], ids[1]
    event = {
        "event_id": "e-1",
        "user_id": "u1",
        "item_id": first,
        "time": "2025-06-01T12:00:00Z",
        "kind": "view",
    }
    later = {"event_id": "e-2", "item_id": second, "time": "2025-06-01T12:30:00+02:00"}
    history = [first, second]
    return [
        Example(
            "recommend",
            "Five items that come next",
            "POST",
            "/v1/recommend",
            body={"items": history, "k": 5},
        ),
        Example(
            "recommend with controls",
            "Less popular items, varied, without one",
            "POST",
            "/v1/recommend",
            body={
                "items": [first],
                "k": 5,
                "exclude": [second],
                "popularity": -0.5,
                "diversity": 0.3,
            },
        ),
        Example(
            "recommend for many",
            "Two histories in one call",
            "POST",
            "/v1/recommend",
            body={"requests": [{"items": [first], "k": 3}, {"items": [second], "k": 3}]},
        ),
        Example(
            "generate",
            "Continue a sequence; the same seed gives the same one again",
            "POST",
            "/v1/generate",
            body={"items": history, "length": 5, "top_k": 10, "seed": 7},
        ),
        Example(
            "score",
            "The score of each candidate",
            "POST",
            "/v1/score",
            body={"items": [first], "candidates": [second, first]},
        ),
        Example(
            "explain",
            "Five items, and why each",
            "POST",
            "/v1/explain",
            body={"items": history, "k": 5},
        ),
        Example(
            "similar",
            "Items with similar vectors",
            "POST",
            "/v1/similar",
            body={"item": first, "k": 5},
        ),
        Example("search", "Items by text", "GET", "/v1/items", parameters={"q": first, "limit": 3}),
        Example("item", "One item", "GET", "/v1/items/{item_id}", parameters={"item_id": first}),
        Example("model", "What is known of the model", "GET", "/v1/model"),
        Example("models", "All models of the server", "GET", "/v1/models"),
        Example("store an event", "What a user did", "POST", "/v1/events", body=event),
        Example(
            "store many events",
            "Stored together; those that are there already are left alone",
            "POST",
            "/v1/events",
            body={"events": [event, {**event, **later, "kind": "like"}]},
        ),
        Example(
            "recommend for a user",
            "The history is what is stored of the user",
            "POST",
            "/v1/recommend",
            body={"user": "u1", "k": 5},
        ),
        Example(
            "events of a user",
            "What is stored, oldest first",
            "GET",
            "/v1/users/{user_id}/events",
            parameters={"user_id": "u1", "limit": 100},
        ),
        Example(
            "delete the events of a user",
            "Delete all that is stored of a user",
            "DELETE",
            "/v1/users/{user_id}/events",
            parameters={"user_id": "u1"},
        ),
        Example(
            "reload",
            "Load what now lies at the path of the run",
            "POST",
            "/v1/admin/reload",
            body={},
            role="admin",
        ),
    ]
