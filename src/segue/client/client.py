"""``Client``: a model behind ``segue serve``, with the methods of ``Recommender``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Unpack, overload
from urllib.parse import quote

import numpy as np
from jaxtyping import Float32

from segue.client.requests import bodies_of, event_body, similar_body
from segue.client.responses import (
    EventPage,
    ExplainedAnswer,
    Many,
    Scores,
    StoredEvents,
    decoded,
    flat_item,
)
from segue.client.transport import Transport
from segue.errors import ServerError
from segue.recommender.answers import Answer, Answers, Explanation
from segue.recommender.control_options import ControlOptions
from segue.recommender.ids import Id, id_string
from segue.recommender.request_body import ExplainBody, GenerateBody, RecommendBody, ScoreBody

if TYPE_CHECKING:
    import httpx

REQUESTS_PER_CALL, EVENTS_PER_CALL = 64, 1_000
"""What a server accepts in one call. More histories or events are sent in several."""
BLOCK_BYTES = 1_000_000
"""Of the histories or events in one call: the body may have 1 MiB."""
RELOAD_TIMEOUT_S = 1_800.0
"""A model is loaded and compiled before the answer to a reload."""

T = TypeVar("T")


class Client:
    """A model behind ``segue serve``: the methods of ``Recommender`` over HTTP.

        with segue.Client("http://127.0.0.1:8000") as model:
            model.recommend(["1193", "661"], k=10)

    Arguments and answers are those of ``Recommender``; the items of answers have ``attributes`` as
    well, and ``took_ms`` is the time in the server. More than 64 histories, or more than fit into a
    body, are sent in several calls, which a reload in between may answer by different versions. A
    client may be used by several threads. All methods raise ``ServerError`` if the server refuses
    or fails to answer.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        *,
        api_key: str | None = None,
        model: str | None = None,
        timeout_s: float = 60.0,
        retries: int = 2,
        max_wait_s: float = 10.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Prepare; the server is called by the methods.

        Args:
            url: the address of the server.
            api_key: the key that it requires.
            model: the name of one of its models; by default its first.
            timeout_s: seconds to wait for an answer.
            retries: how often a call is repeated that gets status 429 or 503, after the time in
                ``Retry-After``. They say that the server did not begin with it, or that its
                database of events failed; a repeated call stores nothing twice.
            max_wait_s: a longer time is not waited for, and the call fails.
            transport: how httpx connects, such as ``httpx.HTTPTransport(uds=...)``.

        Raises:
            ConfigError: httpx is not installed, or the URL, the key or the timeout is not possible.
        """
        self._model = model
        self._transport = Transport(
            url,
            api_key=api_key,
            timeout_s=timeout_s,
            retries=retries,
            max_wait_s=max_wait_s,
            transport=transport,
        )

    def __repr__(self) -> str:
        """The address, without the key."""
        name = "" if self._model is None else f", model={self._model!r}"
        return f"Client({self._transport.url!r}{name})"

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    @overload
    def recommend(
        self,
        items: Iterable[Id] = (),
        k: int = 10,
        *,
        user: Id | None = None,
        sequence_features: Mapping[str, str] | None = None,
        include_seen: bool | None = None,
        probabilities: bool = False,
        controls: Mapping[str, Any] | None = None,
        **shared_controls: Unpack[ControlOptions],
    ) -> Answer: ...

    @overload
    def recommend(
        self,
        items: Iterable[Iterable[Id]],
        k: int = 10,
        *,
        user: Sequence[Id | None] | None = None,
        sequence_features: Sequence[Mapping[str, str] | None] | None = None,
        include_seen: bool | None = None,
        probabilities: bool = False,
        controls: Sequence[Mapping[str, Any] | None] | None = None,
        **shared_controls: Unpack[ControlOptions],
    ) -> Answers: ...

    def recommend(
        self,
        items: Any = (),
        k: int = 10,
        *,
        user: Any = None,
        sequence_features: Any = None,
        include_seen: bool | None = None,
        probabilities: bool = False,
        controls: Any = None,
        **shared_controls: Unpack[ControlOptions],
    ) -> Answer | Answers:
        """``Recommender.recommend`` by the server: the items most likely to come next."""
        bodies, has_many = bodies_of(
            RecommendBody,
            items,
            shared={"k": k, "include_seen": include_seen, "probabilities": probabilities},
            per_history={"user": user, "sequence_features": sequence_features},
            controls=controls,
            shared_controls=shared_controls,
        )
        answers = self._post("/v1/recommend", bodies, has_many, Answer)
        return Answers(answers) if has_many else answers[0]

    @overload
    def generate(
        self,
        items: Iterable[Id] = (),
        length: int = 20,
        *,
        user: Id | None = None,
        sequence_features: Mapping[str, str] | None = None,
        temperature: float = 1.0,
        top_k: int = 50,
        top_p: float = 1.0,
        end_weight: float = 0.0,
        locked: Mapping[int, Id] | None = None,
        include_seen: bool | None = None,
        seed: int = 0,
        controls: Mapping[str, Any] | None = None,
        **shared_controls: Unpack[ControlOptions],
    ) -> Answer: ...

    @overload
    def generate(
        self,
        items: Iterable[Iterable[Id]],
        length: int = 20,
        *,
        user: Sequence[Id | None] | None = None,
        sequence_features: Sequence[Mapping[str, str] | None] | None = None,
        temperature: float = 1.0,
        top_k: int = 50,
        top_p: float = 1.0,
        end_weight: float = 0.0,
        locked: Sequence[Mapping[int, Id] | None] | None = None,
        include_seen: bool | None = None,
        seed: int = 0,
        controls: Sequence[Mapping[str, Any] | None] | None = None,
        **shared_controls: Unpack[ControlOptions],
    ) -> Answers: ...

    def generate(  # noqa: PLR0913 - one parameter per option
        self,
        items: Any = (),
        length: int = 20,
        *,
        user: Any = None,
        sequence_features: Any = None,
        temperature: float = 1.0,
        top_k: int = 50,
        top_p: float = 1.0,
        end_weight: float = 0.0,
        locked: Any = None,
        include_seen: bool | None = None,
        seed: int = 0,
        controls: Any = None,
        **shared_controls: Unpack[ControlOptions],
    ) -> Answer | Answers:
        """``Recommender.generate`` by the server: continue a sequence item by item."""
        bodies, has_many = bodies_of(
            GenerateBody,
            items,
            shared={
                "length": length,
                "temperature": temperature,
                "top_k": top_k,
                "top_p": top_p,
                "end_weight": end_weight,
                "include_seen": include_seen,
                "seed": seed,
            },
            per_history={"user": user, "sequence_features": sequence_features, "locked": locked},
            controls=controls,
            shared_controls=shared_controls,
        )
        answers = self._post("/v1/generate", bodies, has_many, Answer)
        return Answers(answers) if has_many else answers[0]

    @overload
    def explain(
        self,
        items: Iterable[Id] = (),
        k: int = 10,
        *,
        candidates: Iterable[Id] | None = None,
        user: Id | None = None,
        sequence_features: Mapping[str, str] | None = None,
        include_seen: bool | None = None,
        probabilities: bool = False,
        members: bool = False,
        controls: Mapping[str, Any] | None = None,
        **shared_controls: Unpack[ControlOptions],
    ) -> Explanation: ...

    @overload
    def explain(
        self,
        items: Iterable[Iterable[Id]],
        k: int = 10,
        *,
        candidates: Sequence[Iterable[Id]] | None = None,
        user: Sequence[Id | None] | None = None,
        sequence_features: Sequence[Mapping[str, str] | None] | None = None,
        include_seen: bool | None = None,
        probabilities: bool = False,
        members: bool = False,
        controls: Sequence[Mapping[str, Any] | None] | None = None,
        **shared_controls: Unpack[ControlOptions],
    ) -> list[Explanation]: ...

    def explain(  # noqa: PLR0913 - one parameter per option
        self,
        items: Any = (),
        k: int = 10,
        *,
        candidates: Any = None,
        user: Any = None,
        sequence_features: Any = None,
        include_seen: bool | None = None,
        probabilities: bool = False,
        members: bool = False,
        controls: Any = None,
        **shared_controls: Unpack[ControlOptions],
    ) -> Explanation | list[Explanation]:
        """``Recommender.explain`` by the server: recommend, and why each item."""
        bodies, has_many = bodies_of(
            ExplainBody,
            items,
            shared={
                "k": k,
                "include_seen": include_seen,
                "probabilities": probabilities,
                "members": members,
            },
            per_history={
                "user": user,
                "sequence_features": sequence_features,
                "candidates": candidates,
            },
            controls=controls,
            shared_controls=shared_controls,
        )
        answers = self._post("/v1/explain", bodies, has_many, ExplainedAnswer)
        explanations = [answer.explanation() for answer in answers]
        return explanations if has_many else explanations[0]

    def score(
        self,
        items: Any,
        candidates: Iterable[Any],
        *,
        user: Any = None,
        sequence_features: Any = None,
    ) -> Float32[np.ndarray, " candidates"] | list[Float32[np.ndarray, " candidates"]]:
        """``Recommender.score`` by the server: the score of each candidate as the next item."""
        bodies, has_many = bodies_of(
            ScoreBody,
            items,
            shared={},
            per_history={
                "user": user,
                "sequence_features": sequence_features,
                "candidates": candidates,
            },
        )
        scores = [s.array() for s in self._post("/v1/score", bodies, has_many, Scores)]
        return scores if has_many else scores[0]

    def similar_items(
        self,
        item: Any,
        k: int = 10,
        *,
        exclude: Iterable[Id] = (),
        only: Iterable[Id] | None = None,
        where: str | Iterable[str] = (),
    ) -> Answer:
        """``Recommender.similar_items`` by the server."""
        body = similar_body(item, k, exclude=exclude, only=only, where=where)
        return decoded(self._transport.post("/v1/similar", {**body, **self._named}), Answer)

    def search(
        self, text: str, limit: int = 10, *, column: str | None = None
    ) -> list[dict[str, Any]]:
        """``Recommender.search`` by the server: items by text, without their ``index``."""
        parameters = {"q": text, "limit": limit, "column": column, **self._named}
        items = self._get("/v1/items", parameters)["items"]
        return [flat_item(item) for item in items]

    def item(self, item_id: Id) -> dict[str, Any]:
        """An item: ``item_id``, ``title`` and its attributes."""
        return flat_item(self._get(f"/v1/items/{_quoted(item_id, 'item_id')}", self._named))

    def model(self) -> dict[str, Any]:
        """What is known of the model: its catalogue, what requests may use, its results."""
        return self._get("/v1/model", self._named)

    def models(self) -> list[dict[str, Any]]:
        """Name, version and number of items of each model of the server, the default first."""
        return self._get("/v1/models", {})["models"]

    def reload(self) -> list[dict[str, Any]]:
        """Let the server load what now lies at the path of the model; needs the role ``admin``.

        Without a model name in the client, all models are loaded again.

        Returns:
            Name, version and previous version of each.
        """
        body = self._transport.post("/v1/admin/reload", self._named, RELOAD_TIMEOUT_S)
        return decoded(body, dict[str, Any])["models"]

    def add_events(self, events: Iterable[Mapping[str, Any]]) -> StoredEvents:
        """Store events of users durably; events whose id is stored already are not doubled.

        Args:
            events: mappings with ``user_id``, ``item_id``, ``time`` (a ``datetime`` with a time
                zone, or ISO 8601 text), ``kind`` and ``event_id``. An event without an id gets a
                random one. Give ids of your own, and the same call can be made again after a
                failure.

        Returns:
            What became of each, in order. Every event that was not refused is on disk.

        Raises:
            RequestError: an event is not a mapping, or its time has no time zone.
            ServerError: as all methods; of the failed call of at most 1,000 events, none is stored.
        """
        bodies = [event_body(event) for event in events]
        results: list[StoredEvents] = []
        for block in _blocks(bodies, EVENTS_PER_CALL):
            body = self._transport.post("/v1/events", {"events": block})
            results.append(decoded(body, StoredEvents))
        return StoredEvents(
            [result for stored in results for result in stored.results],
            sum(stored.stored for stored in results),
            sum(stored.already_stored for stored in results),
            sum(stored.conflicts for stored in results),
        )

    def user_events(self, user: Id) -> Iterator[dict[str, Any]]:
        """The stored events of a user, oldest first; pages are fetched as they are needed."""
        path, after = f"/v1/users/{_quoted(user, 'user')}/events", None
        while True:
            parameters = {"limit": EVENTS_PER_CALL, "after": after}
            page = decoded(self._transport.get(path, parameters), EventPage)
            yield from page.events
            if (after := page.next) is None:
                return

    def delete_user_events(self, user: Id) -> int:
        """Delete all stored events of a user, and return how many there were."""
        body = self._transport.delete(f"/v1/users/{_quoted(user, 'user')}/events")
        return decoded(body, dict[str, Any])["deleted"]

    def call(
        self,
        method: Literal["GET", "POST"],
        path: str,
        body: Mapping[str, Any] | None = None,
        **parameters: Any,
    ) -> dict[str, Any]:
        """Call a route that has no method of its own, such as ``/v1/model/card``.

        Args:
            method: of HTTP.
            path: of the route.
            body: of POST, as plain values. The name of the model is added.
            parameters: of the query string of GET; the name of the model is added.

        Returns:
            The answer as plain values.
        """
        if method == "GET":
            return self._get(path, {**self._named, **parameters})
        answer = self._transport.post(path, {**self._named, **(body or {})})
        return decoded(answer, dict[str, Any])

    @property
    def _named(self) -> dict[str, Any]:
        return {} if self._model is None else {"model": self._model}

    def _get(self, path: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        return decoded(self._transport.get(path, parameters), dict[str, Any])

    def _post(
        self, path: str, bodies: list[dict[str, Any]], has_many: bool, kind: Callable[..., T]
    ) -> list[T]:
        """The answers to some requests."""
        if not has_many:
            return [decoded(self._transport.post(path, {**bodies[0], **self._named}), kind)]
        answers: list[T] = []
        for block in _blocks(bodies, REQUESTS_PER_CALL):
            try:
                body = self._transport.post(path, {"requests": block, **self._named})
            except ServerError as error:
                if len(block) < len(bodies):
                    error.add_note(f"of the histories from number {len(answers)} on")
                raise
            answers += decoded(body, Many[kind]).answers  # type: ignore[valid-type]
        return answers


def _blocks(bodies: list[dict[str, Any]], size: int) -> Iterator[list[dict[str, Any]]]:
    """Some bodies at a time: at most ``size``, and ``BLOCK_BYTES`` except for a single one."""
    block: list[dict[str, Any]] = []
    n_bytes = 0
    for body in bodies:
        n_more = len(json.dumps(body)) + len(", ")  # all in ASCII
        if block and (len(block) == size or n_bytes + n_more > BLOCK_BYTES):
            yield block
            block, n_bytes = [], 0
        block.append(body)
        n_bytes += n_more
    if block:
        yield block


def _quoted(value: Id, name: str) -> str:
    """An id as a step of a path: also dots, which alone would mean another folder."""
    return quote(id_string(value, name), safe="").replace(".", "%2E")
