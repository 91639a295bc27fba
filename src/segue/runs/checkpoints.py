"""Checkpoints: save and restore everything that a resumed run needs, with Orbax.

A checkpoint contains the parameters, the optimizer state, the position in the training data and
the trainer state. It needs no random state: a batch depends only on the seed and its number, and
the random draws of a step only on the seed and the step number. So a resumed run ends with the
same bits as one that was never stopped. Orbax manages the folders and makes each checkpoint
atomic: a partial checkpoint is never restored. The weights for serving are in another file: see
``segue.runs.weights``.

The arrays are written as safetensors, without a copy in memory, because the embeddings of
millions of items leave no memory for one. Orbax's own array handler copies the state once to
write it and once to read it. If it writes in the background, the next step cannot update the
embeddings in place and makes a third copy. So ``save`` is synchronous: when it returns, the
checkpoint is complete or has failed.
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

from segue.errors import RunError, StorageError
from segue.storage.array_files import write_arrays
from segue.storage.arrays import read_arrays
from segue.storage.reading import (
    Problems,
    exists,
    finite_json,
    one_line,
    read_json,
    regular_size,
)

MAX_CHECKPOINTS = 2
"""Number of checkpoints kept: the newest, and the one before it in case the newest is damaged."""

ARRAYS_FILE = "arrays.safetensors"
"""Name of the file with the arrays, in the folder ``state`` of a checkpoint."""

PARTIAL_CHECKPOINTS = "*.orbax-checkpoint-tmp"
"""Pattern of the folders of interrupted checkpoints."""


_PROBLEMS = Problems(
    RunError,
    "delete the newest folder in checkpoints to resume from the previous one, or train again",
)

_JSON_FILES = ("metadata", "_CHECKPOINT_METADATA")
"""Names of the JSON files of a checkpoint without the suffix ``.json``."""

_DAMAGE = (ValueError, TypeError, LookupError, AttributeError, AssertionError, OSError)
_DAMAGE += (OverflowError, RecursionError)
"""What Orbax and Grain raise for a damaged folder. Not a lack of memory, which is reported as
such."""


def _is_not_orbax_traceback(record: logging.LogRecord) -> bool:
    """Drop the tracebacks that Orbax logs for errors that it also raises.

    Such a record is some forty lines long; the user sees one line, of the raised error.
    """
    return record.exc_info is None or "orbax" not in Path(record.pathname).parts


logging.getLogger("absl").addFilter(_is_not_orbax_traceback)


class RestoredCheckpoint(NamedTuple):
    """The content of a checkpoint.

    Attributes:
        step: number of the step after which it was saved.
        state: the tree of arrays.
        trainer_state: other values of the trainer, as JSON.
    """

    step: int
    state: Any
    trainer_state: dict[str, Any]


class Checkpoints:
    """Saves the checkpoints of one run and restores the newest."""

    def __init__(self, folder: Path) -> None:
        """Open the folder of the checkpoints; create it if necessary.

        Raises:
            StorageError: the folder cannot be created or written.
            RunError: it has anything but folders and files in it, or Orbax cannot read it.
        """
        options = ocp.CheckpointManagerOptions(
            max_to_keep=MAX_CHECKPOINTS, create=True, enable_async_checkpointing=False
        )
        self._folder = folder
        try:
            self._remove_partial()
            _check_files(folder)
            self._manager = ocp.CheckpointManager(folder.absolute(), options=options)
        except _DAMAGE as error:
            if not isinstance(error, OSError):
                raise _PROBLEMS.damaged(folder, error) from None
            message = f"cannot write checkpoints to {folder}: {error.strerror}"
            raise StorageError(message, "free some space, then continue with --resume") from None

    def save(
        self, step: int, state: Any, data: grain.DatasetIterator, trainer_state: dict[str, Any]
    ) -> None:
        """Save a checkpoint, unless one of this step exists.

        If it fails or the process ends before it is complete, the previous checkpoint remains.

        Args:
            step: number of steps taken.
            state: a tree of arrays.
            data: the iterator over training batches, from which as many were taken; its position
                is saved.
            trainer_state: other values that the trainer needs, as JSON.

        Raises:
            StorageError: the checkpoint cannot be written.
        """
        if step in self._manager.all_steps():
            return
        items = ocp.args.Composite(
            state=_SaveArrays(state),
            data=grain.checkpoint.CheckpointSave(data),
            trainer_state=_SaveJson(trainer_state),
        )
        try:
            self._manager.save(step, args=items)
        except OSError as error:
            self._remove_partial()
            raise StorageError(
                f"cannot write a checkpoint: {one_line(error, 200)}",
                "free some space, then continue with --resume",
            ) from None

    def restore(self, state: Any, data: grain.DatasetIterator) -> RestoredCheckpoint | None:
        """Read the newest checkpoint.

        Args:
            state: a tree of the same structure as the saved one; its leaves have the ``shape``
                and ``dtype`` of the saved arrays.
            data: the iterator over training batches; it is set to the saved position.

        Returns:
            The checkpoint, or None if there is none.

        Raises:
            RunError: the checkpoint is damaged, or its arrays are not those of the run.
        """
        step = self._manager.latest_step()
        if step is None:
            return None
        items = ocp.args.Composite(
            state=_RestoreArrays(state),
            data=grain.checkpoint.CheckpointRestore(data),
            trainer_state=_RestoreJson(),
        )
        try:
            _check_position(self._folder / str(step), step)
            restored = self._manager.restore(step, args=items)
        except (*_DAMAGE, RunError) as error:
            reason = error.message if isinstance(error, RunError) else error
            raise RunError(
                f"cannot read checkpoint {step}: {one_line(reason)}",
                f"delete the folder checkpoints/{step} to resume from the previous checkpoint",
            ) from None
        return RestoredCheckpoint(step, restored["state"], restored["trainer_state"])

    def close(self) -> None:
        """Close Orbax's checkpoint manager."""
        self._manager.close()

    def _remove_partial(self) -> None:
        """Remove interrupted checkpoints, which only take space."""
        for path in self._folder.glob(PARTIAL_CHECKPOINTS):
            shutil.rmtree(path, ignore_errors=True)


# Orbax runs the save method of a synchronous handler in a thread. If it fails, Orbax does not clean
# up the other tasks of the save. The async_save methods below write and fail at once instead.


class _ArraysHandler(ocp.AsyncCheckpointHandler):
    """Writes and reads a tree of arrays for Orbax."""

    def save(self, directory: Any, args: _SaveArrays) -> None:
        write_arrays(Path(directory) / ARRAYS_FILE, _leaves_by_path(args.item))

    async def async_save(self, directory: Any, args: _SaveArrays) -> None:
        self.save(directory, args)

    def restore(self, directory: Any, args: _RestoreArrays) -> Any:
        arrays = read_arrays(Path(directory) / ARRAYS_FILE, _leaves_by_path(args.item), _PROBLEMS)
        return jax.tree.unflatten(jax.tree.structure(args.item), arrays.values())


@ocp.args.register_with_handler(_ArraysHandler, for_save=True)
@dataclass
class _SaveArrays(ocp.args.CheckpointArgs):
    item: Any


@ocp.args.register_with_handler(_ArraysHandler, for_restore=True)
@dataclass
class _RestoreArrays(ocp.args.CheckpointArgs):
    item: Any


class _JsonHandler(ocp.JsonCheckpointHandler):
    """Writes and reads JSON for Orbax."""

    async def async_save(self, directory: Any, item: Any = None, args: Any = None) -> None:
        del item  # an argument of Orbax's older interface
        (Path(directory) / "metadata").write_text(json.dumps(finite_json(args.item)))


@ocp.args.register_with_handler(_JsonHandler, for_save=True)
@dataclass
class _SaveJson(ocp.args.JsonSave):
    pass


@ocp.args.register_with_handler(_JsonHandler, for_restore=True)
@dataclass
class _RestoreJson(ocp.args.JsonRestore):
    pass


def _check_files(folder: Path) -> None:
    """Check that everything in the folder is a folder or a regular file, and every JSON file small.

    Orbax opens what it finds, and would wait for a pipe.

    Raises:
        RunError: something is not.
    """
    for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
        if path.is_dir():
            continue
        if path.name in _JSON_FILES or path.suffix == ".json":
            read_json(path, _PROBLEMS)
        else:
            regular_size(path, _PROBLEMS)


def _check_position(folder: Path, step: int) -> None:
    """Check that the data iterator and the trainer state of a checkpoint belong to its step.

    Raises:
        RunError: they do not, so the resumed run would end with other weights.
    """
    keys = {"data/process_0-of-1.json": "next_index", "trainer_state/metadata": "step"}
    for name, key in keys.items():
        if not exists(folder / name):
            continue  # Orbax names the files; what is missing, it reports
        value = read_json(folder / name, _PROBLEMS).get(key, step)
        if type(value) is not int or value != step:
            raise _PROBLEMS.damaged(folder / name, f"{key} is {value!r}, expected {step}")


def _leaves_by_path(tree: Any) -> dict[str, Any]:
    """The leaves of a tree by their dotted paths, in the order of the tree."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}
