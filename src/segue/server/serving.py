"""``serve``: run the application until a signal, and finish what was accepted."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from segue.dataset import Dataset
from segue.event_store import open_event_store
from segue.server.api_keys import KeyRing
from segue.server.app import create_app
from segue.server.covers import Covers
from segue.server.greeting import greeting
from segue.server.interpreter import SWITCH_INTERVAL_S, keep_out_of_collections
from segue.server.listening import LOOPBACK_HOSTS, bound_socket, check_host, is_loopback, url_of
from segue.server.log import Log
from segue.server.protocol import PROTOCOL
from segue.server.registry import ModelRegistry, ServedModel
from segue.server.service import Service
from segue.server.settings import ServerSettings

BACKLOG = 1_024
KEEP_ALIVE_S = 15


def serve(  # noqa: PLR0913 - one parameter per option
    runs: Mapping[str, Path],
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    keys: KeyRing | None = None,
    settings: ServerSettings | None = None,
    log: Log | None = None,
    events: str | None = None,
    announce: Callable[[str], None] | None = None,
    data: Dataset | None = None,
    covers: Covers | None = None,
) -> bool:
    """Serve some runs until SIGINT or SIGTERM; SIGHUP loads them again.

    The server listens once the runs are loaded, and is ready once they are warmed up.

    Args:
        runs: the folder of each run by name; the first is the default.
        host: the address to listen on.
        port: 0 for any free port.
        keys: the API keys; required unless ``host`` is loopback.
        settings: the limits.
        log: where events are written; by default stderr.
        events: where the events of users are stored, as ``open_event_store`` takes it; created if
            there is nothing. None for no store.
        announce: called with some lines for people once the server listens.
        data: the dataset whose people the page shows; by default those of each run's histories.
        covers: the covers of items; by default none.

    Returns:
        Whether everything that was accepted was answered. If not, the caller should end the
        process at once: after a second signal, or one during the warm-up, which still goes on, or
        while the database of events does not answer.

    Raises:
        SegueError: a run cannot be loaded or warmed up, the address cannot be used, or the event
            store cannot be opened.
    """
    keys, settings, log = keys or KeyRing(), settings or ServerSettings(), log or Log()
    check_host(host, has_keys=bool(len(keys)))
    if is_loopback(host) and not settings.trusted_hosts:
        settings = replace(settings, trusted_hosts=LOOPBACK_HOSTS)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    with bound_socket(host, port) as listening:
        # Before the models, which take longer: a wrong address is noticed at once.
        store = None if events is None else open_event_store(events, creates=True)
        registry = ModelRegistry(runs)
        # Commands with these paths are of use on this machine only.
        is_local = is_loopback(host) and not len(keys)
        app = create_app(
            registry,
            settings=settings,
            keys=keys,
            log=log,
            events=store,
            covers=covers,
            data=data,
            run_paths={name: str(path) for name, path in runs.items()} if is_local else {},
        )
        server = _Server(configuration(app, settings), app)
        log.write("listening", url=url_of(listening), models=list(runs))
        if announce is not None:
            announce(
                greeting(
                    url_of(listening),
                    registry.models,
                    n_keys=len(keys),
                    stores_events=store is not None,
                    is_local=is_loopback(host),
                )
            )
        server.run([listening])
    service: Service = app.state.service
    if service.failure is not None:
        raise service.failure
    is_complete = service.is_ready and not (server.force_exit or service.is_stuck)
    log.write("stopped", complete=is_complete)
    return is_complete


def configuration(app: FastAPI, settings: ServerSettings) -> uvicorn.Config:
    """How uvicorn runs the application: with bounds, and without logs and headers of its own."""
    return uvicorn.Config(
        app,
        http=PROTOCOL,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=round(settings.shutdown_timeout_s),
    )


class _Server(uvicorn.Server):
    """A server that stops at the first signal, ends at the second, and loads again at SIGHUP."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._service: Service = app.state.service
        self._reload: asyncio.Task[None] | None = None
        self._settled: list[ServedModel] = []

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle the signals in the event loop, also those that others handled before."""
        loop = asyncio.get_running_loop()
        handlers = {signal.SIGINT: self._stop, signal.SIGTERM: self._stop}
        if hasattr(signal, "SIGHUP"):
            handlers[signal.SIGHUP] = self._start_reload
        previous = {number: signal.getsignal(number) for number in handlers}
        for number, handler in handlers.items():
            loop.add_signal_handler(number, handler)
        try:
            yield
        finally:
            for number, handler in previous.items():
                loop.remove_signal_handler(number)
                signal.signal(number, handler)

    async def on_tick(self, counter: int) -> bool:
        """Whether to stop; also if a model could not be warmed up."""
        models = self._service.registry.models
        if self._service.is_ready and models != self._settled:
            keep_out_of_collections()
            self._settled = models
        return await super().on_tick(counter) or self._service.failure is not None

    def _stop(self) -> None:
        if self.should_exit:
            self.force_exit = True
        else:
            self._service.log.write("stopping")
            self.should_exit = True

    def _start_reload(self) -> None:
        if self._reload is None or self._reload.done():
            self._reload = asyncio.ensure_future(self._reload_all())

    async def _reload_all(self) -> None:
        for name in self._service.registry.names:
            try:
                await self._service.reload(name)
            except Exception:  # noqa: BLE001 - the service has logged it
                continue
