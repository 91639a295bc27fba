"""The budget: steps from a probe, and the clock that stops a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from segue.config import Config
from segue.dataset import Dataset
from segue.errors import ConfigError
from segue.recommender import Recommender
from segue.trainer import budget, train
from segue.trainer.budget import StepCost, affordable_steps
from segue.trainer.recipe import budget_seconds


def test_four_fifths_of_the_budget_are_for_steps():
    assert affordable_steps(StepCost(0.5, 5.0), 1000.0, spent_s=20.0) == 1600


def test_no_step_is_planned_beyond_the_moment_at_which_the_clock_stops():
    assert affordable_steps(StepCost(0.5, 10.0), 100.0, spent_s=20.0) == 120
    assert affordable_steps(StepCost(0.5, 10.0), 10.0, spent_s=60.0) == 1


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90.0), ("30m", 1800.0), (45, 45.0)])
def test_budgets_are_durations(text, seconds):
    assert budget_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "ten", "10", "-5m", 0, -1.0, float("nan"), float("inf")])
def test_other_budgets_are_refused(text):
    with pytest.raises(ConfigError, match="budget"):
        budget_seconds(text)


def test_a_budget_becomes_a_number_of_steps_that_is_stored(
    cycles: Dataset, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(budget, "probe", lambda *_: StepCost(1.0, 0.0))
    run = train(cycles, tmp_path / "run", config=config, budget=1000.0, epochs=3, max_steps=None)
    saved = json.loads((run.path / "config.json").read_text())
    steps_per_epoch = run.card["steps"] / run.card["epochs"]
    assert saved["config"]["training"]["max_steps"] == run.card["steps"]
    assert run.card["steps"] == min(800, round(steps_per_epoch * 3))
    assert 0 < run.card["core_seconds"] < 1000
    assert any("core-seconds per step" in reason for reason in saved["reasons"])


@pytest.mark.slow
def test_the_clock_stops_a_run_that_takes_longer_than_the_probe_measured(
    cycles: Dataset, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(budget, "probe", lambda *_: StepCost(1e-9, 0.0))
    run = train(cycles, tmp_path / "run", config=config, budget=1e-3)
    assert run.card["finished"] == "the budget is spent"
    assert run.card["steps"] == 1
    resumed = train(cycles, run.path, resume=True)
    assert resumed.card == run.card
    assert Recommender.load(run).recommend(["i3"], k=1).items
