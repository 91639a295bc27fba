"""Where the slices of a Million Playlist Dataset are: in a folder, in one file, in the zip."""

from __future__ import annotations

import hashlib
import re
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from segue.errors import SourceError

_SLICE_NAME = re.compile(r"mpd\.slice\.(\d+).*\.json")
_CHECKSUM_LINE = re.compile(r"([0-9a-fA-F]{32})\s+\*?(\S.*)")
_CHECKSUMS = "md5sums"

_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)
"""A damaged entry, one packed in an unknown way, or one with a password."""


class SliceFile(NamedTuple):
    """One file of the dataset, wherever it lies.

    Attributes:
        name: its own name, without folders.
        size: bytes, unpacked.
        place: its path, or its entry in the zip.
    """

    name: str
    size: int
    place: str

    @property
    def number(self) -> int | None:
        """The first playlist that the name of a slice promises; none for other files."""
        match = _SLICE_NAME.fullmatch(self.name)
        return int(match[1]) if match else None


class SliceFiles:
    """The slices of a dataset, and their checksums where ``md5sums`` lies beside them.

    Attributes:
        slices: in the order of their numbers, not of their names as text.
        checksums: hexadecimal MD5 by the name of the slice.
    """

    def __init__(self, path: Path) -> None:
        """Find the slices; nothing is read but names, sizes and checksums.

        Args:
            path: a folder of slices or with ``data/`` inside, one slice, or the zip.

        Raises:
            SourceError: nothing is there, or no slice in it.
        """
        self._path = path
        files = _list_files(path)
        self.slices = _slices_of(files)
        if path.is_file() and not _is_zip(path):
            self.slices = files  # one slice, which may have any name
        if not self.slices:
            hint = "expected mpd.slice.0-999.json and so on, there or in its folder data"
            raise SourceError(f"no playlist slice in {path}", hint)
        self.checksums: dict[str, str] = {}
        for file in files:
            if file.name == _CHECKSUMS:
                self.checksums |= _parse_checksums(self._bytes(file))

    def missing(self) -> list[str]:
        """Names that ``md5sums`` lists and that are not there."""
        return sorted(self.checksums.keys() - {file.name for file in self.slices})

    def read(self, file: SliceFile) -> bytes:
        """The text of a slice.

        Raises:
            SourceError: it cannot be read, or differs from its checksum.
        """
        data = self._bytes(file)
        expected = self.checksums.get(file.name)
        if expected is None:
            return data
        found = hashlib.md5(data, usedforsecurity=False).hexdigest()
        if found != expected:
            message = f"{file.name} has the MD5 checksum {found}, {_CHECKSUMS} says {expected}"
            raise SourceError(message, "the file is damaged or was changed: get it again")
        return data

    def _bytes(self, file: SliceFile) -> bytes:
        try:
            if not _is_zip(self._path):
                return Path(file.place).read_bytes()
            with zipfile.ZipFile(self._path) as archive:
                return archive.read(file.place)
        except OSError as error:
            message = f"cannot read {file.place}: {error.strerror or error}"
            raise SourceError(message, "may you read it?") from None
        except _ZIP_ERRORS as error:
            message = f"cannot unpack {file.place} from {self._path}: {error}"
            raise SourceError(message, "the zip is damaged: get it again") from None


def holds_slices(path: Path) -> bool:
    """Whether there is a slice, known by its name, at a path or in the folder or zip there."""
    try:
        return bool(_slices_of(_list_files(path)))
    except SourceError:
        return False


def _slices_of(files: list[SliceFile]) -> list[SliceFile]:
    numbered = [(file.number, file) for file in files if file.number is not None]
    return [file for _, file in sorted(numbered)]


def _is_zip(path: Path) -> bool:
    return path.suffix.lower() == ".zip" or (path.is_file() and zipfile.is_zipfile(path))


def _list_files(path: Path) -> list[SliceFile]:
    """What could be a slice or the checksums: the file, or what the folder or zip holds."""
    try:
        if path.is_dir():
            found = [file for file in (*path.iterdir(), *path.glob("data/*")) if file.is_file()]
        elif _is_zip(path):
            return _list_zip(path)
        else:
            found = [path]
        return [SliceFile(file.name, file.stat().st_size, str(file)) for file in found]
    except OSError as error:
        message = f"cannot read {path}: {error.strerror or error}"
        raise SourceError(message, "may you read it?") from None
    except _ZIP_ERRORS as error:
        raise SourceError(f"{path} is not a whole zip: {error}", "get it again") from None


def _list_zip(path: Path) -> list[SliceFile]:
    with zipfile.ZipFile(path) as archive:
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    return [
        SliceFile(PurePosixPath(entry.filename).name, entry.file_size, entry.filename)
        for entry in entries
    ]


def _parse_checksums(text: bytes) -> dict[str, str]:
    """Lines of ``md5sum``: 32 hexadecimal digits, then a path; others are passed over."""
    lines = map(_CHECKSUM_LINE.match, text.decode("utf-8", "replace").splitlines())
    return {PurePosixPath(line[2].strip()).name: line[1].lower() for line in lines if line}
