"""A resumed run must end with the same bits as an uninterrupted one, after a kill or an error.

All sources of randomness are on: dropout, unknown items, negatives, labels within a horizon and
feature dropout. Embeddings are updated densely and sparsely.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from segue.batches import Batch, SequenceBatches
from segue.dataset import Dataset
from segue.errors import DatasetError, ResourceError, StorageError
from segue.trainer import Progress, train

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

[optimizer]
learning_rate = 1e-3
schedule = "cosine"
"""
SPARSE_LOSS = """
[loss]
kind = "sampled-softmax"
negatives = 8
in_batch = true
"""
BFLOAT16 = (
    CONFIG.replace("[model]\n", '[model]\nembedding_precision = "bfloat16"\n')
    + 'state_precision = "bfloat16"\n'
)
CONFIGS = {
    "dense": CONFIG,
    "sparse": BFLOAT16
    + 'embedding_updates = "sparse"\nfeature_embedding_updates = "sparse-rowwise"\n'
    + SPARSE_LOSS,
    "sparse-rowwise": CONFIG + 'embedding_updates = "sparse-rowwise"\n' + SPARSE_LOSS,
}
"""By ``optimizer.embedding_updates``. "sparse" has bfloat16 storage and sparse features too."""


@pytest.fixture(scope="module")
def embedding_updates(request: pytest.FixtureRequest) -> str:
    """A key of ``CONFIGS``; for ``parametrize`` with ``indirect``."""
    return getattr(request, "param", "sparse-rowwise")


@pytest.fixture(scope="module")
def config_file(embedding_updates: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("config") / f"{embedding_updates}.toml"
    path.write_text(CONFIGS[embedding_updates])
    return path


@pytest.fixture(scope="module")
def uninterrupted(
    genres: Dataset, config_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("uninterrupted") / "run"
    return train(genres, folder, config=config_file).path


def records(run: Path) -> list[dict]:
    """The records of a run, without times and without a partial line."""
    path = run / "metrics.jsonl"
    rows = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue
        rows[-1].pop("events_per_s", None)
    return rows


def checkpoints(run: Path) -> list[int]:
    """Steps of the checkpoints. Fails if there is a partial one."""
    return sorted(int(folder.name) for folder in (run / "checkpoints").iterdir())


def final_state(run: Path) -> dict[str, np.ndarray]:
    """All arrays of the last checkpoint: parameters, moments and update counts."""
    assert checkpoints(run)[-1] == STEPS
    return load_file(run / "checkpoints" / str(STEPS) / "state" / "arrays.safetensors")


def assert_same_end(run: Path, uninterrupted: Path) -> None:
    weights = [folder / "weights.safetensors" for folder in (run, uninterrupted)]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    arrays, expected = final_state(run), final_state(uninterrupted)
    assert arrays.keys() == expected.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, expected[name])
    assert records(run) == records(uninterrupted)
    assert not list(run.rglob("*.partial"))


# After a kill.


def start(dataset: Path, run: Path, *options: str) -> subprocess.Popen[bytes]:
    code = "import sys; from segue.cli import main; sys.exit(main())"
    return subprocess.Popen(
        [sys.executable, "-c", code, "train", str(dataset), "-o", str(run), *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def wait_until_done(process: subprocess.Popen[bytes]) -> None:
    assert process.wait(timeout=300) == 0


def kill_when(process: subprocess.Popen[bytes], run: Path, is_ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 300
    while not is_ready():
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.0005 if (run / "checkpoints").exists() else 0.05)
    process.send_signal(signal.SIGKILL)
    assert process.wait(timeout=300) == -signal.SIGKILL


def saving_after(run: Path, step: int) -> Callable[[], bool]:
    """A function that says whether a checkpoint of this step or a later one is being written."""

    def is_saving() -> bool:
        names = [path.name for path in (run / "checkpoints").glob("*tmp*")]
        return any(int(name.split(".")[0]) >= step for name in names)

    return is_saving


def logged(run: Path, step: int) -> Callable[[], bool]:
    """A function that says whether a step has been logged."""
    return lambda: any(row["step"] >= step for row in records(run))


@pytest.mark.slow
def test_a_run_killed_while_saving_ends_the_same(
    genres: Dataset, config_file: Path, uninterrupted: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    process = start(genres.path, run, "--config", str(config_file))
    kill_when(process, run, saving_after(run, 20))
    wait_until_done(start(genres.path, run, "--resume"))
    assert_same_end(run, uninterrupted)
    assert any("update_counts" in name for name in final_state(run))


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("embedding_updates", CONFIGS, indirect=True)
def test_a_run_killed_five_times_ends_the_same(
    genres: Dataset, config_file: Path, uninterrupted: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    random = np.random.default_rng(11)
    steps = np.arange(5, STEPS, 10)[:5] + random.integers(5, size=5)
    options = ["--config", str(config_file)]
    for kill, step in enumerate(steps):
        process = start(genres.path, run, *options)
        kill_when(process, run, saving_after(run, step) if kill == 2 else logged(run, step))
        options = ["--resume"]
    wait_until_done(start(genres.path, run, "--resume"))
    assert_same_end(run, uninterrupted)


# After an error.


@contextmanager
def full_disk(size: Callable[[], int]) -> Iterator[Callable[[Progress], None]]:
    """Yield a ``watch`` function that limits the file size of this process after step 17.

    Args:
        size: returns the limit in bytes.
    """
    old_limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def watch(progress: Progress) -> None:
        if progress.step == 17:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size(), old_limits[1]))

    try:
        yield watch
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old_limits)


@contextmanager
def before_batch(index: int, act: Callable[[], object]) -> Iterator[None]:
    """Call a function in the prefetch thread before it makes the batch ``index``."""
    getitem = SequenceBatches.__getitem__

    def make(batches: SequenceBatches, number: int) -> Batch:
        if number == index:
            assert threading.current_thread() is not threading.main_thread()
            act()
        return getitem(batches, number)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SequenceBatches, "__getitem__", make)
        yield


@pytest.mark.slow
def test_a_run_after_four_kinds_of_errors_ends_the_same(
    genres: Dataset, config_file: Path, uninterrupted: Path, tmp_path: Path
) -> None:
    run, data = tmp_path / "run", tmp_path / "data"
    shutil.copytree(genres.path, data)

    # The disk gets full while the arrays of a checkpoint are written.
    with (
        full_disk(lambda: 30_000) as watch,
        pytest.raises(StorageError, match=r"cannot write a checkpoint.*--resume"),
    ):
        train(data, run, config=config_file, watch=watch)
    assert checkpoints(run) == [10, 15]

    # The disk gets full in the middle of a line of the metrics; TensorBoard's file is shorter.
    metrics = run / "metrics.jsonl"
    with (
        full_disk(lambda: metrics.stat().st_size + 20) as watch,
        pytest.raises(StorageError, match=r"cannot write the metrics.*--resume"),
    ):
        train(data, run, resume=True, watch=watch)
    assert len(metrics.read_text().splitlines()[-1]) == 20

    # There is not enough memory for a batch.
    with (
        before_batch(33, lambda: np.empty(1 << 60, np.uint8)),
        pytest.raises(ResourceError, match=r"out of memory: Unable to allocate.*--resume"),
    ):
        train(data, run, resume=True)
    assert checkpoints(run) == [25, 30]

    # The dataset is truncated: reading it would end the process with a bus error.
    with (
        before_batch(41, lambda: os.truncate(data / "sequences.arrow", 100)),
        pytest.raises(DatasetError, match=r"sequences.arrow was overwritten.*100 bytes.*--resume"),
    ):
        train(data, run, resume=True)
    assert checkpoints(run) == [35, 40]

    train(genres, run, resume=True)
    assert_same_end(run, uninterrupted)
