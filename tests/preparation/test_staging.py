"""Atomic output folders: complete or absent, whatever happens while they are written."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys

import pytest

from segue.dataset.manifest import DATASET_FILES, MANIFEST
from segue.errors import DatasetError, StorageError
from segue.preparation.staging import staged

OLD = '{"format_version": 0, "files": {}}'
NEW = '{"format_version": 1, "files": {}}'


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write_and_raise(output, error: BaseException) -> None:
    with staged(output) as folder:
        (folder / MANIFEST).write_text("{}")
        raise error


def test_the_folder_appears_at_the_end(tmp_path):
    output = tmp_path / "deep" / "data"
    with staged(output) as folder:
        (folder / "file").write_text("new")
        assert not output.exists()
    assert (output / "file").read_text() == "new"
    assert names(output.parent) == ["data"]


def test_an_error_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError):
        write_and_raise(tmp_path / "data", ZeroDivisionError())
    assert names(tmp_path) == []


def test_an_interrupt_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        write_and_raise(tmp_path / "data", KeyboardInterrupt())
    assert names(tmp_path) == []


def test_a_dataset_is_replaced_when_the_new_one_is_complete(tmp_path):
    output = tmp_path / "data"
    output.mkdir()
    (output / MANIFEST).write_text(OLD)
    with staged(output) as folder:
        (folder / MANIFEST).write_text(NEW)
        assert (output / MANIFEST).read_text() == OLD
    assert (output / MANIFEST).read_text() == NEW
    assert names(tmp_path) == ["data"]


def test_a_dataset_survives_a_failure(tmp_path):
    output = tmp_path / "data"
    output.mkdir()
    (output / MANIFEST).write_text(OLD)
    with pytest.raises(StorageError), staged(output):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert (output / MANIFEST).read_text() == OLD
    assert names(tmp_path) == ["data"]


def test_an_empty_folder_may_be_filled(tmp_path):
    output = tmp_path / "data"
    output.mkdir()
    with staged(output) as folder:
        (folder / "file").touch()
    assert names(output) == ["file"]


def test_a_foreign_folder_is_refused(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with (
        pytest.raises(DatasetError, match="is not empty and contains no readable dataset"),
        staged(tmp_path),
    ):
        pass
    assert names(tmp_path) == ["thesis.tex"]


@pytest.mark.parametrize(
    "manifest",
    ['{"name": "app", "icons": []}', '{"manifest_version": 3, "files": {}}', "{", "[]"],
)
def test_a_folder_with_a_manifest_of_another_kind_is_refused(tmp_path, manifest):
    output = tmp_path / "public"
    output.mkdir()
    for name in DATASET_FILES:
        (output / name).write_text(manifest)
    with pytest.raises(DatasetError, match="contains no readable dataset"), staged(output):
        pass
    assert names(output) == sorted(DATASET_FILES)


def test_a_dataset_with_another_file_beside_it_is_refused(tmp_path):
    output = tmp_path / "data"
    (output / "run").mkdir(parents=True)
    (output / MANIFEST).write_text(OLD)
    with (
        pytest.raises(DatasetError, match="contains run beside a dataset") as caught,
        staged(output),
    ):
        pass
    assert caught.value.hint == "choose another folder, or move run elsewhere"
    assert names(output) == [MANIFEST, "run"]


def test_an_output_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "data").touch()
    with pytest.raises(DatasetError, match="is a file"), staged(tmp_path / "data"):
        pass


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EFBIG, errno.EACCES, errno.EROFS])
def test_an_os_error_becomes_a_storage_error(tmp_path, number):
    with pytest.raises(StorageError) as caught, staged(tmp_path / "data"):
        raise OSError(number, os.strerror(number))
    assert caught.value.message == f"cannot write {tmp_path / 'data'}: {os.strerror(number)}"
    assert caught.value.hint
    assert names(tmp_path) == []


def test_a_parent_that_is_a_file_is_a_storage_error(tmp_path):
    (tmp_path / "parent").touch()
    with pytest.raises(StorageError, match="cannot write"), staged(tmp_path / "parent" / "data"):
        pass


KILLED = """
import os, signal, sys
from pathlib import Path
from segue.preparation.staging import staged
with staged(Path(sys.argv[1])) as folder:
    (folder / "manifest.json").write_text("{}")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_leftovers_of_a_killed_process_are_removed_by_the_next(tmp_path):
    output = tmp_path / "data"
    killed = subprocess.run([sys.executable, "-c", KILLED, str(output)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not output.exists()
    assert len(names(tmp_path)) == 1
    with staged(output) as folder:
        (folder / "file").touch()
    assert names(tmp_path) == ["data"]


def test_a_dataset_that_a_killed_process_moved_away_is_restored(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    output = tmp_path / "data"
    for name in (f".data.{ended.pid}.former", f".data.1.{ended.pid}.former"):
        (tmp_path / name).mkdir()
        (tmp_path / name / MANIFEST).write_text(name)
    with pytest.raises(KeyError):
        write_and_raise(output, KeyError())
    assert (output / MANIFEST).read_text() == f".data.{ended.pid}.former"
    assert names(tmp_path) == [f".data.1.{ended.pid}.former", "data"]


def test_the_partial_folder_of_a_running_process_stays(tmp_path):
    partial = tmp_path / f".data.{os.getppid()}.partial"
    partial.mkdir()
    with staged(tmp_path / "data") as folder:
        (folder / "file").touch()
    assert partial.is_dir()
