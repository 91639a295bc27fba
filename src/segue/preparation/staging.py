"""Atomic output folders: written under a temporary name and renamed when complete."""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from segue.dataset.manifest import DATASET_FILES, is_dataset
from segue.errors import DatasetError, StorageError
from segue.storage.temporary import removed_at_end

_PARTIAL = "partial"
_FORMER = "former"


@contextlib.contextmanager
def staged(output: Path) -> Iterator[Path]:
    """Yield an empty folder that becomes ``output`` if the block ends without an error.

    A dataset that is already in ``output`` is replaced only then; nothing else is ever replaced.
    Leftovers of a killed process are removed by the next one with the same output.

    Args:
        output: absolute path of the final folder.

    Raises:
        DatasetError: ``output`` is a file, or a folder with anything other than a dataset.
        StorageError: an ``OSError`` was raised inside: no space, no permission, a size limit.
    """
    _refuse_other_content(output)
    folder = _sibling(output, os.getpid(), _PARTIAL)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        _clear_abandoned(output)
        with removed_at_end(folder):
            folder.mkdir()
            yield folder
            _move(folder, output)
    except OSError as error:
        reason = error.strerror or str(error)
        hint = "free some space, or choose a folder that can be written"
        raise StorageError(f"cannot write {output}: {reason}", hint) from None


def _refuse_other_content(output: Path) -> None:
    hint = "choose another folder, or remove it first"
    if not output.exists():
        return
    if not output.is_dir():
        raise DatasetError(f"{output} is a file, expected a folder or nothing", hint)
    names = {path.name for path in output.iterdir()}
    if not names:
        return
    if not is_dataset(output):
        raise DatasetError(f"{output} is not empty and contains no readable dataset", hint)
    if other_names := sorted(names.difference(DATASET_FILES)):
        name = other_names[0]
        message = f"{output} contains {name} beside a dataset, and would be replaced as a whole"
        raise DatasetError(message, f"choose another folder, or move {name} elsewhere")


def _move(folder: Path, output: Path) -> None:
    """Rename ``folder`` to ``output``, replacing an existing folder."""
    if not output.exists():
        folder.rename(output)
        return
    former = _sibling(output, os.getpid(), _FORMER)
    try:
        output.rename(former)
        folder.rename(output)
    except BaseException:  # a signal, too, leaves the former dataset where it was
        if former.exists() and not output.exists():
            former.rename(output)
        raise
    with removed_at_end(former):
        pass


def _sibling(output: Path, process_id: int, state: str) -> Path:
    return output.parent / f".{output.name}.{process_id}.{state}"


def _clear_abandoned(output: Path) -> None:
    """Remove leftovers of ended processes; restore a dataset that one of them had renamed."""
    for folder in output.parent.glob(f".{glob.escape(output.name)}.*"):
        process_id, state = folder.name.removeprefix(f".{output.name}.").partition(".")[::2]
        if state not in (_PARTIAL, _FORMER) or not process_id.isdigit():
            continue
        if _is_running(int(process_id)):
            continue
        if state == _FORMER and not output.exists():
            folder.rename(output)
        else:
            shutil.rmtree(folder, ignore_errors=True)


def _is_running(process_id: int) -> bool:
    if process_id == os.getpid():
        return False
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
