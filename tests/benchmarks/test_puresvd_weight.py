"""The benchmark ``puresvd_weight``: its rows, its default run and its errors."""

from __future__ import annotations

import json
from pathlib import Path

import puresvd_weight
import pytest

from segue.config import Config, EnsembleConfig, ModelConfig, TrainingConfig
from segue.dataset import Dataset
from segue.evaluation import evaluate
from segue.recommender import Recommender
from segue.trainer import train

CONFIG = Config(
    model=ModelConfig(layers=1, heads=1, width=8, feed_forward=8, context=8),
    ensemble=EnsembleConfig(puresvd_factors=6, puresvd_weight=5.0),
    training=TrainingConfig(batch_size=16, max_steps=2),
)


@pytest.fixture(scope="module")
def run(playlists: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(playlists, tmp_path_factory.mktemp("puresvd-runs") / "run", config=CONFIG).path


@pytest.mark.slow
def test_there_is_one_row_per_weight_and_setting_of_given_events(
    run: Path, playlists: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    puresvd_weight.main([str(run), str(playlists.path), "--weights", "0,5", "--part", "test"])
    lines = capsys.readouterr().out.splitlines()
    assert sum("weight" in line for line in lines[:-1]) == 2
    rows = json.loads(lines[-1])["rows"]
    results = evaluate(Recommender.load(run), playlists, baselines=None, part="test").results
    expected = [result for result in results if result.task == "continuation"]
    rows_at_5 = [row for row in rows if row["weight"] == 5]
    assert len(rows) == 2 * len(rows_at_5)
    assert [(row["given"], row["r_precision"]) for row in rows_at_5] == [
        (result.given, result.metrics["r_precision"].mean) for result in expected
    ]


@pytest.mark.slow
def test_invalid_weights_are_refused(
    run: Path, playlists: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match=r"error: weight is -2.0, expected"):
        puresvd_weight.main([str(run), str(playlists.path), "--weights=-2"])
    with pytest.raises(SystemExit):
        puresvd_weight.main(["run", "data", "--weights=much"])
    assert "invalid weights value: 'much'" in capsys.readouterr().err


@pytest.mark.slow
def test_the_default_run_is_trained_on_the_built_in_world(
    run: Path,
    playlists: Dataset,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def train_stub(folder: Path, changes: dict[str, int]) -> tuple[Path, Path]:
        assert folder.is_dir()
        assert changes["puresvd_factors"] > 0
        return run, playlists.path

    monkeypatch.setattr(puresvd_weight, "train_on_built_in_world", train_stub)
    puresvd_weight.main(["--weights", "3", "--playlists", "5"])
    record = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert {row["weight"] for row in record["rows"]} == {3}


def test_a_run_without_a_dataset_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        puresvd_weight.main(["run"])
    assert "RUN needs DATASET" in capsys.readouterr().err


def test_a_folder_without_a_dataset_is_a_one_line_error(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"^error: "):
        puresvd_weight.main(["run", str(tmp_path)])
