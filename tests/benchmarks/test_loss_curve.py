"""The benchmark ``loss_curve``, on curves whose law is known."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import loss_curve
import numpy as np
import pytest

from segue.config import Config
from segue.errors import RunError
from segue.runs import RunFolder
from segue.runs.folder import FORMAT_VERSION

STEPS = 500 * np.arange(1.0, 41)


def run_with(folder: Path, losses: list[float | None], steps_per_epoch: int = 10) -> Path:
    """A run folder with a log of one validation per epoch."""
    run = RunFolder(folder)
    run.create()
    dataset = {"name": "none", "path": "none", "fingerprint": "", "vocabulary_size": 40}
    content = {
        "format_version": FORMAT_VERSION,
        "config": Config().model_dump(mode="json"),
        "dataset": dataset,
    }
    run.write_json(run.config, content)
    records = []
    for epoch, loss in enumerate(losses, start=1):
        step = epoch * steps_per_epoch
        records.append({"step": step, "kind": "train", "epoch": float(epoch), "loss": 1.0})
        records.append({"step": step, "kind": "validation", "loss": loss})
    run.metrics.write_text("".join(json.dumps(record) + "\n" for record in records))
    return folder


@pytest.mark.parametrize(
    ("a", "b", "c"), [(5.6, 12.0, 0.4), (6.0, 900.0, 1.1), (0.0, 9.0, 0.05), (2.5, 0.8, 0.15)]
)
def test_a_power_law_is_recovered(a: float, b: float, c: float) -> None:
    law = loss_curve.fit(STEPS, a + b * STEPS**-c)
    assert law.residual < 1e-5
    assert law.at(10 * STEPS[-1]) == pytest.approx(a + b * (10 * STEPS[-1]) ** -c, abs=1e-3)
    assert law.a == pytest.approx(a, abs=0.02)
    assert law.c == pytest.approx(c, rel=0.02)


def test_the_residual_is_the_standard_deviation_of_the_noise() -> None:
    noise = 0.01 * np.random.default_rng(0).normal(size=len(STEPS))
    law = loss_curve.fit(STEPS, 6 + 40 * STEPS**-0.5 + noise)
    assert law.residual == pytest.approx(0.01, rel=0.3)


def test_rising_losses_are_fitted_by_a_constant() -> None:
    law = loss_curve.fit(STEPS, 6 + STEPS / STEPS[-1])
    assert law.a >= 0
    assert law.b >= 0
    assert law.at(1e9) == pytest.approx(6.5, abs=0.1)


def test_the_synthetic_curve_is_extrapolated_close_to_its_law() -> None:
    row = loss_curve.extrapolate(loss_curve.synthetic_curve(), epochs=1000)
    a, b, c = loss_curve.TRUTH
    assert row["extrapolated_to_step"] == 1_000_000
    assert row["extrapolated_loss"] == pytest.approx(a + b * 1e6**-c, abs=0.01)
    assert abs(row["missed_ahead"]) < 0.01


def test_finite_losses_of_an_unfinished_run_are_read(tmp_path: Path) -> None:
    run = run_with(tmp_path / "run", [7.0, 6.5, None, 6.2, 6.1])
    curve = loss_curve.curve_of_run(run)
    assert (curve.name, curve.steps_per_epoch) == ("run", 10.0)
    assert curve.steps.tolist() == [10, 20, 40, 50]
    assert curve.losses.tolist() == [7.0, 6.5, 6.2, 6.1]


@pytest.mark.parametrize("n", [0, 1, 3])
def test_too_few_points_are_not_extrapolated(n: int) -> None:
    curve = loss_curve.Curve("short", STEPS[:n], 7 - STEPS[:n] / 1e4, 500.0)
    row = loss_curve.extrapolate(curve, epochs=10)
    assert row["points"] == n
    assert row["last_step"] == (STEPS[n - 1] if n else None)
    assert row["a"] is row["extrapolated_loss"] is row["missed_ahead"] is None


def test_the_last_line_is_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_with(tmp_path / "run", [6 + 2 / epoch for epoch in range(1, 11)])
    monkeypatch.setattr(sys, "argv", ["loss_curve.py", str(run), "--epochs", "100"])
    loss_curve.main()
    *table, last = capsys.readouterr().out.splitlines()
    assert any("not measured" in line for line in table)
    synthetic, row = json.loads(last)["results"]
    assert (synthetic["run"], row["run"]) == ("made-up", "run")
    assert row["c"] == pytest.approx(1, abs=0.01)
    assert row["extrapolated_to_step"] == 1000
    assert row["extrapolated_loss"] == pytest.approx(6.02, abs=0.001)


def test_metrics_are_extrapolated_from_every_first_point(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    epochs = [1, 2, 4, 8, 12, 16, 24, 32, 48]
    values = [0.15 - 0.1 / epoch**0.5 for epoch in epochs]
    file = tmp_path / "measured.json"
    file.write_text(json.dumps({"epochs": epochs, "metrics": {"ndcg@10": values}}))
    monkeypatch.setattr(sys, "argv", ["loss_curve.py", "--measured", str(file)])
    loss_curve.main()
    rows = json.loads(capsys.readouterr().out.splitlines()[-1])["metrics"]
    assert [row["from_epoch"] for row in rows] == [1, 2, 4, 8, 12]
    assert [row["points"] for row in rows] == [9, 8, 7, 6, 5]
    for row in rows:
        assert row["extrapolated"] == pytest.approx(0.15 - 0.1 / 1000**0.5, abs=1e-4)
        assert row["c"] == pytest.approx(0.5, abs=0.01)
        assert row["missed_ahead"] is None or abs(row["missed_ahead"]) < 1e-4


@pytest.mark.parametrize("content", ["[]", "{", '{"epochs": [1, 2], "metrics": {"hr": [0, 1]}}'])
def test_unusable_metrics_are_a_one_line_error(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    content: str,
) -> None:
    file = tmp_path / "measured.json"
    file.write_text(content)
    monkeypatch.setattr(sys, "argv", ["loss_curve.py", "--measured", str(file)])
    with pytest.raises(SystemExit):
        loss_curve.main()
    assert "loss_curve.py: error:" in capsys.readouterr().err


def test_a_folder_without_a_run_is_a_one_line_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RunError):
        loss_curve.curve_of_run(tmp_path)
    monkeypatch.setattr(sys, "argv", ["loss_curve.py", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        loss_curve.main()
    assert ended.value.code == 2
    assert "is not a complete run" in capsys.readouterr().err
