"""The benchmark ``default_quality``, on a run with an ensemble and on held-out sequences."""

from __future__ import annotations

import json
from pathlib import Path

import default_quality as benchmark
import pytest

from segue.dataset import Dataset
from segue.evaluation import evaluate
from small_ensembles import mixed_copy

pytestmark = pytest.mark.slow  # compiles two models


def test_a_run_and_its_members_are_compared_with_the_baseline_to_beat(
    cycle_run: Path, cycles: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = mixed_copy(cycle_run, cycles, tmp_path / "mixed")
    arguments = [str(cycles.path), str(run), "--part", "validation"]
    benchmark.main([*arguments, "--baselines", "popularity,co-occurrence"])
    first, *_, last = capsys.readouterr().out.splitlines()
    result = json.loads(last)
    assert first == "best on validation: co-occurrence"  # item i is always followed by item i + 1
    models = [row["model"] for row in result["rows"]]
    assert models[:2] == ["mixed", "mixed: transformer"]
    assert models[-2:] == ["popularity", "co-occurrence"]
    expected = evaluate(run, cycles, part="validation", baselines=None).results[0]
    assert result["rows"][0]["metrics"]["ndcg@10"][0] == pytest.approx(
        expected.metrics["ndcg@10"].mean
    )
    assert result["differences"][0]["models"] == ["co-occurrence", "mixed"]


def test_continuations_are_pooled_over_all_numbers_of_given_events(
    playlists: Dataset, playlist_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    benchmark.main([str(playlists.path), str(playlist_run), "--baselines", "popularity"])
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    [run, _] = result["rows"]
    results = evaluate(playlist_run, playlists, task="continuation", baselines=None).results
    mean = sum(r.metrics["r_precision"].mean * r.n for r in results) / sum(r.n for r in results)
    assert run["metrics"]["r_precision"] == [pytest.approx(mean)]
    assert "pooled" in {line["given"] for line in result["differences"]}
