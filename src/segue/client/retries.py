"""Retries: which calls are repeated, when, and when that ends."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from segue.errors import ConfigError

if TYPE_CHECKING:
    import httpx

REPEATABLE = (429, 503)
"""Statuses of calls that can be repeated: the server did not begin, or its database of events
failed, in which nothing is stored twice."""
DEFAULT_WAIT_S = 1.0
"""Seconds until a call is repeated where the response does not say."""
SHORTEST_WAIT_S = 0.5
"""Between calls of a server that warms up, whatever it says: so the waiting ends."""


@dataclass(frozen=True)
class RetryPolicy:
    """How long to wait for a server that is busy, and for one that warms its models up.

    Attributes:
        retries: how often a call is repeated where the server is busy.
        max_wait_s: a longer wait ends the call.
        startup_timeout_s: seconds in all for a server that warms up.
    """

    retries: int
    max_wait_s: float
    startup_timeout_s: float

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ConfigError: one is negative or not finite.
        """
        if self.retries < 0:
            message = f"retries is {self.retries}, expected a whole number from 0"
            raise ConfigError(message, "2 is the default; 0 never repeats a call")
        for name in ("max_wait_s", "startup_timeout_s"):
            value = getattr(self, name)
            if not 0 <= value < math.inf:
                message = f"{name} is {value}, expected a number of seconds from 0"
                raise ConfigError(message, "0 does not wait")

    def send(
        self, send: Callable[[], httpx.Response], sleep: Callable[[float], None]
    ) -> tuple[httpx.Response, float]:
        """Send a call, and repeat it while that helps.

        Args:
            send: sends it once.
            sleep: waits some seconds.

        Returns:
            The last response, and for how long a server that warms up was waited for.
        """
        response, n_left, startup_s = send(), self.retries, 0.0
        while response.status_code in REPEATABLE:
            wait_s = _wait_s(response)
            if is_warming_up(response):
                wait_s = max(wait_s, SHORTEST_WAIT_S)
                if startup_s + wait_s > self.startup_timeout_s:
                    break
                startup_s += wait_s
            elif not n_left or wait_s > self.max_wait_s:
                break
            else:
                n_left -= 1
            sleep(wait_s)
            response = send()
        return response, startup_s


def is_warming_up(response: httpx.Response) -> bool:
    """Whether a server of Segue says that its models are not ready yet."""
    if response.status_code != 503:
        return False
    try:
        return response.json()["error"]["code"] == "not_ready"
    except (ValueError, LookupError, TypeError):
        return False


def _wait_s(response: httpx.Response) -> float:
    """Seconds to wait by ``Retry-After``, which has seconds or a date (RFC 9110, 10.2.3)."""
    text = response.headers.get("retry-after", "").strip()
    if text.isdecimal():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return DEFAULT_WAIT_S
