"""Checkpoints: everything that a resumed run needs, and weights that outlive it.

Two formats, both owned here. A *checkpoint* is a step of a run (model, optimizer, position
in the data, what the trainer remembers), written by Orbax and atomic: one that was cut
short is not there. *Weights* are named arrays in safetensors, for everyone else.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import grain
import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from flax import nnx
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from segue.errors import RunError, StorageError

KEEP = 2
"""Checkpoints kept: the last one, and the one before in case the last is damaged."""


class Restored(NamedTuple):
    """A checkpoint, read back."""

    step: int
    state: Any
    progress: dict[str, Any]


class Checkpoints:
    """The checkpoints of one run, newest first to be restored."""

    def __init__(self, folder: Path) -> None:
        options = ocp.CheckpointManagerOptions(max_to_keep=KEEP, create=True)
        try:
            self._manager = ocp.CheckpointManager(folder.absolute(), options=options)
        except OSError as error:
            message = f"cannot write checkpoints to {folder}: {error.strerror}"
            raise StorageError(message, "free some space, then continue with --resume") from None

    def save(
        self, step: int, state: Any, data: grain.DatasetIterator, progress: dict[str, Any]
    ) -> None:
        """Save in the background; a crash before it is complete leaves the one before.

        Args:
            state: a tree of arrays.
            data: the iterator over training batches; its position is saved.
            progress: what else the trainer needs, as JSON.

        Raises:
            StorageError: this save or the one before it could not be written.
        """
        if step in self._manager.all_steps():
            return
        items = ocp.args.Composite(
            state=ocp.args.StandardSave(state),
            data=grain.checkpoint.CheckpointSave(data),
            progress=ocp.args.JsonSave(progress),
        )
        with _storage_errors():
            self._manager.save(step, args=items)

    def restore(self, state: Any, data: grain.DatasetIterator) -> Restored | None:
        """Read the newest checkpoint, and set ``data`` to where it was; None if there is none.

        Args:
            state: a tree like the saved one; its arrays give shapes and placement.

        Raises:
            RunError: the checkpoint does not fit the run or is damaged.
        """
        step = self._manager.latest_step()
        if step is None:
            return None
        items = ocp.args.Composite(
            state=ocp.args.StandardRestore(jax.tree.map(ocp.utils.to_shape_dtype_struct, state)),
            data=grain.checkpoint.CheckpointRestore(data),
            progress=ocp.args.JsonRestore(),
        )
        try:
            restored = self._manager.restore(step, args=items)
        except (ValueError, KeyError, OSError) as error:
            raise RunError(
                f"checkpoint {step} cannot be read: {_first_line(error)}",
                f"delete the folder checkpoints/{step} to resume from the one before",
            ) from None
        return Restored(step, restored["state"], restored["progress"])

    def finish(self) -> None:
        """Wait until everything is on disk, and let go of the folder.

        Raises:
            StorageError: the last save could not be written.
        """
        with _storage_errors():
            self._manager.wait_until_finished()
            self._manager.close()


@contextmanager
def _storage_errors() -> Iterator[None]:
    """Turn what a full disk does to a save into one clear error."""
    try:
        yield
    except (OSError, ValueError) as error:  # ValueError: TensorStore's word for a full disk
        raise StorageError(
            f"a checkpoint could not be written: {_first_line(error)}",
            "free some space, then continue with --resume",
        ) from None


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n", 1)[0][:200]


def weights_bytes(params: nnx.State, step: int) -> bytes:
    """A model's parameters as the bytes of a safetensors file; the same ones, the same bytes."""
    arrays = {name: np.asarray(leaf[...]) for name, leaf in _named(params).items()}
    # One key of metadata only: safetensors writes several in an order of chance.
    return save(arrays, metadata={"step": str(step)})


def load_weights(path: Path, params: nnx.State) -> nnx.State:
    """Parameters read from a safetensors file.

    Args:
        params: a state of the same model, whose values are replaced in the copy returned.

    Raises:
        RunError: the file is damaged, or names or shapes differ from the model's.
    """
    try:
        arrays = load_file(path)
    except (OSError, SafetensorError) as error:
        message = f"cannot read weights {path}: {_first_line(error)}"
        raise RunError(message, "restore the file, or train again") from None
    names = _named(params)
    wrong = sorted(names.keys() ^ arrays.keys()) or [
        name for name in names if names[name].shape != arrays[name].shape
    ]
    if wrong:
        raise RunError(
            f"weights {path} are not of this model: {wrong[0]!r} is missing or has another shape",
            "config.json and weights.safetensors must come from the same run",
        )
    return nnx.from_flat_state(
        [
            (path, leaf.replace(jnp.asarray(arrays[_name(path)])))
            for path, leaf in nnx.to_flat_state(params)
        ]
    )


def _name(path: tuple[Any, ...]) -> str:
    """A parameter's path in the model, as ``blocks.0.attention.project_in.kernel``."""
    return ".".join(map(str, path))


def _named(params: nnx.State) -> dict[str, Any]:
    return {_name(path): leaf for path, leaf in nnx.to_flat_state(params)}
