"""``segue demo`` with a small world and a tiny model, so that metrics are meaningless."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import segue

from segue import preparation, trainer
from segue.cli.demo import MARKER
from segue.config import load_config
from segue.dataset import Dataset
from segue.recommender import Run


@pytest.fixture(scope="module")
def small_demo() -> Iterator[None]:
    """Patch the demo to prepare a small world and to train for two steps."""
    prepare, train = preparation.prepare, trainer.train

    def prepare_small_world(*arguments: Any, **options: Any) -> Dataset:
        return prepare(*arguments, **options, sequences=240, items=160, mean_length=12)

    def train_two_steps(*arguments: Any, **options: Any) -> Run:
        return train(*arguments, **options, max_steps=2, layers=1, width=8, context=12)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("segue.preparation.prepare", prepare_small_world)
        patch.setattr("segue.trainer.train", train_two_steps)
        yield


@pytest.fixture(scope="module")
def finished_demo(small_demo: None, workspace: Path) -> tuple[Path, dict[str, Any]]:
    """The folder of a demo and what it printed as JSON."""
    folder = workspace / "demo"
    return folder, segue("demo", "-o", folder, "--seed", 2, "--json").json


def test_json_has_all_results(finished_demo: tuple[Path, dict[str, Any]]) -> None:
    _, printed = finished_demo
    ndcg = {
        result["model"]: result["metrics"]["ndcg@10"]["mean"]
        for result in printed["evaluation"]["results"]
    }
    best = max(value for name, value in ndcg.items() if name not in {"run", "oracle"})
    assert printed["ratios"]["oracle"] == pytest.approx(ndcg["run"] / ndcg["oracle"])
    assert printed["ratios"]["best_baseline"] == pytest.approx(ndcg["run"] / best)
    assert [len(playlist["given"]) for playlist in printed["playlists"]] == [3, 3, 3]
    assert len(printed["christmas"]["continuation"]["items"]) == 10
    assert 0 <= printed["seasonal"] <= 10


def test_dataset_and_run_are_in_the_folder(finished_demo: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = finished_demo
    options = segue("inspect", folder / "data", "--json").json["options"]
    assert options["source"]["demo"]["seed"] == 2
    run = segue("inspect", folder / "run", "--json").json
    assert run["card"]["seed"] == 2
    assert run["histories"]["dataset"] == "data", "the page shows people without the dataset"


@pytest.mark.slow
def test_an_earlier_demo_is_replaced_only_with_overwrite(
    finished_demo: tuple[Path, dict[str, Any]], small_demo: None
) -> None:
    folder, _ = finished_demo
    assert "--overwrite" in segue("demo", "-o", folder).error
    outcome = segue("demo", "-o", folder, "--seed", 2, "--overwrite")
    assert outcome.code == 0
    for words in ("times the best baseline", "of the oracle", "a Christmas track", "are seasonal"):
        assert words in outcome.out
    assert outcome.out.count("  + ") == 3 * 5 + 10
    last = outcome.out.splitlines()[-1]
    assert last.endswith(f"serve {folder / 'run'}"), "the page, by a command"


def test_folders_without_a_demo_are_not_changed(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("five years of work")
    for options in ([], ["--overwrite"]):
        error = segue("demo", "-o", tmp_path, *options).error
        assert "exists and is not the folder of an earlier demo" in error
    error = segue("demo", "-o", tmp_path / "thesis.txt").error
    assert "exists and is not the folder of an earlier demo" in error
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.txt"]
    assert "cannot write" in segue("demo", "-o", tmp_path / "thesis.txt" / "demo").error


def test_a_stopped_demo_prints_the_command_that_resumes_it(
    tmp_path: Path, small_demo: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop_at_once(_: object, out: Path, **__: object) -> Run:
        return Run(out)

    monkeypatch.setattr("segue.trainer.train", stop_at_once)
    outcome = segue("demo", "-o", tmp_path / "demo")
    assert outcome.code == 130
    assert "--resume" in outcome.err.splitlines()[-1]
    assert (tmp_path / "demo" / MARKER).exists()


def test_the_preset_of_the_demo_validates_during_training() -> None:
    training = load_config("demo").training
    assert training.validate_every is not None


def test_a_seed_of_more_than_32_bits_is_an_error(tmp_path: Path) -> None:
    outcome = segue("demo", "-o", tmp_path / "demo", "--seed", 2**32)
    assert "--seed" in outcome.error
    assert list(tmp_path.iterdir()) == []
