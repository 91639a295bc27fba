"""The log of a server: JSON lines on stderr, with nothing of what requests contain."""

from __future__ import annotations

import asyncio
import io
import sys
import traceback
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import msgspec

FLUSH_S = 0.1
"""The longest that a line of a request waits to be written, with others in one call."""


class Log:
    """Writes events as lines of JSON. A full or closed stream stops no request."""

    def __init__(self, stream: io.BufferedIOBase | None = None) -> None:
        """Write to a stream of bytes; by default to stderr."""
        self._stream = stream
        self._lines: list[bytes] = []

    def write(self, event: str, **values: Any) -> None:
        """Write one line with the time in UTC, the event and the values that are not None."""
        self._append(event, values)
        self._flush()

    def write_soon(self, event: str, **values: Any) -> None:
        """Write a line like ``write``, within ``FLUSH_S`` seconds; called in an event loop."""
        if not self._lines:
            asyncio.get_running_loop().call_later(FLUSH_S, self._flush)
        self._append(event, values)

    def write_bug(self, error: BaseException, **values: Any) -> None:
        """Write where an unexpected exception was raised, without its message or values."""
        frames = traceback.extract_tb(error.__traceback__)[-8:]
        places = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
        self.write("bug", kind=type(error).__name__, places=places, **values)

    def _append(self, event: str, values: dict[str, Any]) -> None:
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        given = {name: value for name, value in values.items() if value is not None}
        self._lines.append(msgspec.json.encode({"time": time, "event": event, **given}) + b"\n")

    def _flush(self) -> None:
        lines, self._lines = self._lines, []
        with suppress(OSError, ValueError):
            stream = sys.stderr.buffer if self._stream is None else self._stream
            stream.write(b"".join(lines))
            stream.flush()
