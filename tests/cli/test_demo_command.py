"""``segue demo``, on a world and a model so small that it says nothing of their quality."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import segue

from segue import dataset, trainer
from segue.cli.demo import MARKER
from segue.config import PrepareConfig, load_config


@pytest.fixture(scope="module")
def small() -> Iterator[None]:
    """The demo's world and training, made small."""
    prepare, train = dataset.prepare, trainer.train

    def small_world(source: None, output: Path, config: PrepareConfig) -> dataset.Dataset:
        size = {"sequences": 240, "items": 160, "mean_length": 12}
        demo = config.source.demo.model_copy(update=size)
        source_config = config.source.model_copy(update={"demo": demo})
        return prepare(source, output, config.model_copy(update={"source": source_config}))

    def short(*arguments: Any, **options: Any) -> Path:
        tiny = {"training.max_steps": 2, "model.width": 8, "model.context": 12}
        options["overrides"] = tiny | options["overrides"]
        return train(*arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("segue.dataset.prepare", small_world)
        patch.setattr("segue.trainer.train", short)
        yield


@pytest.fixture(scope="module")
def done(small: None, work: Path) -> tuple[Path, dict[str, Any]]:
    folder = work / "demo"
    return folder, segue("demo", "-o", folder, "--seed", 2, "--json").json


def test_json_has_everything(done: tuple[Path, dict[str, Any]]) -> None:
    _, found = done
    figures = {
        result["model"]: result["metrics"]["ndcg@10"]["mean"]
        for result in found["evaluation"]["results"]
    }
    best = max(value for name, value in figures.items() if name not in {"run", "oracle"})
    assert found["ratios"]["oracle"] == pytest.approx(figures["run"] / figures["oracle"])
    assert found["ratios"]["best_baseline"] == pytest.approx(figures["run"] / best)
    assert [len(playlist["given"]) for playlist in found["playlists"]] == [3, 3, 3]
    assert len(found["christmas"]["continuation"]["items"]) == 10
    assert 0 <= found["seasonal"] <= 10


def test_the_folder_is_ready_for_every_other_verb(done: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = done
    assert (
        segue("inspect", folder / "data", "--json").json["options"]["source"]["demo"]["seed"] == 2
    )
    assert segue("inspect", folder / "run", "--json").json["card"]["seed"] == 2


def test_an_earlier_demo_is_replaced_on_request_only(
    done: tuple[Path, dict[str, Any]], small: None
) -> None:
    folder, _ = done
    assert "--overwrite" in segue("demo", "-o", folder).error
    outcome = segue("demo", "-o", folder, "--seed", 2, "--overwrite")
    assert outcome.code == 0
    for word in ("times the best baseline", "of the oracle", "one Christmas track", "are seasonal"):
        assert word in outcome.out
    assert outcome.out.count("  + ") == 3 * 5 + 10


def test_other_folders_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("five years of work")
    for options in ([], ["--overwrite"]):
        assert "holds something else" in segue("demo", "-o", tmp_path, *options).error
    assert "holds something else" in segue("demo", "-o", tmp_path / "thesis.txt").error
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.txt"]
    assert "cannot write" in segue("demo", "-o", tmp_path / "thesis.txt" / "demo").error


def test_a_stopped_demo_says_how_to_go_on(
    tmp_path: Path, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stops_at_once(_: object, run: Path, **__: object) -> Path:
        return run

    monkeypatch.setattr("segue.trainer.train", stops_at_once)
    outcome = segue("demo", "-o", tmp_path / "demo")
    assert outcome.code == 130
    assert "--resume" in outcome.err.splitlines()[-1]
    assert (tmp_path / "demo" / MARKER).exists()


def test_the_preset_of_the_demo_validates_before_its_end() -> None:
    training = load_config("demo").training
    assert training.validate_every is not None


def test_a_seed_beyond_32_bits_is_refused(tmp_path: Path) -> None:
    outcome = segue("demo", "-o", tmp_path / "demo", "--seed", 2**32)
    assert "--seed" in outcome.error
    assert list(tmp_path.iterdir()) == []
