"""Files read with bounds: regular files only, up to a size, and JSON of a given type.

A folder may be damaged or hostile. Opening a pipe waits for a writer, a device has no end, and
nested JSON exhausts the stack. The functions here refuse all of these in one line, before they
read or allocate anything in proportion to what a file claims.
"""

from __future__ import annotations

import math
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from segue.errors import SegueError
from segue.storage.paths import special_kind

JSON_BYTES = 1 << 24
"""Largest size of a JSON file unless a caller says otherwise: 16 MiB."""

MAX_DEPTH = 64
"""Largest depth of nested values in a JSON file."""

MAX_COUNT = 2**53
"""Largest count in a JSON file: larger integers are not exact in JSON."""

_OPEN_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_BINARY", 0)
    | getattr(os, "O_CLOEXEC", 0)
)
"""With O_NONBLOCK, opening a pipe does not wait for a writer."""


class Problems:
    """The error that every problem with a folder's files raises: its class and its hint.

    Attributes:
        error: the class.
        hint: what to do about a damaged file.
    """

    def __init__(self, error: type[SegueError], hint: str) -> None:
        self.error = error
        self.hint = hint

    def cannot_read(self, path: Path, reason: object) -> SegueError:
        """The error for a file that cannot be read, in one line."""
        return self.error(f"cannot read {path}: {one_line(reason)}", self.hint)

    def damaged(self, path: Path, reason: object) -> SegueError:
        """The error for a file with unexpected content, in one line."""
        return self.error(f"{path} is damaged: {one_line(reason)}", self.hint)


def one_line(reason: object, limit: int = 300) -> str:
    """The text of an error or a value in one line of at most ``limit`` characters."""
    text = " ".join(str(reason).split())
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def exists(path: Path) -> bool:
    """Whether there is anything at a path, also if it is a link to nothing."""
    return os.path.lexists(path)


def is_folder(path: Path) -> bool:
    """Whether a path is a folder; false for a name that is too long."""
    try:
        return path.is_dir()
    except OSError:
        return False


def open_regular(path: Path, problems: Problems) -> BinaryIO:
    """Open a file for reading if it is a regular one, without waiting for anything.

    Raises:
        problems.error: it is missing, not permitted, or a folder, pipe or device.
    """
    try:
        descriptor = os.open(path, _OPEN_FLAGS)
    except (OSError, ValueError) as error:
        raise problems.cannot_read(path, getattr(error, "strerror", None) or error) from None
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        kind = special_kind(mode) or "a folder"
        raise problems.cannot_read(path, f"it is {kind}, expected a file")
    return os.fdopen(descriptor, "rb")


def regular_size(path: Path, problems: Problems) -> int:
    """The size in bytes of a regular file that can be opened, for readers that open it by name.

    Raises:
        problems.error: it is not.
    """
    with open_regular(path, problems) as stream:
        return os.fstat(stream.fileno()).st_size


def read_bytes(path: Path, problems: Problems, limit: int = JSON_BYTES) -> bytes:
    """Read a regular file of at most ``limit`` bytes.

    Raises:
        problems.error: it cannot be read or is larger.
    """
    with open_regular(path, problems) as stream:
        size = os.fstat(stream.fileno()).st_size
        if size > limit:
            raise problems.damaged(path, f"it has {size:,} bytes, expected at most {limit:,}")
        try:
            return stream.read(limit)
        except OSError as error:
            raise problems.cannot_read(path, error.strerror or error) from None


def read_json(path: Path, problems: Problems, limit: int = JSON_BYTES) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        problems.error: it cannot be read, is too large, is not UTF-8 or JSON, is nested too
            deeply, or is not an object.
    """
    return decode_object(read_bytes(path, problems, limit), path, problems)


def decode_object(data: bytes, path: Path, problems: Problems) -> dict[str, Any]:
    """Decode the bytes of a JSON object; ``path`` names them in errors."""
    try:
        content = msgspec.json.decode(data)
    except RecursionError:
        raise problems.damaged(path, f"more than {MAX_DEPTH} levels of nested values") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise problems.damaged(path, f"it is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise problems.damaged(path, f"expected an object, got {type(content).__name__}")
    if _is_deeper(content, MAX_DEPTH):
        raise problems.damaged(path, f"more than {MAX_DEPTH} levels of nested values")
    return content


def typed(content: Any, kind: Any, path: Path, problems: Problems) -> Any:
    """Convert plain JSON values to a type, such as a ``msgspec.Struct``.

    Raises:
        problems.error: a key is missing, or a value is of another type or out of bounds.
    """
    try:
        return msgspec.convert(content, kind)
    except msgspec.ValidationError as error:
        raise problems.damaged(path, error) from None


def finite_json(value: Any) -> Any:
    """A JSON value with null in place of numbers that are not finite, which JSON does not have."""
    if isinstance(value, dict):
        return {key: finite_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite_json(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _is_deeper(content: Any, depth: int) -> bool:
    """Whether values are nested more than ``depth`` levels deep, level by level."""
    level = [content]
    for _ in range(depth):
        level = [
            value
            for node in level
            for value in (node.values() if isinstance(node, dict) else node)
            if isinstance(value, dict | list)
        ]
        if not level:
            return False
    return True
