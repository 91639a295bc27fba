"""Part files of a batch: what is computed so far, from which an interrupted batch continues.

The folder ``OUTPUT.partial`` has ``header.json``, which says of what the parts are, and one Arrow
file per part, with a row per request and item indices instead of ids. Each file is written under a
temporary name and renamed, so every file that exists is complete.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pyarrow as pa

from segue.errors import RequestError, StorageError
from segue.storage.atomic import partial_path, replace_file
from segue.storage.locks import locked_folder
from segue.storage.reading import Problems, read_json

HEADER = "header.json"
_SUFFIX = ".arrow"
_PROBLEMS = Problems(RequestError, "delete the folder, or give --overwrite (overwrite=True)")


def part_schema(id_field: pa.Field) -> pa.Schema:
    """The columns of a part.

    Args:
        id_field: name and type of the ids of the rows.
    """
    return pa.schema(
        [
            id_field.with_name("id"),
            ("items", pa.list_(pa.int32())),
            ("scores", pa.list_(pa.float32())),
            ("probabilities", pa.list_(pa.float32())),
            ("events", pa.int64()),
            ("unknown_items", pa.list_(pa.string())),
            ("truncated", pa.int64()),
            ("notes", pa.list_(pa.string())),
        ]
    )


class PartFiles:
    """The folder of the parts of one output."""

    def __init__(self, output: Path) -> None:
        """Name the folder; nothing is read."""
        self.path = partial_path(output)
        self._header = self.path / HEADER

    def read_header(self) -> dict[str, Any] | None:
        """The header; None if there is none.

        Raises:
            RequestError: it is damaged.
        """
        return read_json(self._header, _PROBLEMS) if self._header.exists() else None

    def start(self, header: Mapping[str, Any]) -> None:
        """Remove what is there, and begin with a header.

        Raises:
            StorageError: the folder has other files, or cannot be written.
        """
        self.clear()
        content = json.dumps(header).encode()
        replace_file(self._header, lambda partial: partial.write_bytes(content))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Create the folder if necessary, and lock it against other processes.

        If nothing is in it at the end, it is removed.

        Raises:
            StorageError: another process writes there, or the folder cannot be created.
        """
        try:
            self.path.mkdir(exist_ok=True)
        except OSError as error:
            message = f"cannot create {self.path}: {error.strerror or error}"
            raise StorageError(message, "choose another output") from None
        with locked_folder(self.path) as is_locked:
            if not is_locked:
                message = f"another process writes to {self.path}"
                raise StorageError(message, "wait until it has ended, or choose another output")
            try:
                yield
            finally:
                with suppress(OSError):
                    self.path.rmdir()

    def write(self, number: int, part: pa.Table) -> None:
        """Write a part.

        Raises:
            StorageError: no space or no permission.
        """
        options = pa.ipc.IpcWriteOptions(compression="lz4")

        def write(partial: Path) -> None:
            with pa.ipc.new_file(str(partial), part.schema, options=options) as writer:
                writer.write_table(part)

        replace_file(self._file(number), write)

    def read(self, number: int) -> pa.Table | None:
        """A part; None if it does not exist or is damaged, as by a loss of power."""
        try:
            with pa.OSFile(str(self._file(number))) as source:
                return pa.ipc.open_file(source).read_all()
        except (OSError, pa.ArrowException):
            return None

    def remove(self) -> None:
        """Remove the folder, the header first."""
        self._header.unlink(missing_ok=True)
        shutil.rmtree(self.path, ignore_errors=True)

    def clear(self) -> None:
        """Remove all files, the header first.

        Raises:
            StorageError: there are other files than those of a batch.
        """
        names = sorted(path.name for path in self.path.iterdir())
        unexpected = [name for name in names if not _is_own(name)]
        if unexpected:
            message = f"{self.path} has other files than those of a batch: {unexpected[0]}"
            raise StorageError(message, "choose another output")
        self._header.unlink(missing_ok=True)  # first: without it, the parts are not valid
        for name in names:
            (self.path / name).unlink(missing_ok=True)

    def _file(self, number: int) -> Path:
        return self.path / f"{number:06}{_SUFFIX}"


def _is_own(name: str) -> bool:
    stem = name.removesuffix(".partial")
    return stem in (HEADER, "output", "notes") or stem.endswith(_SUFFIX)


def rename(source: Path, target: Path) -> None:
    """Rename a file over another one.

    Raises:
        StorageError: not permitted.
    """
    try:
        source.replace(target)
    except OSError as error:
        message = f"cannot write {target}: {error.strerror or error}"
        raise StorageError(message, "choose another output") from None
