"""``segue plan``, and the run that ``segue train`` refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import segue

from segue.errors import RunError
from segue.runtime import MEMORY_VARIABLE
from segue.trainer import advice


def test_the_plan_as_json(world: Path, tiny_model: Path) -> None:
    found = segue("plan", world, "--config", tiny_model, "--no-probe", "--json").json
    memory, peaks = found["memory"], found["peaks"]
    assert memory["optimizer"] > 2 * memory["parameters"] > 0
    assert peaks["training"] > memory["process"] + memory["parameters"]
    assert found["fits"] is True
    assert found["times"] is None
    assert found["total_steps"] == 6
    assert {option["name"] for option in found["options"]} >= {"exact softmax", "sampled softmax"}


def test_the_plan_for_people(world: Path, tiny_model: Path) -> None:
    before = {path for path in world.parent.rglob("*") if "xla" not in path.parts}
    shown = segue("plan", world, "--config", tiny_model).out
    for words in ("optimizer state", "peak of training", "it fits", "ms a step", "advice: "):
        assert words in shown
    assert {path for path in world.parent.rglob("*") if "xla" not in path.parts} == before


def test_every_option_reaches_the_planner(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, object]] = []

    def record(*arguments: object, **options: object) -> None:
        asked.append({"dataset": arguments[0], **options})
        raise RunError("recorded")

    monkeypatch.setattr("segue.trainer.plan", record)
    segue("plan", world, "--preset", "demo", "--set", "layers=3", "--no-probe")
    segue("plan", world, "--config", "my.toml")
    first, second = asked
    assert first == {
        "dataset": world,
        "preset": "demo",
        "config": None,
        "overrides": ["layers=3"],
        "probe": False,
    }
    assert second["config"] == Path("my.toml")
    assert second["probe"] is True


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--set", "model.layer=2"], "did you mean 'layers'?"),
        (["--preset", "sasrek"], "did you mean 'sasrec'?"),
        (["--config", "missing.toml"], "missing.toml"),
        (["--set", "heads=3"], "not a multiple of heads"),
    ],
)
def test_what_is_wrong_is_one_line(world: Path, options: list[str], expected: str) -> None:
    assert expected in segue("plan", world, *options).error


def test_what_is_no_dataset_is_one_line(tmp_path: Path) -> None:
    assert "manifest.json" in segue("plan", tmp_path).error
    assert "there is no folder" in segue("plan", tmp_path / "none").error


def test_a_run_that_does_not_fit_is_one_line_and_nothing_is_written(
    world: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(advice, "SMALL_RUN", 0)
    monkeypatch.setenv(MEMORY_VARIABLE, "0.000001")
    error = segue("train", world, "-o", tmp_path / "run", "--config", tiny_model).error
    assert "of memory, and 0 MB are free" in error
    assert MEMORY_VARIABLE in error
    assert list(tmp_path.iterdir()) == []


def test_a_limit_that_is_no_number_is_one_line(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MEMORY_VARIABLE, "8GB")
    assert "'8GB', expected a number" in segue("train", world, "-o", tmp_path / "run").error
    assert list(tmp_path.iterdir()) == []
