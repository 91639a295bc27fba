"""Rate limits: one token bucket per API key."""

from __future__ import annotations

import time
from collections.abc import Callable

BURST_S = 2.0
"""A client that was silent may catch up on so many seconds at once."""


class RateLimiter:
    """Token buckets by name, filled at one rate."""

    def __init__(self, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with full buckets.

        Args:
            per_second: requests per second and name; 0 for no limit.
            clock: the time in seconds.
        """
        self._rate = per_second
        self._capacity = max(1.0, BURST_S * per_second)
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, name: str) -> float:
        """Count a request, if it is within the limit.

        Returns:
            0 if it is. Otherwise the time in seconds after which the next one is.
        """
        if not self._rate:
            return 0.0
        tokens = self._refill(name)
        if tokens < 1:
            return (1 - tokens) / self._rate
        self.charge(name, 1)
        return 0.0

    def charge(self, name: str, n_requests: int) -> None:
        """Count requests in any case: the further ones of a call, whose next call waits longer."""
        if self._rate:
            self._buckets[name] = (self._refill(name) - n_requests, self._clock())

    def _refill(self, name: str) -> float:
        """The tokens of a bucket now."""
        now = self._clock()
        tokens, since = self._buckets.get(name, (self._capacity, now))
        return min(self._capacity, tokens + (now - since) * self._rate)
