"""The time that a call has taken."""

from __future__ import annotations

import time


def ms_since(start_time: float) -> float:
    """Milliseconds, to the microsecond.

    Args:
        start_time: when the call began, by ``time.perf_counter``.
    """
    return round(1e3 * (time.perf_counter() - start_time), 3)
