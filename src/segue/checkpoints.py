"""Checkpoints: everything that a resumed run needs, and weights that outlive it.

Two formats, both owned here. A *checkpoint* is a step of a run (model, optimizer, position
in the data, what the trainer remembers); Orbax keeps them, and makes each atomic: one that
was cut short is not there. *Weights* are a model's parameters, for everyone else.

Arrays of both are in safetensors, from where they lie and back, since a table of millions of
items has no room for a copy beside it. Orbax's own arrays need one to be written and one to
be read; and while they are written in the background, the next step cannot update a table in
place and makes a third.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import grain
import jax
import orbax.checkpoint as ocp
from flax import nnx

from segue.errors import RunError, StorageError
from segue.files import replace_file
from segue.tensors import OtherArraysError, read_tensors, write_tensors

KEEP = 2
"""Checkpoints kept: the last one, and the one before in case the last is damaged."""

STATE = "arrays.safetensors"
"""What the arrays of a checkpoint are in, in its folder ``state``."""


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
        """Save; a crash before it is complete leaves the one before.

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
            state=_Save(state),
            data=grain.checkpoint.CheckpointSave(data),
            progress=ocp.args.JsonSave(progress),
        )
        with _storage_errors():
            self._manager.save(step, args=items)

    def restore(self, state: Any, data: grain.DatasetIterator) -> Restored | None:
        """Read the newest checkpoint, and set ``data`` to where it was; None if there is none.

        Args:
            state: a tree like the saved one, of arrays or of what has their shape and dtype.

        Raises:
            RunError: the checkpoint does not fit the run or is damaged.
        """
        step = self._manager.latest_step()
        if step is None:
            return None
        items = ocp.args.Composite(
            state=_Restore(state),
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


class _State(ocp.CheckpointHandler):
    """How Orbax writes and reads a tree of arrays."""

    def save(self, directory: Any, args: _Save) -> None:
        write_tensors(Path(directory) / STATE, _by_path(args.item))

    def restore(self, directory: Any, args: _Restore) -> Any:
        found = read_tensors(Path(directory) / STATE, _by_path(args.item))
        return jax.tree.unflatten(jax.tree.structure(args.item), found.values())


@ocp.args.register_with_handler(_State, for_save=True)
@dataclass
class _Save(ocp.args.CheckpointArgs):
    item: Any


@ocp.args.register_with_handler(_State, for_restore=True)
@dataclass
class _Restore(ocp.args.CheckpointArgs):
    item: Any


def _by_path(tree: Any) -> dict[str, Any]:
    """The leaves of a tree, in its order, each by the path to it."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}


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


def write_weights(path: Path, params: nnx.State, step: int) -> None:
    """Write a model's parameters as a safetensors file; the same ones, the same bytes.

    Raises:
        StorageError: no space, no permission; an older file is still there.
    """
    arrays = {name: leaf[...] for name, leaf in _named(params).items()}
    replace_file(path, lambda partial: write_tensors(partial, arrays, {"step": str(step)}))


def load_weights(path: Path, params: nnx.State) -> nnx.State:
    """Parameters read from a safetensors file.

    Args:
        params: a state of the same model, of arrays or of what has their shape and dtype.

    Raises:
        RunError: the file is damaged, or names or shapes differ from the model's.
    """
    try:
        arrays = read_tensors(path, _named(params))
    except OtherArraysError as error:
        raise RunError(
            f"weights {path} are not of this model: {error}",
            "config.json and weights.safetensors must come from the same run",
        ) from None
    except (OSError, ValueError) as error:
        message = f"cannot read weights {path}: {_first_line(error)}"
        raise RunError(message, "restore the file, or train again") from None
    return nnx.from_flat_state(
        [(path, leaf.replace(arrays[_name(path)])) for path, leaf in nnx.to_flat_state(params)]
    )


def _name(path: tuple[Any, ...]) -> str:
    """A parameter's path in the model, as ``blocks.0.attention.project_in.kernel``."""
    return ".".join(map(str, path))


def _named(params: nnx.State) -> dict[str, Any]:
    return {_name(path): leaf for path, leaf in nnx.to_flat_state(params)}
