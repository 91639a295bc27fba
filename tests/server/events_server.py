"""A program: starts the server without a model, as a process of its own per line of its input.

Arguments: port and store. Modules are imported once, so that a start takes no time. Each start
prints the id of the process, which listens already.
"""

from __future__ import annotations

import os
import sys

import uvicorn

from segue.event_store import open_event_store
from segue.server.app import create_app
from segue.server.listening import bound_socket
from segue.server.registry import ModelRegistry
from segue.server.serving import configuration


def serve(port: int, location: str) -> None:
    """Serve until killed."""
    app = create_app(ModelRegistry({}), events=open_event_store(location, creates=True))
    listening = bound_socket("127.0.0.1", port)
    listening.listen(128)
    print(os.getpid(), flush=True)
    uvicorn.Server(configuration(app, app.state.service.settings)).run([listening])


if __name__ == "__main__":
    for _ in sys.stdin:
        child = os.fork()
        if not child:
            serve(int(sys.argv[1]), sys.argv[2])
        os.waitpid(child, 0)
