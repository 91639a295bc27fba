"""The law that losses are extrapolated by, on curves that are known."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import loss_curve
import numpy as np
import pytest

from segue.config import Config
from segue.errors import RunError
from segue.run_folder import RunFolder

STEPS = 500 * np.arange(1.0, 41)


def run_with(folder: Path, losses: list[float | None], steps_per_epoch: int = 10) -> Path:
    """A run folder that has logged one validation an epoch."""
    run = RunFolder(folder)
    run.create()
    dataset = {"name": "none", "path": "none", "fingerprint": "", "table_size": 0}
    content = {"format_version": 1, "config": Config().model_dump(mode="json"), "dataset": dataset}
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
    found = loss_curve.fit(STEPS, a + b * STEPS**-c)
    assert found.residual < 1e-5
    assert found.at(10 * STEPS[-1]) == pytest.approx(a + b * (10 * STEPS[-1]) ** -c, abs=1e-3)
    assert found.a == pytest.approx(a, abs=0.02)
    assert found.c == pytest.approx(c, rel=0.02)


def test_the_residual_is_the_noise() -> None:
    noise = 0.01 * np.random.default_rng(0).normal(size=len(STEPS))
    found = loss_curve.fit(STEPS, 6 + 40 * STEPS**-0.5 + noise)
    assert found.residual == pytest.approx(0.01, rel=0.3)


def test_losses_that_rise_are_met_by_a_level_and_never_by_a_negative_term() -> None:
    found = loss_curve.fit(STEPS, 6 + STEPS / STEPS[-1])
    assert found.a >= 0
    assert found.b >= 0
    assert found.at(1e9) == pytest.approx(6.5, abs=0.1)


def test_the_made_up_curve_comes_out_near_its_end() -> None:
    found = loss_curve.extrapolate(loss_curve.made_up_curve(), epochs=1000)
    a, b, c = loss_curve.TRUTH
    assert found["extrapolated_to_step"] == 1_000_000
    assert found["extrapolated_loss"] == pytest.approx(a + b * 1e6**-c, abs=0.01)
    assert abs(found["missed_ahead"]) < 0.01


def test_a_run_is_read_up_to_where_it_is(tmp_path: Path) -> None:
    run = run_with(tmp_path / "run", [7.0, 6.5, None, 6.2, 6.1])
    curve = loss_curve.curve_of_run(run)
    assert (curve.name, curve.epoch) == ("run", 10.0)
    assert curve.steps.tolist() == [10, 20, 40, 50]
    assert curve.losses.tolist() == [7.0, 6.5, 6.2, 6.1]


@pytest.mark.parametrize("n", [0, 1, 3])
def test_too_few_points_are_not_extrapolated(n: int) -> None:
    curve = loss_curve.Curve("short", STEPS[:n], 7 - STEPS[:n] / 1e4, 500.0)
    found = loss_curve.extrapolate(curve, epochs=10)
    assert found["points"] == n
    assert found["last_step"] == (STEPS[n - 1] if n else None)
    assert found["a"] is found["extrapolated_loss"] is found["missed_ahead"] is None


def test_the_table_ends_with_a_line_of_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_with(tmp_path / "run", [6 + 2 / epoch for epoch in range(1, 11)])
    monkeypatch.setattr(sys, "argv", ["loss_curve.py", str(run), "--epochs", "100"])
    loss_curve.main()
    *table, last = capsys.readouterr().out.splitlines()
    assert any("not measured" in line for line in table)
    made_up, found = json.loads(last)["results"]
    assert (made_up["run"], found["run"]) == ("made-up", "run")
    assert found["c"] == pytest.approx(1, abs=0.01)
    assert found["extrapolated_to_step"] == 1000
    assert found["extrapolated_loss"] == pytest.approx(6.02, abs=0.001)


def test_metrics_are_extrapolated_from_every_point_on(
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
def test_metrics_that_cannot_be_extrapolated_are_one_line(
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


def test_a_folder_that_is_no_run_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RunError):
        loss_curve.curve_of_run(tmp_path)
    monkeypatch.setattr(sys, "argv", ["loss_curve.py", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        loss_curve.main()
    assert ended.value.code == 2
    assert "is not a complete run" in capsys.readouterr().err
