"""Checkpoints: everything that a resumed run needs, and weights that outlive it.

Two formats, both owned here. A *checkpoint* is a step of a run (model, optimizer, position
in the data, what the trainer remembers); Orbax keeps them, and makes each atomic: one that
was cut short is not there. *Weights* are a model's parameters, for everyone else.

Arrays of both are in safetensors, from where they lie and back, since a table of millions of
items has no room for a copy beside it. Orbax's own arrays need one to be written and one to
be read; and while they are written in the background, the next step cannot update a table in
place and makes a third. So a checkpoint is complete, or has failed, when ``save`` returns.
"""

from __future__ import annotations

import json
import logging
import shutil
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

CUT_SHORT = "*.orbax-checkpoint-tmp"
"""Folders of checkpoints that were cut short."""


def _is_news(record: logging.LogRecord) -> bool:
    """Whether nobody is told but by the log: Orbax logs the traceback of an error that it
    raises as well, forty lines where a user should read one."""
    return record.exc_info is None or "orbax" not in Path(record.pathname).parts


logging.getLogger("absl").addFilter(_is_news)


class Restored(NamedTuple):
    """A checkpoint, read back."""

    step: int
    state: Any
    progress: dict[str, Any]


class Checkpoints:
    """The checkpoints of one run, newest first to be restored."""

    def __init__(self, folder: Path) -> None:
        options = ocp.CheckpointManagerOptions(
            max_to_keep=KEEP, create=True, enable_async_checkpointing=False
        )
        self._folder = folder
        try:
            self._clear()
            self._manager = ocp.CheckpointManager(folder.absolute(), options=options)
        except OSError as error:
            message = f"cannot write checkpoints to {folder}: {error.strerror}"
            raise StorageError(message, "free some space, then continue with --resume") from None

    def save(
        self, step: int, state: Any, data: grain.DatasetIterator, progress: dict[str, Any]
    ) -> None:
        """Save; a crash before it is complete leaves the one before, and so does an error.

        Args:
            state: a tree of arrays.
            data: the iterator over training batches; its position is saved.
            progress: what else the trainer needs, as JSON.

        Raises:
            StorageError: it could not be written.
        """
        if step in self._manager.all_steps():
            return
        items = ocp.args.Composite(
            state=_Save(state),
            data=grain.checkpoint.CheckpointSave(data),
            progress=_SaveJson(progress),
        )
        try:
            self._manager.save(step, args=items)
        except OSError as error:
            self._clear()
            raise StorageError(
                f"a checkpoint could not be written: {_first_line(error)}",
                "free some space, then continue with --resume",
            ) from None

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
            progress=_RestoreJson(),
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
        """Let go of the folder."""
        self._manager.close()

    def _clear(self) -> None:
        """Remove what was cut short: it is of no use, and takes space that may be wanted."""
        for left in self._folder.glob(CUT_SHORT):
            shutil.rmtree(left, ignore_errors=True)


# Orbax hands to a thread what a handler writes that is not asynchronous, and forgets what it
# has begun beside it when that fails. These write at once, and fail at once.


class _State(ocp.AsyncCheckpointHandler):
    """How Orbax writes and reads a tree of arrays."""

    def save(self, directory: Any, args: _Save) -> None:
        write_tensors(Path(directory) / STATE, _by_path(args.item))

    async def async_save(self, directory: Any, args: _Save) -> None:
        self.save(directory, args)

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


class _Json(ocp.JsonCheckpointHandler):
    """How Orbax writes and reads what can be JSON."""

    async def async_save(self, directory: Any, item: Any = None, args: Any = None) -> None:
        del item  # of an older interface
        (Path(directory) / "metadata").write_text(json.dumps(args.item))


@ocp.args.register_with_handler(_Json, for_save=True)
@dataclass
class _SaveJson(ocp.args.JsonSave):
    pass


@ocp.args.register_with_handler(_Json, for_restore=True)
@dataclass
class _RestoreJson(ocp.args.JsonRestore):
    pass


def _by_path(tree: Any) -> dict[str, Any]:
    """The leaves of a tree, in its order, each by the path to it."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}


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
