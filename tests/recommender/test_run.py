"""``Run``: a folder of ``train`` as a path, with its card, configuration, metrics and model."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from segue.config import Config
from segue.dataset import Dataset
from segue.errors import RunError
from segue.recommender import Recommender, Run
from segue.trainer import Progress, train


@pytest.fixture
def run(cycle_run: Path) -> Run:
    return Run.open(cycle_run)


def test_a_run_is_a_path(run: Run, cycle_run: Path) -> None:
    assert os.fspath(run) == str(run) == str(cycle_run)
    assert Path(run) == run.path == cycle_run
    assert run == Run.open(str(cycle_run)) == Run.open(run)
    assert {run: 1}[Run(cycle_run)] == 1


def test_the_card_and_the_configuration_are_those_of_the_folder(run: Run, config: Config) -> None:
    assert run.config == config
    assert run.card["steps"] == 120
    assert run.card["finished"] == "all steps taken"
    assert run.is_finished


def test_the_metrics_are_a_table_of_all_records(run: Run) -> None:
    table = run.metrics()
    assert table.column_names[:2] == ["step", "kind"]
    validations = [row for row in table.to_pylist() if row["kind"] == "validation"]
    assert [row["step"] for row in validations] == [30, 60, 90, 120]
    best = max(validations, key=lambda row: row["ndcg@10"])
    assert best["ndcg@10"] == run.card["validation"]["best"]
    assert best["learning_rate"] is None


def test_the_model_is_that_of_the_folder(run: Run, cycle_run: Path) -> None:
    answer = run.load().recommend(["i3", "i4"], k=3)
    expected = Recommender.load(cycle_run).recommend(["i3", "i4"], k=3)
    assert answer.items == expected.items
    assert Recommender.load(run).name == answer.model == "cycles"


def test_training_returns_the_run(cycles: Dataset, config: Config, tmp_path: Path) -> None:
    reports: list[Progress] = []
    run = train(
        str(cycles.path), tmp_path / "run", config=config, max_steps=2, watch=reports.append
    )
    assert run == Run(tmp_path / "run")
    assert run.config.training.max_steps == run.card["steps"] == reports[-1].step == 2
    assert run.config.model == config.model
    assert train(cycles, run, resume=True) == run


def test_folders_that_are_no_run_are_refused(
    cycles: Dataset, cycle_run: Path, tmp_path: Path
) -> None:
    for folder in (tmp_path / "nothing", tmp_path, cycles.path):
        with pytest.raises(RunError, match=r"not a complete run: no config\.json"):
            Run.open(folder)
    shutil.copy(cycle_run / "config.json", tmp_path)
    started = Run.open(tmp_path)
    assert not started.is_finished
    with pytest.raises(RunError, match=r"no card\.json"):
        _ = started.card
    with pytest.raises(RunError, match=r"metrics\.jsonl"):
        started.metrics()
    with pytest.raises(RunError, match=r"no card\.json"):
        started.load()
