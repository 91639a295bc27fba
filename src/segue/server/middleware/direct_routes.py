"""Answers valid calls of some routes directly, without FastAPI around their functions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, get_type_hints

import msgspec
from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute
from pydantic import TypeAdapter, ValidationError
from starlette.types import ASGIApp, Receive, Scope, Send

from segue.server.errors import ERRORS, api_error, error_response
from segue.server.middleware.body_reading import replay


class _DirectRoute(NamedTuple):
    route: APIRoute
    body_type: TypeAdapter[Any]
    answer: Callable[[Any, Request], Awaitable[Response]]


class DirectRoutes:
    """Answers the routes of a router whose functions have the parameters ``(body, request)``.

    FastAPI describes these routes and words what is wrong with a body. But a valid one goes
    straight from JSON through the same validation to the function: routing, dependencies and
    exception handlers take as much time as all else that the event loop does for a request.
    """

    def __init__(self, app: ASGIApp, *, router: APIRouter) -> None:
        """Wrap an application that has the routes of the router, too.

        Args:
            router: all of its routes are answered directly.
        """
        self._app = app
        self._routes = {
            (method, route.path): _direct(route)
            for route in router.routes
            if isinstance(route, APIRoute)
            for method in route.methods or ()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request whose body was read."""
        is_http = scope["type"] == "http"
        direct = self._routes.get((scope["method"], scope["path"])) if is_http else None
        if direct is None:
            await self._app(scope, receive, send)
            return
        content = (await receive())["body"]
        try:
            body = direct.body_type.validate_python(msgspec.json.decode(content))
        except (msgspec.DecodeError, ValidationError, ValueError, RecursionError):
            # What msgspec refuses may still be JSON for FastAPI.
            await self._app(scope, replay(content, receive), send)
            return
        scope["route"] = direct.route
        try:
            response = await direct.answer(body, Request(scope, receive))
        except ERRORS as error:
            response = error_response(scope, api_error(error))
        await response(scope, receive, send)


def _direct(route: APIRoute) -> _DirectRoute:
    body = get_type_hints(route.endpoint, include_extras=True)["body"]
    return _DirectRoute(route, TypeAdapter(body), route.endpoint)
