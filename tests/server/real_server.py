"""A real server in a thread of the test process, on a free port of loopback."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import httpx
import pytest
import uvicorn

if TYPE_CHECKING:
    from segue.server.settings import ServerSettings

TIMEOUT_S = 0.4
"""For headers and bodies; tests wait a little longer."""


class Address(NamedTuple):
    host: str
    port: int

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"


@contextmanager
def real_server(run: Path, settings: ServerSettings) -> Iterator[Address]:
    """A server of a run, once it is ready."""
    from segue.server import protocol, serving
    from segue.server.app import create_app
    from segue.server.listening import bound_socket
    from segue.server.log import Log
    from segue.server.registry import ModelRegistry

    settings = replace(settings, receive_timeout_s=TIMEOUT_S)
    app = create_app(ModelRegistry({"cycles": run}), settings=settings, log=Log(io.BytesIO()))
    with pytest.MonkeyPatch.context() as patch, bound_socket("127.0.0.1", 0) as listening:
        patch.setattr(protocol, "HEADER_TIMEOUT_S", TIMEOUT_S)
        server = uvicorn.Server(serving.configuration(app, settings))
        thread = threading.Thread(target=server.run, args=([listening],))
        address = Address(*listening.getsockname()[:2])
        thread.start()
        while not server.started or httpx.get(f"{address.url}/readyz").status_code != 200:
            time.sleep(0.02)
        yield address
        server.should_exit = True
        thread.join()
