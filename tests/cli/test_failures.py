"""Errors that are no defects are one line and exit code 2; libraries stay silent."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from commands import Outcome, segue

from segue.cli.failures import LONGEST_LINE


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> Outcome:
    """The outcome of a verb that raises an error."""

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.delenv("SEGUE_TRACEBACK", raising=False)
    monkeypatch.setattr("segue.preparation.prepare", fail)
    return segue("prepare", "log.csv", "-o", "x")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), "error: there is not enough memory"),
        (MemoryError("7 TB for an array"), "error: there is not enough memory: 7 TB for an array"),
        (RecursionError("maximum depth"), "error: the input is nested too deeply"),
        (
            UnicodeEncodeError("utf-8", "a\udcff.csv", 1, 2, "surrogates not allowed"),
            r"error: 'a\udcff.csv' is not UTF-8 text",
        ),
        (FileNotFoundError(2, "No such file", "x"), "error: x: No such file"),
    ],
)
def test_errors_that_are_no_defects(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, expected: str
) -> None:
    assert failing(monkeypatch, error).error == expected


def test_a_long_message_is_shortened(monkeypatch: pytest.MonkeyPatch) -> None:
    error = failing(monkeypatch, OSError(22, "x" * 1_000_000)).error
    assert LONGEST_LINE < len(error) < LONGEST_LINE + 100
    assert "characters ..." in error


@pytest.mark.parametrize(
    "arguments",
    [
        ["prepare", "", "-o", "x"],
        ["prepare", "log.csv", "-o", ""],
        ["prepare", "log.csv", "-o", "x", "--items-file", ""],
        ["inspect", ""],
        ["train", "", "-o", "x"],
        ["train", "x", "-o", ""],
        ["train", "x", "-o", "y", "--config", ""],
        ["plan", ""],
        ["evaluate", "popularity", "--data", ""],
        ["evaluate", "popularity", "--data", "x", "--per-sequence", ""],
        ["compare", ""],
        ["compare", "x", ""],
        ["recommend", "", "--items", "a"],
        ["generate", "", "--items", "a"],
        ["search", "", "a"],
        ["draw", "", "curves", "-o", "x.png"],
        ["draw", "x", "curves", "-o", ""],
        ["draw", "x", "list", "-o", "x.png", "--posters", ""],
        ["demo", "-o", ""],
    ],
)
def test_an_empty_path_is_not_the_current_folder(arguments: list[str]) -> None:
    assert "a path is empty" in segue(*arguments).error


@pytest.mark.parametrize("text", ["a\udcff", "\udcff=1"])
def test_arguments_that_are_not_utf8(text: str) -> None:
    commands = (
        ["prepare", text, "-o", "x"],
        ["prepare", "log.csv", "-o", text],
        ["evaluate", text, "--data", "x"],
        ["train", "x", "-o", "y", "--config", text],
        ["train", "x", "-o", "y", "--set", text],
        ["recommend", "x", "--item", text],
        [text],
    )
    for arguments in commands:
        assert "is not UTF-8 text" in segue(*arguments).error


def test_a_file_in_the_folder_of_a_log_whose_name_is_not_utf8(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    folder.mkdir()
    try:
        (folder / os.fsdecode(b"a\xff.csv")).write_text("user_id,item_id\nu,a\nu,b\nu,c\n")
    except OSError:
        pytest.skip("the file system takes only UTF-8 names")
    assert "is not UTF-8 text" in segue("prepare", folder, "-o", tmp_path / "x").error
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("path", ["loop", "loop/data", "log.csv/data", "/dev/null"])
def test_outputs_that_cannot_be_folders(log: Path, tmp_path: Path, path: str) -> None:
    (tmp_path / "loop").symlink_to("loop")
    assert segue("prepare", log, "-o", tmp_path / path).error
    assert {entry.name for entry in tmp_path.iterdir()} == {"loop", "log.csv"}


def test_a_name_that_is_too_long(log: Path, tmp_path: Path) -> None:
    name = tmp_path / ("x" * 300)
    for arguments in (
        ["prepare", name, "-o", tmp_path / "d"],
        ["prepare", log, "-o", name],
        ["train", name, "-o", tmp_path / "r"],
        ["evaluate", "popularity", "--data", name],
        ["search", name, "a"],
    ):
        error = segue(*arguments).error
        assert "too long" in error or "there is no folder" in error


@pytest.mark.parametrize("number", ["1" + "0" * 30, "9" * 5000])
def test_integers_of_any_length(world: Path, number: str) -> None:
    assert segue("recommend", "x", "--items", "a", "-k", number).error
    assert segue("evaluate", "popularity", "--data", world, "--ks", number).error
    assert segue("evaluate", "popularity", "--data", world, "--resamples", number).error
    assert segue("prepare", "--format", "demo", "--sequences", number, "-o", "x").error


NOISY = """
import logging, sys, warnings
import segue.preparation
from segue.cli import main
def prepare(*_, **__):
    warnings.warn("old", DeprecationWarning)
    warnings.warn("soon", FutureWarning)
    logging.getLogger("absl").error("a log line")
    logging.warning("another")
    raise segue.SegueError("the message", "the hint")
segue.preparation.prepare = prepare
sys.argv = ["segue", "prepare", "log.csv", "-o", "x"]
sys.exit(main())
"""


def test_warnings_and_logs_of_libraries_are_not_printed() -> None:
    process = subprocess.run(
        [sys.executable, "-W", "error", "-c", NOISY],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert process.stderr == "error: the message (the hint)\n"
    assert process.returncode == 2


def test_a_host_keeps_its_warnings_and_logging() -> None:
    filters, disabled = list(warnings.filters), logging.root.manager.disable
    assert segue("--version").code == 0
    assert (warnings.filters, logging.root.manager.disable) == (filters, disabled)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
@pytest.mark.parametrize(
    ("redirection", "message"),
    [
        (">&-", "error: Bad file descriptor\n"),
        (">&- 2>&-", ""),
        ("> /dev/full", "error: No space left on device\n"),
        ("> /dev/full 2>&1", ""),
    ],
)
def test_output_that_cannot_be_written(redirection: str, message: str) -> None:
    command = f'"{sys.executable}" -m segue --help {redirection}'
    process = subprocess.run(
        ["/bin/sh", "-c", command], capture_output=True, text=True, timeout=300, check=False
    )
    assert (process.returncode, process.stderr) == (2, message)
