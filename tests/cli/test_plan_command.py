"""``segue plan``, and ``segue train`` for a run that does not fit into memory."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import segue

from segue.errors import RunError
from segue.machine import MEMORY_VARIABLE
from segue.trainer.plan import recommendations


def test_the_plan_as_json(world: Path, tiny_config: Path) -> None:
    plan = segue("plan", world, "--config", tiny_config, "--no-probe", "--json").json
    memory, peaks = plan["memory"], plan["peaks"]
    assert memory["optimizer"] > 2 * memory["parameters"] > 0
    assert peaks["training"] > memory["process"] + memory["parameters"]
    assert plan["fits"] is True
    assert plan["times"] is None
    assert plan["total_steps"] == 6
    assert {option["name"] for option in plan["options"]} >= {"exact softmax", "sampled softmax"}


def test_the_plan_as_tables(world: Path, tiny_config: Path) -> None:
    before = {path for path in world.parent.rglob("*") if "xla" not in path.parts}
    printed = segue("plan", world, "--config", tiny_config).out
    for words in (
        "optimizer state",
        "peak of training",
        "the run fits",
        "ms per step",
        "recommended: ",
    ):
        assert words in printed
    assert {path for path in world.parent.rglob("*") if "xla" not in path.parts} == before


def test_every_option_reaches_the_planner(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[dict[str, object]] = []

    def record(*arguments: object, **options: object) -> None:
        calls.append({"data": arguments[0], **options})
        raise RunError("recorded")

    monkeypatch.setattr("segue.trainer.plan.plan", record)
    options = ("--budget", "90s", "--without-ensemble", "--no-probe")
    segue("plan", world, "--preset", "demo", "--set", "layers=3", *options)
    segue("plan", world, "--config", "my.toml")
    first, second = calls
    assert first == {
        "data": world,
        "preset": "demo",
        "config": None,
        "model.layers": 3,
        "budget": "90s",
        "ensemble": False,
        "probe": False,
    }
    assert second["config"] == Path("my.toml")
    assert second["probe"] is True
    assert second["budget"] is second["ensemble"] is None


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--set", "model.layer=2"], "did you mean 'layers'?"),
        (["--preset", "sasrek"], "did you mean 'sasrec'?"),
        (["--config", "missing.toml"], "missing.toml"),
        (["--set", "heads=3"], "not a multiple of heads"),
    ],
)
def test_invalid_configurations_are_errors(world: Path, options: list[str], expected: str) -> None:
    assert expected in segue("plan", world, *options).error


def test_folders_without_a_dataset_are_errors(tmp_path: Path) -> None:
    assert "manifest.json" in segue("plan", tmp_path).error
    assert "there is no folder" in segue("plan", tmp_path / "none").error


def test_a_run_that_does_not_fit_is_an_error_and_writes_nothing(
    world: Path, tiny_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recommendations, "SMALL_RUN", 0)
    monkeypatch.setenv(MEMORY_VARIABLE, "0.000001")
    error = segue("train", world, "-o", tmp_path / "run", "--config", tiny_config).error
    assert "of memory, but only 0 MB are free" in error
    assert MEMORY_VARIABLE in error
    assert list(tmp_path.iterdir()) == []


def test_an_invalid_memory_limit_is_an_error(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MEMORY_VARIABLE, "8GB")
    assert "'8GB', expected a number" in segue("train", world, "-o", tmp_path / "run").error
    assert list(tmp_path.iterdir()) == []
