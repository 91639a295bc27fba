"""The latency benchmark on a small run."""

from __future__ import annotations

from pathlib import Path

import jax
import latency
import numpy as np
import pytest

from segue.recommender import Recommender


@pytest.mark.slow
def test_no_request_compiles_after_warm_up(cycle_run: Path) -> None:
    result = latency.measure(Recommender.load(cycle_run), 12, max_k=100, max_length=20)
    assert result["compilations"] == 0
    assert result["single_requests"] >= 6
    assert result["ms"]["50"] <= result["ms"]["99"]


def test_compilations_are_counted() -> None:
    with latency.compilations() as compiled:
        jax.jit(lambda x: x * 3)(np.ones(7))
    assert compiled.count >= 1
