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

from segue.checkpoints import Checkpoints, load_weights, write_weights
from segue.config import ModelConfig
from segue.errors import RunError, StorageError
from segue.model import Transformer

MODEL = ModelConfig(layers=2, heads=2, width=8, feed_forward=16, context=4)


class Numbers:
    """A source whose batch is its own number."""

    def __len__(self) -> int:
        return 100

    def __getitem__(self, index: int) -> np.ndarray:
        return np.full(3, index)


def numbers() -> grain.DatasetIterator:
    reading = grain.ReadOptions(num_threads=1, prefetch_buffer_size=4)
    return iter(grain.MapDataset.source(Numbers()).to_iter_dataset(reading))


def parameters(config: ModelConfig = MODEL, seed: int = 0) -> nnx.State:
    return nnx.split(Transformer(config, 20, rngs=nnx.Rngs(seed)))[1]


def test_everything_comes_back(tmp_path: Path) -> None:
    saved, data = Checkpoints(tmp_path), numbers()
    state = {"params": parameters(), "count": jnp.int32(7)}
    for _ in range(5):
        next(data)
    saved.save(5, state, data, {"best": 0.25, "skipped": [3]})
    saved.finish()

    fresh = numbers()
    blank = jax.tree.map(jnp.zeros_like, state)
    restored = Checkpoints(tmp_path).restore(blank, fresh)
    assert restored is not None
    assert restored.step == 5
    assert restored.progress == {"best": 0.25, "skipped": [3]}
    jax.tree.map(np.testing.assert_array_equal, restored.state, state)
    assert next(fresh).tolist() == [5, 5, 5]


def test_the_newest_is_restored_and_old_ones_go(tmp_path: Path) -> None:
    saved, data = Checkpoints(tmp_path), numbers()
    for step in (1, 2, 3):
        saved.save(step, {"count": jnp.int32(step)}, data, {})
    saved.finish()
    restored = Checkpoints(tmp_path).restore({"count": jnp.int32(0)}, numbers())
    assert restored is not None
    assert restored.step == int(restored.state["count"]) == 3
    assert sorted(int(path.name) for path in tmp_path.iterdir()) == [2, 3]


def test_nothing_saved_is_nothing_restored(tmp_path: Path) -> None:
    assert Checkpoints(tmp_path).restore({"count": jnp.int32(0)}, numbers()) is None


def test_a_half_written_checkpoint_is_not_there(tmp_path: Path) -> None:
    saved = Checkpoints(tmp_path)
    saved.save(1, {"count": jnp.int32(1)}, numbers(), {})
    saved.finish()
    half = tmp_path / "2.orbax-checkpoint-tmp"
    (half / "state").mkdir(parents=True)
    restored = Checkpoints(tmp_path).restore({"count": jnp.int32(0)}, numbers())
    assert restored is not None
    assert restored.step == 1
    assert not half.exists()


def test_a_damaged_checkpoint_is_one_clear_error(tmp_path: Path) -> None:
    saved = Checkpoints(tmp_path)
    saved.save(1, {"count": jnp.int32(1)}, numbers(), {})
    saved.finish()
    for path in (tmp_path / "1" / "progress").rglob("*"):
        path.unlink()
    with pytest.raises(RunError, match="checkpoint 1 cannot be read"):
        Checkpoints(tmp_path).restore({"count": jnp.int32(0)}, numbers())


def test_a_full_disk_is_one_clear_error(tmp_path: Path) -> None:
    code = f"""
        import resource, signal
        import jax.numpy as jnp
        from pathlib import Path
        from segue.checkpoints import Checkpoints
        from segue.errors import StorageError
        import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})
        from test_checkpoints import numbers
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        saved = Checkpoints(Path({str(tmp_path / "checkpoints")!r}))
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
        try:
            saved.save(1, {{"table": jnp.arange(100_000.0)}}, numbers(), {{}})
            saved.finish()
        except StorageError as error:
            print("storage:", error.message)
    """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False
    )
    assert ended.stdout.startswith("storage: a checkpoint could not be written"), ended.stderr
    assert ended.stderr == ""
    assert list((tmp_path / "checkpoints").iterdir()) == []


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="cannot write checkpoints"):
        Checkpoints(tmp_path / "file" / "checkpoints")


def test_weights_come_back_by_name(tmp_path: Path) -> None:
    params = parameters()
    path, again = tmp_path / "weights.safetensors", tmp_path / "again.safetensors"
    write_weights(path, params, step=3)
    loaded = load_weights(path, parameters(seed=1))
    jax.tree.map(np.testing.assert_array_equal, loaded, params)
    write_weights(again, loaded, step=3)
    assert again.read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("change", "named"),
    [({"layers": 3}, "blocks.2"), ({"width": 16}, "attention"), ({"tied_output": False}, "output")],
)
def test_weights_of_another_model_are_refused(tmp_path: Path, change: dict, named: str) -> None:
    path = tmp_path / "weights.safetensors"
    write_weights(path, parameters(), step=1)
    with pytest.raises(RunError, match=f"not of this model: .*{named}"):
        load_weights(path, parameters(MODEL.model_copy(update=change)))


@pytest.mark.parametrize("content", [b"", b"no tensors", b"\xff" * 100])
def test_damaged_weights_are_one_clear_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(content)
    with pytest.raises(RunError, match="cannot read weights"):
        load_weights(path, parameters())
