"""A real process is killed with SIGKILL, resumed, and must end as if nothing had happened.

With everything that draws at random: dropout, unknown items, labels within a horizon, and
what is told now and then.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from segue.dataset import Dataset

STEPS = 60
CONFIG = f"""
[model]
layers = 1
heads = 2
width = 32
feed_forward = 64
context = 8
item_features = ["genres", "sound"]
sequence_features = ["gender", "user"]

[optimizer]
learning_rate = 1e-3
schedule = "cosine"

[training]
batch_size = 16
epochs = 100
horizon = 2
feature_dropout = 0.3
unknown_rate = 0.1
rating_scale = [1.0, 5.0]
max_steps = {STEPS}
validate_every = 15
checkpoint_every = 5
log_every = 1
"""


def start(dataset: Path, run: Path, *options: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", "from segue.cli import main; main()", "train"]
    return subprocess.Popen(
        [*command, str(dataset), "-o", str(run), *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def finish(process: subprocess.Popen[bytes]) -> None:
    assert process.wait(timeout=100) == 0


def kill_when(process: subprocess.Popen[bytes], run: Path, ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 100
    while not ready():
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.0005 if (run / "checkpoints").exists() else 0.05)
    process.send_signal(signal.SIGKILL)
    assert process.wait(timeout=10) == -signal.SIGKILL


def saving_after(run: Path, step: int) -> Callable[[], bool]:
    """Whether a checkpoint is being written, at or after a step."""

    def is_saving() -> bool:
        names = [path.name for path in (run / "checkpoints").glob("*tmp*")]
        return any(int(name.split(".")[0]) >= step for name in names)

    return is_saving


def logged(run: Path, step: int) -> Callable[[], bool]:
    """Whether a step has been logged."""
    return lambda: any(row["step"] >= step for row in records(run))


def records(run: Path) -> list[dict]:
    """The records of a run, without what the clock says and without a half line."""
    path = run / "metrics.jsonl"
    rows = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue
        rows[-1].pop("events_per_s", None)
    return rows


def final_state(run: Path) -> list[np.ndarray]:
    """All arrays of the last checkpoint: parameters and moments."""
    assert max(int(folder.name) for folder in (run / "checkpoints").iterdir()) == STEPS
    arrays = load_file(run / "checkpoints" / str(STEPS) / "state" / "arrays.safetensors")
    return [arrays[name] for name in sorted(arrays)]


@pytest.fixture(scope="module")
def config_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("config") / "small.toml"
    path.write_text(CONFIG)
    return path


@pytest.fixture(scope="module")
def undisturbed(
    genres: Dataset, config_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    run = tmp_path_factory.mktemp("undisturbed") / "run"
    finish(start(genres.path, run, "--config", str(config_file)))
    return run


def assert_same_end(run: Path, undisturbed: Path) -> None:
    assert (run / "weights.safetensors").read_bytes() == (
        undisturbed / "weights.safetensors"
    ).read_bytes()
    for ours, theirs in zip(final_state(run), final_state(undisturbed), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert records(run) == records(undisturbed)


def test_a_run_killed_while_it_saves_ends_the_same(
    genres: Dataset, config_file: Path, undisturbed: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    process = start(genres.path, run, "--config", str(config_file))
    kill_when(process, run, saving_after(run, 20))
    finish(start(genres.path, run, "--resume"))
    assert_same_end(run, undisturbed)


@pytest.mark.slow
def test_a_run_killed_five_times_ends_the_same(
    genres: Dataset, config_file: Path, undisturbed: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    random = np.random.default_rng(11)
    steps = np.arange(5, STEPS, 10)[:5] + random.integers(5, size=5)
    options = ["--config", str(config_file)]
    for kill, step in enumerate(steps):
        process = start(genres.path, run, *options)
        kill_when(process, run, saving_after(run, step) if kill == 2 else logged(run, step))
        options = ["--resume"]
    finish(start(genres.path, run, "--resume"))
    assert_same_end(run, undisturbed)
