"""``segue attach`` and ``segue train --with-histories``: a run that carries its users."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from commands import segue

from segue.dataset import Dataset


@pytest.fixture
def moved_run(run: Path, world: Path, tmp_path: Path) -> Path:
    """A copy of a run, with the histories of its dataset."""
    folder = tmp_path / "run"
    shutil.copytree(run, folder, ignore=shutil.ignore_patterns("checkpoints"))
    outcome = segue("attach", folder, world)
    sequences = Dataset.open(world).sequences
    assert f"{len(sequences)} users, {sequences.n_events:,} events" in outcome.out
    assert "MB, from the dataset world" in outcome.out
    return folder


def test_users_of_the_run_are_recommended_for(moved_run: Path, run: Path, world: Path) -> None:
    user = Dataset.open(world).sequences.ids[3].as_py()
    for verb in ("recommend", "generate"):
        lists = [
            segue(verb, folder, "--user", user, "--json").json["items"]
            for folder in (moved_run, run)
        ]
        assert lists[0] == lists[1]
    error = segue("recommend", moved_run, "--user", "nobody").error
    assert "user 'nobody' is not in the histories of run (from the dataset world)" in error


def test_inspect_shows_the_histories(moved_run: Path, run: Path, world: Path) -> None:
    sequences = Dataset.open(world).sequences
    histories = segue("inspect", moved_run, "--json").json["histories"]
    assert histories == {
        "users": len(sequences),
        "events": sequences.n_events,
        "bytes": (moved_run / "histories.arrow").stat().st_size,
        "dataset": "world",
        "fingerprint": Dataset.open(world).fingerprint,
    }
    assert f"{len(sequences)} users" in segue("inspect", moved_run).out
    assert segue("inspect", run, "--json").json["histories"] is None
    assert "histories" not in segue("inspect", run).out


def test_attach_as_json(moved_run: Path, world: Path) -> None:
    outcome = segue("attach", moved_run, world, "--json").json
    assert outcome["run"] == str(moved_run)
    assert outcome["histories"]["unknown_events"] == 0


@pytest.mark.slow
def test_training_with_histories(world: Path, tiny_config: Path, tmp_path: Path) -> None:
    command = ("train", world, "-o", tmp_path / "run", "--config", tiny_config)
    outcome = segue(*command, "--with-histories")
    assert outcome.code == 0, outcome.err
    content = (tmp_path / "run" / "histories.arrow").read_bytes()
    (tmp_path / "run" / "histories.arrow").unlink()
    assert segue(*command, "--resume", "--with-histories").code == 0  # it has ended already
    assert (tmp_path / "run" / "histories.arrow").read_bytes() == content


@pytest.mark.parametrize("swapped", [False, True])
def test_what_is_no_run_or_no_dataset_is_one_line(run: Path, world: Path, swapped: bool) -> None:
    arguments = (world, run) if swapped else (run, run)
    assert str(world if swapped else run) in segue("attach", *arguments).error


def test_options_that_exclude_each_other(world: Path) -> None:
    error = segue("train", world, "--overfit-one-batch", "--with-histories").error
    assert "--with-histories cannot be used with --overfit-one-batch" in error
