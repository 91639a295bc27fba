"""Checkpoints and weights: saved, restored, and refused when damaged."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import grain
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from segue.config import ModelConfig
from segue.errors import RunError, StorageError
from segue.model import Transformer
from segue.runs.checkpoints import Checkpoints
from segue.runs.weights import load_weights, write_weights

MODEL = ModelConfig(layers=2, heads=2, width=8, feed_forward=16, context=4)


class Numbers:
    """A data source whose batch ``i`` contains only the number ``i``."""

    def __len__(self) -> int:
        return 100

    def __getitem__(self, index: int) -> np.ndarray:
        return np.full(3, index)


def numbers(n_taken: int = 0) -> grain.DatasetIterator:
    """The numbers, of which the first were taken already: one per step."""
    options = grain.ReadOptions(num_threads=1, prefetch_buffer_size=4)
    iterator = iter(grain.MapDataset.source(Numbers()).to_iter_dataset(options))
    for _ in range(n_taken):
        next(iterator)
    return iterator


def parameters(config: ModelConfig = MODEL, seed: int = 0) -> nnx.State:
    return nnx.split(Transformer(config, 20, rngs=nnx.Rngs(seed)))[1]


def test_restores_everything_that_was_saved(tmp_path: Path) -> None:
    checkpoints, data = Checkpoints(tmp_path), numbers()
    state = {"params": parameters(), "count": jnp.int32(7)}
    for _ in range(5):
        next(data)
    checkpoints.save(5, state, data, {"best": 0.25, "skipped": [3]})
    checkpoints.close()

    new_data = numbers()
    zeros = jax.tree.map(jnp.zeros_like, state)
    restored = Checkpoints(tmp_path).restore(zeros, new_data)
    assert restored is not None
    assert restored.step == 5
    assert restored.trainer_state == {"best": 0.25, "skipped": [3]}
    jax.tree.map(np.testing.assert_array_equal, restored.state, state)
    assert next(new_data).tolist() == [5, 5, 5]


def test_restores_the_newest_and_removes_old_checkpoints(tmp_path: Path) -> None:
    checkpoints, data = Checkpoints(tmp_path), numbers()
    for step in (1, 2, 3):
        next(data)
        checkpoints.save(step, {"count": jnp.int32(step)}, data, {})
    checkpoints.close()
    restored = Checkpoints(tmp_path).restore({"count": jnp.int32(0)}, numbers())
    assert restored is not None
    assert restored.step == int(restored.state["count"]) == 3
    assert sorted(int(path.name) for path in tmp_path.iterdir()) == [2, 3]


def test_restores_nothing_if_nothing_was_saved(tmp_path: Path) -> None:
    assert Checkpoints(tmp_path).restore({"count": jnp.int32(0)}, numbers()) is None


def test_ignores_and_removes_a_partial_checkpoint(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, {"count": jnp.int32(1)}, numbers(1), {})
    checkpoints.close()
    partial = tmp_path / "2.orbax-checkpoint-tmp"
    (partial / "state").mkdir(parents=True)
    restored = Checkpoints(tmp_path).restore({"count": jnp.int32(0)}, numbers())
    assert restored is not None
    assert restored.step == 1
    assert not partial.exists()


def test_a_damaged_checkpoint_is_one_clear_error(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, {"count": jnp.int32(1)}, numbers(1), {})
    checkpoints.close()
    for path in (tmp_path / "1" / "trainer_state").rglob("*"):
        path.unlink()
    with pytest.raises(RunError, match="cannot read checkpoint 1"):
        Checkpoints(tmp_path).restore({"count": jnp.int32(0)}, numbers())


@pytest.mark.slow
def test_a_full_disk_is_one_clear_error(tmp_path: Path) -> None:
    code = f"""
        import resource, signal
        import jax.numpy as jnp
        from pathlib import Path
        from segue.runs.checkpoints import Checkpoints
        from segue.errors import StorageError
        import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})
        from test_checkpoints import numbers
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        checkpoints = Checkpoints(Path({str(tmp_path / "checkpoints")!r}))
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
        try:
            checkpoints.save(1, {{"table": jnp.arange(100_000.0)}}, numbers(), {{}})
            checkpoints.close()
        except StorageError as error:
            print("storage:", error.message)
    """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False
    )
    assert ended.stdout.startswith("storage: cannot write a checkpoint"), ended.stderr
    assert ended.stderr == ""
    assert list((tmp_path / "checkpoints").iterdir()) == []


def test_a_folder_that_cannot_be_created_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file")
    with pytest.raises(StorageError, match="cannot write checkpoints"):
        Checkpoints(tmp_path / "file" / "checkpoints")


def test_weights_are_restored_by_name(tmp_path: Path) -> None:
    params = parameters()
    path, copy = tmp_path / "weights.safetensors", tmp_path / "copy.safetensors"
    write_weights(path, params, step=3)
    loaded = load_weights(path, parameters(seed=1))
    jax.tree.map(np.testing.assert_array_equal, loaded, params)
    write_weights(copy, loaded, step=3)
    assert copy.read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("change", "parameter"),
    [({"layers": 3}, "blocks.2"), ({"width": 16}, "attention"), ({"tied_output": False}, "output")],
)
def test_weights_of_another_model_are_refused(tmp_path: Path, change: dict, parameter: str) -> None:
    path = tmp_path / "weights.safetensors"
    write_weights(path, parameters(), step=1)
    with pytest.raises(RunError, match=f"do not belong to this model: .*{parameter}"):
        load_weights(path, parameters(MODEL.model_copy(update=change)))


@pytest.mark.parametrize("content", [b"", b"no tensors", b"\xff" * 100])
def test_damaged_weights_are_one_clear_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(content)
    with pytest.raises(RunError, match=r"weights\.safetensors is damaged"):
        load_weights(path, parameters())
