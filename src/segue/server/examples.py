"""Examples of calls: in the OpenAPI document and in the documentation. Tests make all of them."""

from __future__ import annotations

import json
import re
import textwrap
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
        python: the same call by ``segue.Client``, as statements with the variable ``client``; by
            default that of its method ``call``.
        role: which key it needs.
    """

    name: str
    summary: str
    method: str
    route: str
    parameters: Mapping[str, Any] = {}
    body: Any = None
    python: str = ""
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
    many = [event, {**event, **later, "kind": "like"}]
    return [
        Example(
            "recommend",
            "Five items that come next",
            "POST",
            "/v1/recommend",
            body={"items": history, "k": 5},
            python=(
                f"for item in client.recommend({_text(history)}, k=5):\n"
                "    print(item.rank, item.item_id, item.title, item.score)"
            ),
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
            python=(
                f"answer = client.recommend([{_text(first)}], k=5, exclude=[{_text(second)}], "
                "popularity=-0.5, diversity=0.3)\n"
                "print([item.title for item in answer])"
            ),
        ),
        Example(
            "recommend for many",
            "Two histories in one call",
            "POST",
            "/v1/recommend",
            body={"requests": [{"items": [first], "k": 3}, {"items": [second], "k": 3}]},
            python=(
                f"for answer in client.recommend([[{_text(first)}], [{_text(second)}]], k=3):\n"
                "    print([item.title for item in answer])"
            ),
        ),
        Example(
            "generate",
            "Continue a sequence; the same seed gives the same one again",
            "POST",
            "/v1/generate",
            body={"items": history, "length": 5, "top_k": 10, "seed": 7},
            python=(
                f"answer = client.generate({_text(history)}, length=5, top_k=10, seed=7)\n"
                "print([item.title for item in answer])"
            ),
        ),
        Example(
            "score",
            "The score of each candidate",
            "POST",
            "/v1/score",
            body={"items": [first], "candidates": [second, first]},
            python=f"print(client.score([{_text(first)}], {_text([second, first])}))",
        ),
        Example(
            "explain",
            "Five items, and why each",
            "POST",
            "/v1/explain",
            body={"items": history, "k": 5},
            python=(
                f"for item in client.explain({_text(history)}, k=5):\n"
                "    print(item.title, item.why.text)"
            ),
        ),
        Example(
            "similar",
            "Items with similar vectors",
            "POST",
            "/v1/similar",
            body={"item": first, "k": 5},
            python=(
                f"for item in client.similar_items({_text(first)}, k=5):\n"
                "    print(item.title, item.score)"
            ),
        ),
        Example(
            "search",
            "Items by text",
            "GET",
            "/v1/items",
            parameters={"q": first, "limit": 3},
            python=(
                f"for item in client.search({_text(first)}, 3):\n"
                '    print(item["item_id"], item["title"])'
            ),
        ),
        Example(
            "item",
            "One item",
            "GET",
            "/v1/items/{item_id}",
            parameters={"item_id": first},
            python=f"print(client.item({_text(first)}))",
        ),
        Example(
            "model",
            "What is known of the model",
            "GET",
            "/v1/model",
            python='print(client.model()["n_items"])',
        ),
        Example(
            "models",
            "All models of the server",
            "GET",
            "/v1/models",
            python="print(client.models())",
        ),
        Example(
            "store an event",
            "What a user did",
            "POST",
            "/v1/events",
            body=event,
            python=(
                f"stored = client.add_events(\n{_lines([event])}\n)\n"
                "print(stored.stored, stored.already_stored)"
            ),
        ),
        Example(
            "store many events",
            "Stored together; those that are there already are left alone",
            "POST",
            "/v1/events",
            body={"events": many},
            python=f"stored = client.add_events(\n{_lines(many)}\n)\nprint(stored.results)",
        ),
        Example(
            "recommend for a user",
            "The history is what is stored of the user",
            "POST",
            "/v1/recommend",
            body={"user": "u1", "k": 5},
            python=(
                'answer = client.recommend(user="u1", k=5)\nprint([item.title for item in answer])'
            ),
        ),
        Example(
            "events of a user",
            "What is stored, oldest first",
            "GET",
            "/v1/users/{user_id}/events",
            parameters={"user_id": "u1", "limit": 100},
            python=(
                'for event in client.user_events("u1"):\n'
                '    print(event["time"], event["kind"], event["item_id"])'
            ),
        ),
        Example(
            "delete the events of a user",
            "Delete all that is stored of a user",
            "DELETE",
            "/v1/users/{user_id}/events",
            parameters={"user_id": "u1"},
            python='print(client.delete_user_events("u1"))',
        ),
        Example(
            "items",
            "Some items by their ids",
            "POST",
            "/v1/items",
            body={"ids": history},
        ),
        Example(
            "catalogue",
            "Attributes with their values, levels of popularity, and example sequences",
            "GET",
            "/v1/catalogue",
        ),
        Example(
            "model card",
            "A model in sentences, with results, data audit and graph",
            "GET",
            "/v1/model/card",
        ),
        Example("training curves", "Losses and metrics by step", "GET", "/v1/model/curves"),
        Example("map", "How far the map is, and what its colours mean", "GET", "/v1/map"),
        Example(
            "map items",
            "Items by their number on the map, and by id",
            "POST",
            "/v1/map/items",
            body={"indices": [0, 1], "items": [first]},
        ),
        Example(
            "people",
            "People whose next item had the worst rank",
            "GET",
            "/v1/people",
            parameters={"limit": 5},
        ),
        Example("system", "Requests and latencies of the last ten minutes", "GET", "/v1/system"),
        Example(
            "reload",
            "Load what now lies at the path of the run",
            "POST",
            "/v1/admin/reload",
            body={},
            role="admin",
            python="print(client.reload())",
        ),
    ]


def _text(value: Any) -> str:
    """Plain values as Python code."""
    return json.dumps(value)


def _lines(value: Any) -> str:
    """Plain values as Python code, one per line, as a formatter writes them."""
    text = json.dumps(value, indent=4)
    return textwrap.indent(re.sub(r'(["}])$(?=\n)', r"\1,", text, flags=re.MULTILINE), "    ")
