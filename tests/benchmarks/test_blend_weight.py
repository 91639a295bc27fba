"""The benchmark of blend weights: a row for each, and the errors."""

from __future__ import annotations

import json
from pathlib import Path

import blend_weight
import pytest

from segue.config import BlendConfig, Config, ModelConfig, TrainingConfig
from segue.dataset import Dataset
from segue.evaluation import evaluate
from segue.recommender import Recommender
from segue.trainer import train

CONFIG = Config(
    model=ModelConfig(layers=1, heads=1, width=8, feed_forward=8, context=8),
    blend=BlendConfig(vectors=6, weight=5.0),
    training=TrainingConfig(batch_size=16, max_steps=2),
)


@pytest.fixture(scope="module")
def run(playlists: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(playlists, tmp_path_factory.mktemp("blended") / "run", config=CONFIG)


def test_a_row_for_each_weight_and_way_of_giving(
    run: Path, playlists: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    blend_weight.main([str(run), str(playlists.path), "--weights", "0,5", "--on", "test"])
    lines = capsys.readouterr().out.splitlines()
    assert sum("weight" in line for line in lines[:-1]) == 2
    rows = json.loads(lines[-1])["rows"]
    found = evaluate(Recommender.load(run), playlists, on="test").results
    expected = [each for each in found if each.task == "continuation"]
    own = [row for row in rows if row["weight"] == 5]
    assert len(rows) == 2 * len(own)
    assert [(row["given"], row["r_precision"]) for row in own] == [
        (each.given, each.metrics["r_precision"].mean) for each in expected
    ]


def test_what_is_no_weight_is_refused(
    run: Path, playlists: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match=r"error: weight is -2.0, expected"):
        blend_weight.main([str(run), str(playlists.path), "--weights=-2"])
    with pytest.raises(SystemExit):
        blend_weight.main(["run", "data", "--weights=much"])
    assert "invalid weights value: 'much'" in capsys.readouterr().err


def test_without_a_run_one_is_trained_on_the_built_in_world(
    run: Path,
    playlists: Dataset,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def trained(folder: Path, overrides: dict[str, int]) -> tuple[Path, Path]:
        assert folder.is_dir()
        assert overrides["blend.vectors"] > 0
        return run, playlists.path

    monkeypatch.setattr(blend_weight, "on_the_built_in_world", trained)
    blend_weight.main(["--weights", "3", "--playlists", "5"])
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert {row["weight"] for row in found["rows"]} == {3}


def test_a_run_needs_its_dataset(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        blend_weight.main(["run"])
    assert "RUN needs DATASET" in capsys.readouterr().err


def test_a_folder_that_is_no_dataset_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"^error: "):
        blend_weight.main(["run", str(tmp_path)])
