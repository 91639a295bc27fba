"""Byte streams of files: decompression by content, standard input, and limits on what is read."""

from __future__ import annotations

import contextlib
import lzma
import os
import shutil
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import pyarrow as pa

from segue.errors import SourceError
from segue.storage.paths import special_kind

MAGIC_NUMBERS = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"BZh": "bz2",
    b"\xfd7zXZ\x00": "xz",
    b"\x04\x22\x4d\x18": "lz4",
}
"""The first bytes of a compressed file -> the compression."""

OTHER_KINDS = {
    b"PK\x03\x04": ("a zip archive", "unpack it, and give the file or folder that was in it"),
    b"\xd0\xcf\x11\xe0": ("a spreadsheet", "export it as CSV"),
    b"SQLite format 3": ("a database", "export a table of it as CSV"),
    b"ARROW1": ("an Arrow file", "convert it to Parquet"),
    b"Obj\x01": ("an Avro file", "convert it to Parquet"),
    b"\x89HDF": ("an HDF5 file", "convert it to Parquet or CSV"),
    b"\x93NUMPY": ("a NumPy array", "convert it to Parquet or CSV"),
    b"%PDF": ("a PDF document", "give the log as CSV"),
    b"<!DOCTYPE": ("a web page", "download the file itself"),
    b"<html": ("a web page", "download the file itself"),
    b"<?xml": ("an XML document", "give the log as CSV"),
    b"version https://": ("a pointer of Git LFS", "fetch the file with `git lfs pull`"),
}
"""The first bytes of files that are not read -> what they are, and what to do."""

_TAR_OFFSET = 257
"""Where the word ``ustar`` is in a tar archive, in bytes."""

SAMPLE_BYTES = 1 << 20
"""Bytes of a file that are read to detect its contents."""

FIFO_WAIT_S = 10.0
"""Time to wait for another process to open a named pipe for writing, in seconds."""

_COPY_BYTES = 1 << 22


def is_standard_input(path: Path) -> bool:
    """Whether a path stands for standard input: ``-`` or ``/dev/stdin``."""
    return str(path) in {"-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"}


def compression_of(file: Path) -> str:
    """The compression of a file by its first bytes; ``none`` if it is not compressed.

    Raises:
        SourceError: the file cannot be read, or is of a kind that is no table.
    """
    with reading_bytes(file), file.open("rb") as stream:
        start = stream.read(20)
    if file.suffix.lower() in (".xlsx", ".ods"):  # zip archives
        raise SourceError(f"{file} is a spreadsheet, expected a table", "export it as CSV")
    for magic, (kind, hint) in OTHER_KINDS.items():
        if start.startswith(magic):
            raise SourceError(f"{file} is {kind}, expected a table", hint)
    names = (name for magic, name in MAGIC_NUMBERS.items() if start.startswith(magic))
    return next(names, "none")


@contextlib.contextmanager
def open_bytes(file: Path) -> Iterator[BinaryIO]:
    """Open a file as a stream of its decompressed bytes.

    Raises:
        SourceError: the file cannot be read, or its compressed data are damaged.
    """
    compression = compression_of(file)
    with reading_bytes(file), contextlib.ExitStack() as stack:
        if compression == "xz":
            stream = cast("BinaryIO", stack.enter_context(lzma.open(file)))
        else:
            codec = None if compression == "none" else compression
            opened = pa.input_stream(str(file), compression=codec)
            stream = cast("BinaryIO", stack.enter_context(opened))
        yield stream


@contextlib.contextmanager
def reading_bytes(file: Path) -> Iterator[None]:
    """Convert errors of the file system and of decompression into a ``SourceError``."""
    try:
        yield
    except (OSError, EOFError, lzma.LZMAError, pa.ArrowException) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        message = f"{file} cannot be read: {reason}"
        raise SourceError(message, "check that it is complete and that you may read it") from None


def read_start(file: Path) -> bytes:
    """The first ``SAMPLE_BYTES`` of a file, decompressed.

    Raises:
        SourceError: the file cannot be read, or is an archive.
    """
    with open_bytes(file) as stream:
        start = bytes(stream.read(SAMPLE_BYTES))
    if start[_TAR_OFFSET:].startswith(b"ustar"):
        hint = "unpack it, and give the file or folder that was in it"
        raise SourceError(f"{file} is a tar archive, expected a table", hint)
    return start


def is_stream(path: Path) -> bool:
    """Whether a path is standard input or a pipe, which can be read only once.

    Raises:
        SourceError: it is a device, a socket or a terminal.
    """
    standard = is_standard_input(path)
    try:
        mode = (os.fstat(sys.stdin.fileno()) if standard else path.stat()).st_mode
    except (OSError, ValueError) as error:
        if standard:
            message = f"standard input cannot be read: {error}"
            raise SourceError(message, "give a file, or pipe a log into the command") from None
        return False
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return standard
    if stat.S_ISFIFO(mode) or (standard and stat.S_ISSOCK(mode)):
        return True
    kind = "a terminal" if standard and sys.stdin.isatty() else special_kind(mode)
    name = "standard input" if standard else str(path)
    raise SourceError(f"{name} is {kind}, expected a table", "give a file, a folder or a pipe")


def copy_stream(path: Path, target: Path) -> Path:
    """Copy standard input or a pipe to a file, because a log is read more than once.

    Returns:
        ``target``.

    Raises:
        SourceError: nothing writes to the pipe, or it contains no text and no known compression.
    """
    with _open_stream(path) as (byte, source), target.open("wb") as copy:
        start = byte + source.read(SAMPLE_BYTES)
        if not start.strip(b"\0"):
            name = "standard input" if is_standard_input(path) else str(path)
            problem = "contains only null bytes" if start else "is empty"
            raise SourceError(f"{name} {problem}, expected a log", "check what writes to it")
        copy.write(start)
        shutil.copyfileobj(source, copy, _COPY_BYTES)
    return target


@contextlib.contextmanager
def _open_stream(path: Path) -> Iterator[tuple[bytes, BinaryIO]]:
    """Open standard input or a pipe: the byte that was read already, and the rest."""
    if is_standard_input(path):
        yield b"", sys.stdin.buffer
        return
    # A blocking open of a pipe that nobody writes to would wait forever.
    with reading_bytes(path):
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as stream:
        byte = _first_byte(descriptor, path)
        os.set_blocking(descriptor, True)
        yield byte, stream


def _first_byte(descriptor: int, path: Path) -> bytes:
    """Wait until another process has opened a pipe for writing; the byte read while waiting."""
    end = time.monotonic() + FIFO_WAIT_S
    while time.monotonic() < end:
        try:
            # Without a writer, a read reports the end of the data; with one, it has to wait.
            byte = os.read(descriptor, 1)
        except BlockingIOError:
            return b""
        if byte:
            return byte
        time.sleep(0.05)
    message = f"no process writes to the pipe {path}"
    raise SourceError(message, "start the process that writes the log, or give a file")
