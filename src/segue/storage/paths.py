"""Checks of the paths that callers give: not empty, valid text, and not a device or a pipe."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from segue.errors import SegueError, SourceError

_KINDS = {
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
    stat.S_IFIFO: "a pipe",
}


def special_kind(mode: int) -> str | None:
    """What a path is by its mode, if neither a file nor a folder: something without an end."""
    return _KINDS.get(stat.S_IFMT(mode))


def checked_path(path: str | os.PathLike[str], error: type[SegueError] = SourceError) -> Path:
    """The path as an object.

    Raises:
        SegueError: of the class ``error``. The path is empty, which Python would take for the
            current folder, has a NUL character, or is not UTF-8 text. Reports, manifests and
            DuckDB take names of files as text.
    """
    text = os.fspath(path)
    if not text:
        raise error("a path is empty", "give a file or a folder, or . for the current folder")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise error(f"the path {text!r} is not UTF-8 text", "rename the file or folder") from None
    if "\0" in text:
        raise error(f"the path {text!r} has a NUL character", "no file has such a name")
    return Path(text)


def check_regular(path: Path, error: type[SegueError] = SourceError) -> None:
    """Refuse devices, sockets and pipes, which have no end or may never be written to.

    A file, a folder or nothing passes: the caller reports what is missing.

    Args:
        path: symbolic links are followed.
        error: the class of the error.

    Raises:
        SegueError: of the class ``error``.
    """
    try:
        kind = special_kind(path.stat().st_mode)
    except (OSError, ValueError):
        return
    if kind is not None:
        hint = "copy its contents to a file, and give that"
        raise error(f"{path} is {kind}, expected a file", hint)
