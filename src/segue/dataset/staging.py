"""All or nothing: a folder is written beside its place, and moved there when complete."""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from segue.dataset.manifest import DATASET_FILES, is_dataset
from segue.errors import DatasetError, StorageError

_PARTIAL = "partial"
_FORMER = "former"


@contextlib.contextmanager
def staged(output: Path) -> Iterator[Path]:
    """Yield an empty folder that becomes ``output`` if the block ends without an error.

    A dataset that ``output`` holds already stays until then, and is then replaced; nothing
    else is ever replaced. What a killed process left behind is cleared by the next one with
    the same output.

    Args:
        output: absolute path of the folder to be.

    Raises:
        DatasetError: ``output`` is a file, or a folder with something other than a dataset,
            or with a dataset and something besides.
        StorageError: an ``OSError`` came up inside: no space, no permission, a limit.
    """
    _refuse_foreign(output)
    folder = _sibling(output, os.getpid(), _PARTIAL)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        _clear_abandoned(output)
        folder.mkdir()
        yield folder
        _move(folder, output)
    except OSError as error:
        reason = error.strerror or str(error)
        hint = "free some space, or choose a folder that can be written"
        raise StorageError(f"cannot write {output}: {reason}", hint) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _refuse_foreign(output: Path) -> None:
    hint = "choose another folder, or remove it first"
    if not output.exists():
        return
    if not output.is_dir():
        raise DatasetError(f"{output} is a file, expected a folder or nothing", hint)
    found = {path.name for path in output.iterdir()}
    if not found:
        return
    if not is_dataset(output):
        raise DatasetError(f"{output} is not empty, and holds no dataset that can be read", hint)
    if others := sorted(found.difference(DATASET_FILES)):
        message = f"{output} holds {others[0]} beside a dataset, and would be replaced as a whole"
        raise DatasetError(message, f"choose another folder, or move {others[0]} elsewhere")


def _move(folder: Path, output: Path) -> None:
    """Put ``folder`` in the place of ``output``, which may be there already."""
    if not output.exists():
        folder.rename(output)
        return
    former = _sibling(output, os.getpid(), _FORMER)
    output.rename(former)
    try:
        folder.rename(output)
    except OSError:
        former.rename(output)
        raise
    shutil.rmtree(former, ignore_errors=True)


def _sibling(output: Path, process: int, state: str) -> Path:
    return output.parent / f".{output.name}.{process}.{state}"


def _clear_abandoned(output: Path) -> None:
    """Clear what processes that are gone left; a dataset that they only moved away comes back."""
    for folder in output.parent.glob(f".{glob.escape(output.name)}.*"):
        process, state = folder.name.removeprefix(f".{output.name}.").partition(".")[::2]
        if state not in (_PARTIAL, _FORMER) or not process.isdigit() or _is_running(int(process)):
            continue
        if state == _FORMER and not output.exists():
            folder.rename(output)
        else:
            shutil.rmtree(folder, ignore_errors=True)


def _is_running(process: int) -> bool:
    if process == os.getpid():
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
