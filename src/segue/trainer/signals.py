"""Stopping cleanly when the operating system asks."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def stop_signals() -> Iterator[Callable[[], bool]]:
    """Turn SIGINT and SIGTERM into an answer to "should I stop?" while inside.

    A second signal acts as it always does. Outside the main thread signals are left alone.
    """
    received: list[int] = []
    old: dict[int, Any] = {}

    def receive(number: int, _frame: object) -> None:
        received.append(number)
        signal.signal(number, old[number])

    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            old[number] = signal.signal(number, receive)
    except ValueError:  # not the main thread
        old.clear()
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
