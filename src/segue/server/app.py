"""``create_app``: the ASGI application, from models, settings and API keys."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

import segue
from segue.dataset import Dataset
from segue.event_store import EventStore
from segue.server.api_keys import KeyRing
from segue.server.covers import Covers
from segue.server.errors import ERRORS, api_error, error_response
from segue.server.log import Log
from segue.server.middleware.access import AccessControl
from segue.server.middleware.body_reading import BodyReading
from segue.server.middleware.compression import Compression
from segue.server.middleware.direct_routes import DirectRoutes
from segue.server.middleware.recording import Recording
from segue.server.openapi import describe
from segue.server.rate_limit import RateLimiter
from segue.server.registry import ModelRegistry
from segue.server.routes import (
    catalogue,
    catalogue_summary,
    description,
    item_map,
    operations,
    page,
    people,
    recommendations,
    system,
)
from segue.server.routes import events as event_routes
from segue.server.service import Service
from segue.server.settings import ServerSettings
from segue.server.views import Views

NO_TELEMETRY: Any = {"tracing": False, "metrics": False, "logs": False}
"""FastAPI's own, which looks for its configuration at every request."""


def create_app(
    registry: ModelRegistry,
    *,
    settings: ServerSettings | None = None,
    keys: KeyRing | None = None,
    log: Log | None = None,
    events: EventStore | None = None,
    data: Dataset | None = None,
    covers: Covers | None = None,
    run_paths: Mapping[str, str] | None = None,
) -> FastAPI:
    """The application; its lifespan warms the models up and computes what was accepted at its end.

    Args:
        registry: the models.
        settings: limits; by default those of ``ServerSettings``.
        keys: the API keys; by default none, so that every request is accepted.
        log: where events are written; by default stderr.
        events: the events of users; the application closes it at its end.
        data: the dataset whose people are shown; by default those of the histories in each run.
        covers: the covers of items; by default none.
        run_paths: the path of each run by name, if clients may see it.
    """
    settings, log = settings or ServerSettings(), log or Log()
    service, limiter = Service(registry, settings, log, events), RateLimiter(settings.rate)
    app = FastAPI(
        title="Segue",
        version=segue.__version__,
        description="Learns what comes next: a history of item ids in, a list of item ids out.",
        docs_url=None,  # its pages load scripts from elsewhere
        redoc_url=None,
        lifespan=_lifespan,
        telemetry=NO_TELEMETRY,
        middleware=_middleware(service, keys or KeyRing(), limiter),
    )
    app.state.service = service
    app.state.limiter = limiter
    app.state.covers = covers or Covers({})
    app.state.run_paths = dict(run_paths or {})
    app.state.searching = asyncio.Semaphore(1)
    app.state.views = views = Views(data, log)
    service.watch_reloads(views.drop)
    for kind in ERRORS:
        app.add_exception_handler(kind, _respond)
    for module in (
        recommendations,
        event_routes,
        catalogue_summary,
        catalogue,
        people,
        item_map,
        description,
        system,
        operations,
        page,
    ):
        app.include_router(module.router)
    describe(app, registry)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    service: Service = app.state.service
    tasks = [asyncio.create_task(service.warm_up())]
    if service.events is not None:
        tasks.append(asyncio.create_task(service.events.run()))
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        app.state.views.close()
        await service.close()


def _middleware(service: Service, keys: KeyRing, limiter: RateLimiter) -> list[Middleware]:
    """What is around the routes, outermost first."""
    settings = service.settings
    layers = [Middleware(Recording, log=service.log, metrics=service.metrics)]
    if settings.cors_origins:
        layers.append(
            Middleware(
                CORSMiddleware,
                allow_origins=list(settings.cors_origins),
                allow_methods=["DELETE", "GET", "POST"],
                allow_headers=["Authorization", "Content-Type", "X-API-Key", "X-Request-ID"],
                expose_headers=["X-Model-Version", "X-Request-ID", "Retry-After"],
            )
        )
    layers += [
        Middleware(Compression),
        Middleware(
            AccessControl,
            keys=keys,
            limiter=limiter,
            trusted_hosts=settings.trusted_hosts,
        ),
        Middleware(BodyReading, max_body=settings.max_body, timeout_s=settings.receive_timeout_s),
        Middleware(DirectRoutes, router=recommendations.router),
    ]
    return layers


async def _respond(request: Request, error: Exception) -> Response:
    return error_response(request.scope, api_error(error))
