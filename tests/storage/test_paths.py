"""Paths that callers give: empty, not text, devices, pipes and sockets."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from segue.errors import ConfigError, SourceError
from segue.storage.paths import check_regular, checked_path


@pytest.mark.parametrize("path", ["", "a\0b", "a\udcff"])
def test_impossible_paths_are_refused(path: str) -> None:
    with pytest.raises(ConfigError, match=r"empty|NUL|UTF-8"):
        checked_path(path, ConfigError)


@pytest.mark.parametrize("path", [".", "a b", "é", "/", "x" * 5000])
def test_other_paths_are_taken_as_they_are(path: str) -> None:
    assert checked_path(path) == checked_path(Path(path)) == Path(path)


def test_devices_pipes_and_sockets_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to("/dev/zero")
    monkeypatch.chdir(tmp_path)
    for path, kind in ((Path("/dev/null"), "a device"), (link, "a device"), (pipe, "a pipe")):
        with pytest.raises(SourceError, match=f"is {kind}, expected a file"):
            check_regular(path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")  # relative, because its path may have few characters
        with pytest.raises(SourceError, match="is a socket"):
            check_regular(tmp_path / "socket")


def test_files_folders_and_nothing_pass(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    for name in ("file", ".", "nothing", "loop", "x" * 300):
        check_regular(tmp_path / name)
