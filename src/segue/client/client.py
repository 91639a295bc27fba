"""``Client``: a model behind ``segue serve``, with the methods of ``Recommender``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from segue.client.blocks import EVENTS_PER_CALL, blocks
from segue.client.remote_model import RemoteModel
from segue.client.requests import event_body
from segue.client.responses import EventPage, StoredEvents, decoded, flat_item
from segue.client.retries import RetryPolicy
from segue.client.transport import Transport
from segue.recommender.ids import Id, id_string

if TYPE_CHECKING:
    import httpx

RELOAD_TIMEOUT_S = 1_800.0
"""A model is loaded and compiled before the answer to a reload."""


class Client(RemoteModel):
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
        startup_timeout_s: float = 300.0,
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
            startup_timeout_s: seconds in all for which a call is repeated while the server warms
                its models up (503 ``not_ready``), beside the retries; 0 not to wait.
            transport: how httpx connects, such as ``httpx.HTTPTransport(uds=...)``.

        Raises:
            ConfigError: httpx is not installed, or the URL, the key or a number is not possible.
        """
        policy = RetryPolicy(retries, max_wait_s, startup_timeout_s)
        super().__init__(
            Transport(
                url, api_key=api_key, timeout_s=timeout_s, policy=policy, transport=transport
            ),
            model,
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

    def wait_until_ready(self, timeout_s: float = 300.0) -> None:
        """Wait until the server listens and its models are warmed up, such as after starting it.

        Args:
            timeout_s: seconds, after which the error says what was still missing.
        """
        self._transport.wait_until_ready(timeout_s)

    def search(
        self, text: str, limit: int = 10, *, column: str | None = None
    ) -> list[dict[str, Any]]:
        """``Recommender.search`` by the server: items by text.

        Returns:
            The items as ``Recommender.search`` returns them, without ``index``: mappings with
            ``item_id``, ``title`` and every attribute beside them, which the answer over HTTP has
            in ``attributes``.
        """
        parameters = {"q": text, "limit": limit, "column": column, **self._named}
        items = self._get("/v1/items", parameters)["items"]
        return [flat_item(item) for item in items]

    def item(self, item_id: Id) -> dict[str, Any]:
        """An item: ``item_id``, ``title`` and its attributes in one mapping, as in ``search``."""
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
        for block in blocks(bodies, EVENTS_PER_CALL):
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

    def _get(self, path: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        return decoded(self._transport.get(path, parameters), dict[str, Any])


def _quoted(value: Id, name: str) -> str:
    """An id as a step of a path: also dots, which alone would mean another folder."""
    return quote(id_string(value, name), safe="").replace(".", "%2E")
