"""Find and read the slices of the Million Playlist Dataset in a folder, a file or the zip."""

from __future__ import annotations

import hashlib
import lzma
import re
import struct
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from segue.errors import SourceError
from segue.storage.paths import check_regular

_SLICE_NAME = re.compile(r"mpd\.slice\.([0-9]+).*\.json", re.DOTALL)
_CHECKSUM_LINE = re.compile(r"([0-9a-fA-F]{32})\s+\*?(\S.*)")
_CHECKSUM_FILE = "md5sums"

_ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
)
"""Raised for a damaged zip or entry, an unknown compression, or an entry with a password."""

MEMORY_PER_BYTE = 8
"""Most memory that decoding a slice takes, per byte of its text; most slices take 5."""

_BLOCK_BYTES = {zipfile.ZIP_STORED: 1 << 20, zipfile.ZIP_DEFLATED: 1 << 20, zipfile.ZIP_LZMA: 4096}
"""Bytes read at a time from an entry of a zip, by compression. zipfile bounds what DEFLATE gives.
With other methods it decompresses all that it reads: into 7,000 times as many bytes with LZMA, and
a million times as many with bzip2, which is therefore not read."""


class SliceFile(NamedTuple):
    """A file of the dataset, in a folder or in a zip.

    Attributes:
        name: the file name without folders.
        size: uncompressed size in bytes.
        location: its path, or the name of its entry in the zip.
    """

    name: str
    size: int
    location: str

    @property
    def number(self) -> tuple[int, str] | None:
        """The number of the first playlist, from the name of a slice; None for other files.

        As the count of its digits and the digits, which sort like the number: Python refuses to
        convert thousands of digits.
        """
        match = _SLICE_NAME.fullmatch(self.name)
        digits = match[1].lstrip("0") if match else ""
        return (len(digits), digits) if match else None


class SliceFiles:
    """The slices of a dataset, and their checksums if there is a file ``md5sums``.

    Attributes:
        slices: in the order of their numbers, not of their names as text.
        checksums: name of the slice -> hexadecimal MD5.
    """

    def __init__(self, path: Path, memory_limit: int) -> None:
        """Find the slices; reads only names, sizes and checksums.

        Args:
            path: a folder that contains slices or ``data/``, one slice, or the zip.
            memory_limit: a slice whose decoding takes more memory is refused, in bytes.

        Raises:
            SourceError: the path does not exist, or contains no slice.
        """
        self._path = path
        self._memory_limit = memory_limit
        files = _list_files(path)
        self.slices = _slices_of(files)
        if path.is_file() and not _is_zip(path):
            self.slices = files  # a single slice may have any name
        if not self.slices:
            hint = "expected files like mpd.slice.0-999.json, in it or in its folder data"
            raise SourceError(f"no playlist slice in {path}", hint)
        self.checksums: dict[str, str] = {}
        for file in files:
            if file.name == _CHECKSUM_FILE:
                self.checksums |= _parse_checksums(self._bytes(file))

    def missing(self) -> list[str]:
        """Names of slices that ``md5sums`` lists but that do not exist."""
        return sorted(self.checksums.keys() - {file.name for file in self.slices})

    def read(self, file: SliceFile) -> bytes:
        """Read a slice and verify its checksum, if there is one.

        Raises:
            SourceError: the slice cannot be read, is too large, or its checksum differs.
        """
        data = self._bytes(file)
        expected = self.checksums.get(file.name)
        if expected is None:
            return data
        checksum = hashlib.md5(data, usedforsecurity=False).hexdigest()
        if checksum != expected:
            message = f"{file.name} has the MD5 checksum {checksum}, "
            message += f"expected {expected} from {_CHECKSUM_FILE}"
            raise SourceError(message, "the file is damaged or was changed: download it again")
        return data

    def _bytes(self, file: SliceFile) -> bytes:
        longest = self._memory_limit // MEMORY_PER_BYTE
        if file.size > longest:
            raise self._too_large(file)
        try:
            data = self._read_at_most(file, longest + 1)
        except OSError as error:
            message = f"cannot read {file.location}: {error.strerror or error}"
            raise SourceError(message, "check that it exists, and its permissions") from None
        except _ZIP_ERRORS as error:
            message = f"cannot unpack {file.location} from {self._path}: {error}"
            hint = "if it is damaged, download it again; else unpack it, and give the folder"
            raise SourceError(message, hint) from None
        if len(data) > longest:  # the size in a zip is only what the zip says
            raise self._too_large(file)
        return data

    def _read_at_most(self, file: SliceFile, size: int) -> bytes:
        if not _is_zip(self._path):
            path = Path(file.location)
            check_regular(path)
            with path.open("rb") as stream:
                return stream.read(size)
        with zipfile.ZipFile(self._path) as archive, archive.open(file.location) as stream:
            block = _BLOCK_BYTES.get(archive.getinfo(file.location).compress_type)
            if block is None:
                raise NotImplementedError("it is compressed by another method than DEFLATE or LZMA")
            data = bytearray()
            while len(data) < size and (part := stream.read(min(block, size - len(data)))):
                data += part
            return bytes(data)

    def _too_large(self, file: SliceFile) -> SourceError:
        message = (
            f"{file.name} has at least {file.size:,} bytes, and decoding takes {MEMORY_PER_BYTE} "
            f"times its size in memory, but the limit is {self._memory_limit:,} bytes"
        )
        return SourceError(message, "raise --memory-limit, or split the slice")


def has_slices(path: Path) -> bool:
    """Whether a path is a file named like a slice, or a folder or zip that contains one."""
    try:
        return bool(_slices_of(_list_files(path)))
    except (SourceError, OSError):
        return False


def _slices_of(files: list[SliceFile]) -> list[SliceFile]:
    numbered = [(file.number, file) for file in files if file.number is not None]
    return [file for _, file in sorted(numbered)]


def _is_zip(path: Path) -> bool:
    return path.suffix.lower() == ".zip" or (path.is_file() and zipfile.is_zipfile(path))


def _list_files(path: Path) -> list[SliceFile]:
    """All files that may be slices or checksums: the file itself, or those in the folder or zip."""
    check_regular(path)
    try:
        if path.is_dir():
            entries = (*path.iterdir(), *path.glob("data/*"))
            paths = [file for file in entries if file.is_file() or _may_be_slice(file)]
        elif _is_zip(path):
            return _list_zip(path)
        else:
            paths = [path]
        return [SliceFile(file.name, file.stat().st_size, str(file)) for file in paths]
    except OSError as error:
        message = f"cannot read {path}: {error.strerror or error}"
        raise SourceError(message, "check that it exists, and its permissions") from None
    except _ZIP_ERRORS as error:
        raise SourceError(f"{path} is not a complete zip: {error}", "download it again") from None


def _may_be_slice(entry: Path) -> bool:
    """Whether an entry of a folder has the name of a slice: a broken link is not left out."""
    return _SLICE_NAME.fullmatch(entry.name) is not None and not entry.is_dir()


def _list_zip(path: Path) -> list[SliceFile]:
    with zipfile.ZipFile(path) as archive:
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    return [
        SliceFile(PurePosixPath(entry.filename).name, entry.file_size, entry.filename)
        for entry in entries
    ]


def _parse_checksums(text: bytes) -> dict[str, str]:
    """Checksums by file name, from the lines that are 32 hexadecimal digits and a path."""
    lines = map(_CHECKSUM_LINE.match, text.decode("utf-8", "replace").splitlines())
    return {PurePosixPath(line[2].strip()).name: line[1].lower() for line in lines if line}
