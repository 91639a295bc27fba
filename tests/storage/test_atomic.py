"""Atomic file replacement: a file is replaced completely or left unchanged."""

from __future__ import annotations

from pathlib import Path

import pytest

from segue.errors import StorageError
from segue.storage.atomic import check_writable, replace_file


def test_file_is_replaced(tmp_path: Path):
    file = tmp_path / "file"
    for content in ("old", "new"):
        replace_file(file, lambda partial, content=content: partial.write_text(content))
    assert file.read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_failure_leaves_only_the_old_file(tmp_path: Path):
    file = tmp_path / "file"
    file.write_text("old")

    def write_half(partial: Path) -> None:
        partial.write_text("ha")
        raise OSError(28, "No space left on device")

    with pytest.raises(StorageError, match=r"cannot write .*file: No space left"):
        replace_file(file, write_half)
    assert file.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_missing_folder(tmp_path: Path):
    with pytest.raises(StorageError, match="No such file"):
        replace_file(tmp_path / "none" / "file", lambda partial: partial.write_text("x"))


def test_check_writable(tmp_path: Path):
    check_writable(tmp_path / "file")
    (tmp_path / "file").touch()
    check_writable(tmp_path / "file")
    with pytest.raises(StorageError, match="there is no folder"):
        check_writable(tmp_path / "none" / "file")
    with pytest.raises(StorageError, match="there is no folder"):
        check_writable(tmp_path / "file" / "below")
    with pytest.raises(StorageError, match="it is a folder"):
        check_writable(tmp_path)
