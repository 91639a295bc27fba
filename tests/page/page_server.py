"""A real server of the page in a thread, which can go away and come back at the same port."""

from __future__ import annotations

import io
import socket
import threading
import time
from pathlib import Path

import httpx
import uvicorn

from segue.server import serving
from segue.server.app import create_app
from segue.server.covers import Covers
from segue.server.listening import LOOPBACK_HOSTS, bound_socket
from segue.server.log import Log
from segue.server.registry import ModelRegistry
from segue.server.settings import ServerSettings

SETTINGS = ServerSettings(
    max_k=12, max_batch=1, warms_controls=False, trusted_hosts=LOOPBACK_HOSTS, max_wait_s=0.0
)


class PageServer:
    """Serves some runs, as ``segue serve`` does on loopback."""

    def __init__(self, runs: dict[str, Path], covers: Path | None = None) -> None:
        """Choose a port; ``start`` serves."""
        self._runs = runs
        self._covers = None if covers is None else Covers.of_folder(covers)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]

    @property
    def url(self) -> str:
        """The address, without a slash at its end."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Serve, and return once the models are warm."""
        app = create_app(
            ModelRegistry(self._runs),
            settings=SETTINGS,
            log=Log(io.BytesIO()),
            covers=self._covers,
            run_paths={name: str(path) for name, path in self._runs.items()},
        )
        self._socket = bound_socket("127.0.0.1", self.port)
        listening = self._socket.__enter__()
        self._server = uvicorn.Server(serving.configuration(app, SETTINGS))
        self._thread = threading.Thread(target=self._server.run, args=([listening],))
        self._thread.start()
        with httpx.Client(base_url=self.url, trust_env=False) as client:
            while not self._server.started or client.get("/readyz").status_code != 200:
                time.sleep(0.2)

    def stop(self) -> None:
        """Go away."""
        self._server.should_exit = True
        self._thread.join()
        self._socket.__exit__(None, None, None)
