"""A client that calls an application inside the process, with an event loop of its own."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine
from typing import Any

import httpx
from fastapi import FastAPI

TIMEOUT_S = 60


class InProcess(httpx.BaseTransport):
    """Connects ``segue.Client`` to an application inside the process."""

    def __init__(self, client: AppClient) -> None:
        self._client = client

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        path = request.url.raw_path.decode("ascii")
        headers = {k: v for k, v in request.headers.items() if k != "host"}
        response = self._client.request(
            request.method, path, content=request.read(), headers=headers
        )
        headers = {k: v for k, v in response.headers.items() if k != "content-encoding"}
        return httpx.Response(response.status_code, headers=headers, content=response.content)


class AppClient:
    """Runs the lifespan of an application in a thread, and sends requests to it, in a block."""

    def __init__(self, app: FastAPI, *, waits: bool = True, **headers: str) -> None:
        self.app = app
        self._waits = waits
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        self.http = httpx.AsyncClient(
            transport=transport, base_url="http://localhost", headers=headers, timeout=TIMEOUT_S
        )

    def __enter__(self) -> AppClient:
        self._thread.start()
        self._lifespan = self.app.router.lifespan_context(self.app)
        self.run(self._lifespan.__aenter__())
        while self._waits and self.get("/readyz").status_code != 200:
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self.run(self._lifespan.__aexit__(None, None, None))
        self.run(self.http.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """The result of a coroutine that runs in the event loop of the application."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(TIMEOUT_S)

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        return self.run(self.http.request(method, path, **options))

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, body: Any = None, **options: Any) -> httpx.Response:
        return self.request("POST", path, **({} if body is None else {"json": body}), **options)

    def post_all(self, path: str, bodies: list[Any]) -> list[httpx.Response]:
        """The responses to requests that are sent at the same time."""

        async def send() -> list[httpx.Response]:
            return await asyncio.gather(*(self.http.post(path, json=body) for body in bodies))

        return self.run(send())
