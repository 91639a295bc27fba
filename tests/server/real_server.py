"""A real server in a thread of the test process, on a free port of loopback."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx
import pytest
import uvicorn

if TYPE_CHECKING:
    from segue.server.settings import ServerSettings

TIMEOUT_S = 0.4
"""For headers, bodies and unread responses; tests wait a little longer."""
MAX_CONNECTIONS = 150


class Address(NamedTuple):
    host: str
    port: int

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"


class Served(Address):
    """The address of a server, with the server and its application."""

    server: uvicorn.Server
    app: Any

    def is_free(self) -> bool:
        """Whether nothing is left of earlier calls: no connection, no task, no waiting request."""
        state = self.server.server_state
        batchers = self.app.state.service._batchers.values()
        return not (state.connections or state.tasks or any(b.n_waiting for b in batchers))


@contextmanager
def real_server(
    run: Path, settings: ServerSettings, event_file: Path | None = None, **options: Any
) -> Iterator[Served]:
    """A server of a run, once it is ready; further options are those of ``create_app``."""
    from segue.event_store import open_event_store
    from segue.server import protocol, serving
    from segue.server.app import create_app
    from segue.server.listening import bound_socket
    from segue.server.log import Log
    from segue.server.registry import ModelRegistry

    settings = replace(settings, receive_timeout_s=TIMEOUT_S)
    store = None if event_file is None else open_event_store(event_file, creates=True)
    registry = ModelRegistry({"cycles": run})
    app = create_app(registry, settings=settings, log=Log(io.BytesIO()), events=store, **options)
    with pytest.MonkeyPatch.context() as patch, bound_socket("127.0.0.1", 0) as listening:
        patch.setattr(protocol, "HEADER_TIMEOUT_S", TIMEOUT_S)
        patch.setattr(protocol, "WRITE_TIMEOUT_S", TIMEOUT_S)
        patch.setattr(protocol, "MAX_CONNECTIONS", MAX_CONNECTIONS)
        server = uvicorn.Server(serving.configuration(app, settings))
        thread = threading.Thread(target=server.run, args=([listening],))
        address = Served(*listening.getsockname()[:2])
        address.server, address.app = server, app
        thread.start()
        while not server.started or httpx.get(f"{address.url}/readyz").status_code != 200:
            time.sleep(0.02)
        yield address
        server.should_exit = True
        thread.join()
