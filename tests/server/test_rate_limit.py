"""Rate limits: one bucket per key, filled at a constant rate."""

from __future__ import annotations

import pytest

from segue.server.rate_limit import BURST_S, RateLimiter


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_a_burst_then_the_rate() -> None:
    clock = Clock()
    limiter = RateLimiter(10.0, clock)
    n_burst = int(10 * BURST_S)
    assert [limiter.take("a") for _ in range(n_burst)] == [0.0] * n_burst
    assert limiter.take("a") == pytest.approx(0.1)
    clock.now_s = 0.1
    assert limiter.take("a") == 0.0
    assert limiter.take("a") > 0.0


def test_keys_do_not_share_a_limit() -> None:
    limiter = RateLimiter(0.5, Clock())
    assert limiter.take("a") == 0.0
    assert limiter.take("a") > 0.0
    assert limiter.take("b") == 0.0


def test_a_call_with_many_requests_counts_them_all() -> None:
    clock = Clock()
    limiter = RateLimiter(10.0, clock)
    assert limiter.take("a") == 0.0
    limiter.charge("a", 49)
    assert limiter.take("a") == pytest.approx(3.1)
    clock.now_s = 3.2
    assert limiter.take("a") == 0.0


def test_no_limit() -> None:
    limiter = RateLimiter(0.0, Clock())
    assert {limiter.take("a") for _ in range(1_000)} == {0.0}
