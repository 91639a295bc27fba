"""What the worker thread computes: batches of requests to one version of a model, as JSON.

Each method of ``Recommender`` that is served has an entry in ``METHODS``. A request is looked up
before its batch is computed, so that one that is wrong fails alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec
import numpy as np

from segue.errors import SegueError
from segue.recommender.answers import Answer
from segue.recommender.control_options import NAMES as CONTROLS
from segue.recommender.requests import Request
from segue.server.registry import ServedModel
from segue.tokens import UNK

Arguments = Mapping[str, Any]
"""The keys of one request; see ``segue.server.bodies``."""

OF_HISTORY = frozenset(["items", "user", "sequence_features", *CONTROLS])
"""What ``Recommender.look_up`` takes. All else is shared by the requests of a batch, or is in
``Method.per_request``."""


STEERED_ROWS = 8
"""Requests whose controls change what is compiled are computed alone or in blocks of this many,
padded: every form of controls has its own shapes, and each would take seconds to compile."""


RowT = TypeVar("RowT")


class Call(NamedTuple):
    """One request, with the time at which it arrived, in seconds of ``time.perf_counter``."""

    arguments: Arguments
    arrival_s: float


class BatchKey(NamedTuple):
    """Requests of equal keys are computed together.

    Attributes:
        model: the version that answers them.
        method: a name of ``METHODS``.
        shared: the arguments that all have in common.
        steering: the controls that change what is compiled: ``popularity``, ``examples`` and
            ``reranks``.
    """

    model: ServedModel
    method: str
    shared: tuple[tuple[str, Any], ...] = ()
    steering: tuple[str, ...] = ()


class Method(NamedTuple):
    """A method of ``Recommender`` over HTTP.

    Attributes:
        compute: the answers, as plain values, to requests that were looked up and their arguments.
        joins: whether requests can be computed together; if not, they are not looked up before.
        per_request: the arguments that differ between the requests of a batch, besides the history.
    """

    compute: Callable[[BatchKey, list[Request], list[Arguments]], list[Any]]
    joins: bool = True
    per_request: frozenset[str] = frozenset()


def batch_key(model: ServedModel, method: str, arguments: Arguments) -> BatchKey:
    """Which requests a request may be computed with."""
    if not METHODS[method].joins:
        return BatchKey(model, method)
    apart = OF_HISTORY | METHODS[method].per_request
    shared = [(name, value) for name, value in arguments.items() if name not in apart]
    return BatchKey(model, method, tuple(shared), _steering(arguments))


def _steering(arguments: Arguments) -> tuple[str, ...]:
    forms = {
        "popularity": arguments.get("popularity"),
        "examples": arguments.get("like") or arguments.get("unlike"),
        "reranks": arguments.get("diversity") or arguments.get("cap"),
    }
    return tuple(form for form, value in forms.items() if value)


def compute(key: BatchKey, calls: list[Call]) -> list[bytes | Exception]:
    """Compute a batch: the JSON of each answer, or the exception of a request that is wrong."""
    if not METHODS[key.method].joins:
        return [_compute_alone(key, call) for call in calls]
    looked_up = [_look_up(key.model, call.arguments) for call in calls]
    rows = [row for row, request in enumerate(looked_up) if isinstance(request, Request)]
    results: list[bytes | Exception] = [
        ValueError() if isinstance(request, Request) else request for request in looked_up
    ]
    requests = [request for request in looked_up if isinstance(request, Request)]
    answers = _compute_together(key, requests, [calls[row] for row in rows])
    for row, answer in zip(rows, answers, strict=True):
        results[row] = answer
    return results


def _look_up(model: ServedModel, arguments: Arguments) -> Request | Exception:
    controls = {name: arguments[name] for name in CONTROLS if arguments.get(name) is not None}
    try:
        return model.recommender.look_up(
            arguments["items"],
            user=arguments["user"],
            sequence_features=arguments["sequence_features"],
            controls=controls or None,
        )
    except SegueError as error:
        return error


def _compute_together(
    key: BatchKey, requests: list[Request], calls: list[Call]
) -> Sequence[bytes | Exception]:
    """The answers to requests that were looked up; if they fail together, each alone."""
    if not requests:
        return []
    method, arguments = METHODS[key.method], [call.arguments for call in calls]
    try:
        answers = method.compute(key, requests, arguments)
    except Exception as error:  # noqa: BLE001 - it is the answer to one request
        if len(requests) == 1:
            return [error]
        pairs = zip(requests, calls, strict=True)
        return [_compute_together(key, [request], [call])[0] for request, call in pairs]
    return [_encoded(key.model, answer, call) for answer, call in zip(answers, calls, strict=True)]


def _compute_alone(key: BatchKey, call: Call) -> bytes | Exception:
    try:
        (answer,) = METHODS[key.method].compute(key, [], [call.arguments])
    except Exception as error:  # noqa: BLE001 - it is the answer to this request
        return error
    return _encoded(key.model, answer, call)


def _encoded(model: ServedModel, answer: dict[str, Any], call: Call) -> bytes:
    """The JSON of an answer: its items with their attributes, and the time since its arrival."""
    for item in answer["items"]:
        item["attributes"] = model.descriptions.attributes(item["item_id"])
    answer["took_ms"] = round(1e3 * (time.perf_counter() - call.arrival_s), 3)
    return msgspec.json.encode(answer)


def _recommend(key: BatchKey, requests: list[Request], _: list[Arguments]) -> list[Any]:
    shared = dict(key.shared)

    def recommend(rows: list[Request]) -> list[Answer]:
        return key.model.recommender.recommend(rows, **shared)

    return _in_blocks(key, requests, recommend)


def _generate(key: BatchKey, requests: list[Request], arguments: list[Arguments]) -> list[Any]:
    shared = dict(key.shared)

    def generate(rows: list[tuple[Request, Any]]) -> list[Answer]:
        block, locked = (list(column) for column in zip(*rows, strict=True))
        return key.model.recommender.generate(block, locked=locked, **shared)

    locks = [own["locked"] for own in arguments]
    return _in_blocks(key, list(zip(requests, locks, strict=True)), generate)


def _in_blocks(
    key: BatchKey, rows: list[RowT], compute: Callable[[list[RowT]], list[Answer]]
) -> list[dict[str, Any]]:
    """The answers to some rows: at once, or with steering alone or in padded blocks."""
    if not key.steering or len(rows) == 1:
        return [answer.to_dict() for answer in compute(rows)]
    answers: list[Any] = []
    for start in range(0, len(rows), STEERED_ROWS):
        block = rows[start : start + STEERED_ROWS]
        padded = block + block[-1:] * (STEERED_ROWS - len(block))
        answers += [answer.to_dict() for answer in compute(padded)[: len(block)]]
    return answers


def _score(key: BatchKey, requests: list[Request], arguments: list[Arguments]) -> list[Any]:
    candidates = [own["candidates"] for own in arguments]
    scores = key.model.recommender.score(requests, candidates)
    return [
        _scored(key.model, request, ids, values)
        for request, ids, values in zip(requests, candidates, scores, strict=True)
    ]


def _scored(
    model: ServedModel, request: Request, candidates: list[Any], scores: np.ndarray
) -> dict[str, Any]:
    """The candidates in their order; one outside the catalogue has no score."""
    items = model.recommender.items
    ids = [str(item_id) for item_id in candidates]
    indices = items.find(ids)
    columns = zip(ids, indices.tolist(), items.titles(indices), scores.tolist(), strict=True)
    return {
        "items": [
            {
                "item_id": item_id,
                "title": item_id if index == UNK else title,
                "score": score if np.isfinite(score) else None,
            }
            for item_id, index, title, score in columns
        ],
        "unknown_items": request.unknown_items,
        "model": model.name,
        "took_ms": 0.0,
        "notes": request.notes,
    }


def _explain(key: BatchKey, _: list[Request], arguments: list[Arguments]) -> list[Any]:
    return [key.model.recommender.explain(**_given(own)).to_dict() for own in arguments]


def _similar(key: BatchKey, _: list[Request], arguments: list[Arguments]) -> list[Any]:
    return [key.model.recommender.similar_items(**_given(own)).to_dict() for own in arguments]


def _given(arguments: Arguments) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if value is not None}


METHODS = {
    "recommend": Method(_recommend),
    "generate": Method(_generate, per_request=frozenset(["locked"])),
    "score": Method(_score, per_request=frozenset(["candidates"])),
    "similar": Method(_similar, joins=False),
    "explain": Method(_explain, joins=False),
}
"""The methods by the name of their route."""
