"""A file is replaced whole, or stays as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from segue.errors import StorageError
from segue.files import check_place, replace_file


def test_a_file_is_replaced(tmp_path: Path):
    file = tmp_path / "file"
    for content in ("old", "new"):
        replace_file(file, lambda partial, content=content: partial.write_text(content))
    assert file.read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path):
    file = tmp_path / "file"
    file.write_text("old")

    def half(partial: Path) -> None:
        partial.write_text("ha")
        raise OSError(28, "No space left on device")

    with pytest.raises(StorageError, match=r"cannot write .*file: No space left"):
        replace_file(file, half)
    assert file.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_folder_that_is_not_there(tmp_path: Path):
    with pytest.raises(StorageError, match="No such file"):
        replace_file(tmp_path / "none" / "file", lambda partial: partial.write_text("x"))


def test_a_place_is_checked_before_the_work_is_done(tmp_path: Path):
    check_place(tmp_path / "file")
    (tmp_path / "file").touch()
    check_place(tmp_path / "file")
    with pytest.raises(StorageError, match="there is no folder"):
        check_place(tmp_path / "none" / "file")
    with pytest.raises(StorageError, match="there is no folder"):
        check_place(tmp_path / "file" / "below")
    with pytest.raises(StorageError, match="it is a folder"):
        check_place(tmp_path)
