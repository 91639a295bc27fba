"""``Service``: the models of a server with their queues, from a call to the JSON of its answer."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

from segue.errors import SegueError
from segue.event_store import EventStore
from segue.server.bodies import Many, requests_of
from segue.server.computations import Call, batch_key, compute
from segue.server.errors import api_error, retry_later, timed_out
from segue.server.log import Log
from segue.server.metrics import Metrics
from segue.server.micro_batcher import BatchReport, MicroBatcher
from segue.server.registry import ModelRegistry, ServedModel
from segue.server.settings import ServerSettings
from segue.server.stored_histories import with_stored_histories
from segue.server.user_events import UserEvents
from segue.server.warm_up import warm_up

POLL_S = 0.2
"""A request that waits longer looks as often whether its client is still connected."""

IsDisconnected = Callable[[], Awaitable[bool]]


class JsonAnswer(NamedTuple):
    """The body of an answer, and the model that computed it."""

    body: bytes
    model: ServedModel


class ClientDisconnectedError(Exception):
    """The client did not wait for its answer."""


class Service:
    """Answers calls with the models of a registry. All methods run in one event loop.

    Attributes:
        registry: the models.
        settings: the limits.
        metrics: what is counted.
        log: where events are written.
        events: the events of users; None without a store.
        is_ready: whether every model is warmed up.
        is_stuck: whether the database of events did not answer its last calls when it was closed.
        failure: why a model could not be warmed up.
    """

    def __init__(
        self,
        registry: ModelRegistry,
        settings: ServerSettings,
        log: Log,
        store: EventStore | None = None,
    ) -> None:
        """Prepare a queue per model."""
        self.registry = registry
        self.settings = settings
        self.metrics = Metrics()
        self.log = log
        self.events = None if store is None else UserEvents(store, settings, self.metrics, log)
        self.is_ready = self.is_stuck = False
        self.failure: Exception | None = None
        self._batchers = {name: self._batcher(name) for name in registry.names}
        self._reloading = asyncio.Lock()
        self._reload_watchers: list[Callable[[str], None]] = []
        for model in registry.models:
            self.metrics.set_model(model)

    async def warm_up(self) -> None:
        """Compile every shape of every model, then be ready; or note the failure."""
        start_s = time.perf_counter()
        try:
            for model in self.registry.models:
                await in_daemon_thread(partial(self._warm_up_model, model))
        except Exception as error:  # noqa: BLE001 - who runs the server reports it
            self.failure = error
            return
        self.is_ready = True
        self.metrics.set_ready()
        models = {model.name: model.version for model in self.registry.models}
        self.log.write("ready", seconds=round(time.perf_counter() - start_s, 1), models=models)

    async def answer(self, method: str, call: Any, is_disconnected: IsDisconnected) -> JsonAnswer:
        """Answer a call of one request or many; all by the same version of the model.

        Args:
            method: a name of ``segue.server.computations.METHODS``.
            call: a body of ``segue.server.bodies``.
            is_disconnected: whether nobody waits for the answer any more.

        Raises:
            ApiError: a request is wrong, took too long, or the server is not ready.
            QueueFullError: too many requests are waiting.
            SegueError: a request cannot be satisfied.
            ClientDisconnectedError: nobody waits any more.
        """
        arrival_s = time.perf_counter()
        requests, is_one = requests_of(call, self.settings), not isinstance(call, Many)
        model = self.registry.find(call.model)
        self.check_ready()
        if self.events is not None:
            requests = await with_stored_histories(self.events, model, requests, is_one=is_one)
        futures: list[asyncio.Future[bytes]] = []
        batcher = self._batchers[model.name]
        try:
            batcher.check_room(len(requests))
            for request in requests:
                key = batch_key(model, method, request)
                futures += batcher.submit(key, [Call(request, arrival_s)])
            await self._wait(futures, is_disconnected)
        finally:
            for future in futures:
                future.cancel()
        return JsonAnswer(_joined(futures, is_one=is_one), model)

    async def reload(self, name: str) -> ServedModel:
        """Load the run that now lies at the path of a model, and answer with it from then on.

        Requests that arrived before are answered by the old version.

        Raises:
            SegueError: the run cannot be loaded; the old version stays.
        """
        async with self._reloading:
            try:
                model = await asyncio.to_thread(self.registry.reload, name, self._warm_up_model)
            except Exception as error:
                self.metrics.count_reload(name, is_loaded=False)
                text = str(error) if isinstance(error, SegueError) else type(error).__name__
                self.log.write("reload_failed", model=name, error=text)
                raise
        self.metrics.count_reload(name, is_loaded=True)
        self.metrics.set_model(model)
        for watch in self._reload_watchers:
            watch(name)
        self.log.write("reloaded", model=name, version=model.version)
        return model

    def watch_reloads(self, watch: Callable[[str], None]) -> None:
        """Call a function with the name of every model that was loaded again."""
        self._reload_watchers.append(watch)

    def check_ready(self) -> None:
        """Check that every model is warmed up.

        Raises:
            ApiError: it is not.
        """
        if not self.is_ready:
            raise retry_later(503, "not_ready", "the models are being warmed up", 5.0)

    def n_waiting(self, name: str) -> int:
        """Number of requests that wait for a model."""
        return self._batchers[name].n_waiting

    async def close(self) -> None:
        """Compute what was accepted, and accept no more."""
        await asyncio.gather(*(batcher.close() for batcher in self._batchers.values()))
        if self.events is not None:
            self.is_stuck = not await self.events.close()

    def _batcher(self, name: str) -> MicroBatcher:
        def watch(report: BatchReport) -> None:
            self.metrics.count_batch(name, report)

        return MicroBatcher(
            compute,
            max_batch=self.settings.max_batch,
            max_wait_s=self.settings.max_wait_s,
            max_queue=self.settings.max_queue,
            watch=watch,
        )

    def _warm_up_model(self, model: ServedModel) -> None:
        warm_up(model.recommender, self.settings)
        _ = model.catalogue_summary  # computed now, so that no page waits for it

    async def _wait(
        self, futures: Sequence[asyncio.Future[bytes]], is_disconnected: IsDisconnected
    ) -> None:
        """Wait until all are done."""
        deadline_s = time.perf_counter() + self.settings.timeout_s
        pending: set[asyncio.Future[bytes]] = set(futures)
        while pending:
            remaining_s = deadline_s - time.perf_counter()
            if remaining_s <= 0:
                raise timed_out(self.settings.timeout_s)
            _, pending = await asyncio.wait(pending, timeout=min(POLL_S, remaining_s))
            if pending and await is_disconnected():
                raise ClientDisconnectedError


def in_daemon_thread(function: Callable[[], None]) -> asyncio.Future[None]:
    """Run a function in a thread that does not keep the process alive.

    Compiling all shapes takes a minute or more, and a signal must not wait for it.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()

    def finish(error: Exception | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)

    def run() -> None:
        error = None
        try:
            function()
        except Exception as raised:  # noqa: BLE001 - passed on to who waits
            error = raised
        with suppress(RuntimeError):  # the loop is closed: nobody waits
            loop.call_soon_threadsafe(finish, error)

    threading.Thread(target=run, name="segue-warm-up", daemon=True).start()
    return future


def _joined(futures: Sequence[asyncio.Future[bytes]], *, is_one: bool) -> bytes:
    """The answer to one request, or ``{"answers": [...]}``.

    Raises:
        ApiError: a request of many is wrong; the message says which.
        Exception: the only request is wrong, or the server failed.
    """
    errors = [future.exception() for future in futures]
    for number, error in enumerate(errors):
        if isinstance(error, SegueError) and not is_one:
            raise api_error(error).within(f"requests[{number}]")
        if error is not None:
            raise error
    bodies = [future.result() for future in futures]
    return bodies[0] if is_one else b'{"answers":[' + b",".join(bodies) + b"]}"
