"""The benchmark ``steps``, on a small dataset with a small model."""

from __future__ import annotations

import json

import pytest
import steps as benchmark

from segue.dataset import Dataset

SMALL = {"layers": 1, "width": 8, "feed_forward": 8, "context": 6, "batch_size": 16}


@pytest.mark.slow
def test_steps_are_those_of_the_library_and_padding_is_no_event(cycles: Dataset, capsys) -> None:
    benchmark.report(benchmark.measure(cycles, None, {"small": SMALL}, n_steps=2))
    *table, last = capsys.readouterr().out.splitlines()
    assert table[1].startswith("small")
    result = json.loads(last)["small"]
    assert 0 < result["events_per_step"] <= result["positions"]
    assert result["core_s_per_step"] > 0
    assert result["events_per_core_s"] == result["events_per_step"] / result["core_s_per_step"]
