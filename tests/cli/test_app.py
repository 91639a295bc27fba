"""The command as a whole: help, usage errors, internal errors, signals, pipes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from commands import segue

from segue import __version__
from segue.cli.app import VERBS, app

NAMES = [verb.__name__ for verb in VERBS]
HEAVY = ("jax", "flax", "duckdb", "pyarrow", "numpy", "scipy", "pydantic", "rich", "msgspec")
COMMAND = "import sys; from segue.cli import main; sys.exit(main())"


def run_process(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    command = [sys.executable, "-c", COMMAND, *map(str, arguments)]
    return subprocess.run(command, text=True, timeout=300, check=False, **options)  # type: ignore[call-overload]


def test_help_of_every_verb_imports_no_heavy_library() -> None:
    code = f"""
import sys
from segue.cli import main
for verb in {[*NAMES, ""]!r}:
    assert main([verb, "--help"] if verb else ["--help"]) == 0
print("loaded:", sorted(set({HEAVY!r}) & set(sys.modules)), file=sys.stderr)
"""
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True
    )
    assert process.stderr.strip() == "loaded: []"
    for verb in NAMES:
        assert f"Usage: segue {verb} " in process.stdout


def test_the_command_without_arguments_prints_its_help() -> None:
    without_arguments, with_option = segue(), segue("--help")
    assert without_arguments.code == with_option.code == 0
    assert without_arguments.out == with_option.out
    assert all(f"\n  {name} " in with_option.out for name in NAMES)


def test_version() -> None:
    assert segue("--version").out == f"segue {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["prepar"], "'prepare'"),
        (["nothing-like-it"], "nothing-like-it"),
        (["--verson"], "--version"),
        (["prepare", "log.csv", "-o", "x", "--splti", "holdout"], "--split"),
        (["prepare", "log.csv"], "--out"),
        (["prepare", "log.csv", "-o"], "-o"),
        (["prepare", "log.csv", "-o", "x", "--split", "hold"], "'holdout'"),
        (["prepare", "log.csv", "-o", "x", "--session-gap", "30"], "30m"),
        (["prepare", "log.csv", "-o", "x", "--memory-limit", "2 apples"], "2GB"),
        (["prepare", "log.csv", "-o", "x", "--min-item-events", "0"], "greater than or equal to 1"),
        (["prepare", "log.csv", "-o", "x", "--min-rating", "good"], "valid number"),
        (["evaluate", "popularity"], "--data"),
        (["evaluate", "popularity", "--data", "x", "--ks", "5,ten"], "5,10,20"),
        (["evaluate", "--data", "x"], "RUN|BASELINE|LISTS"),
        (["train", "x"], "-o RUN"),
        (["recommend", "x", "-k", "many"], "valid integer"),
        (["generate", "x", "--lenght", "3"], "--length"),
        (["inspect", "x", "y"], "y"),
    ],
)
def test_usage_errors_are_one_line_with_the_expected_value(
    arguments: list[str], expected: str
) -> None:
    assert expected in segue(*arguments).error


def test_an_internal_error_is_one_line_with_a_hint(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("of\nthe library")

    monkeypatch.delenv("SEGUE_TRACEBACK", raising=False)
    monkeypatch.setattr("segue.preparation.prepare", broken)
    outcome = segue("prepare", "log.csv", "-o", tmp_path / "x")
    assert outcome.code == 1
    assert outcome.err.startswith("internal error: ZeroDivisionError: of the library")
    assert "SEGUE_TRACEBACK=1" in outcome.err
    assert outcome.err.count("\n") == 1


def test_tracebacks_are_shown_on_request(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SEGUE_TRACEBACK", "1")
    outcome = segue("inspect", tmp_path / "nothing")
    assert outcome.code == 2
    assert "Traceback" in outcome.err
    assert outcome.err.splitlines()[-1].startswith("error: there is no folder")


def test_an_error_of_the_operating_system_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", "some/file")

    monkeypatch.setattr("segue.preparation.prepare", refused)
    outcome = segue("prepare", "log.csv", "-o", tmp_path / "x")
    assert outcome.error == "error: some/file: Permission denied"


def test_an_interrupted_verb_exits_with_130(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("segue.preparation.prepare", interrupted)
    outcome = segue("prepare", "log.csv", "-o", tmp_path / "x")
    assert (outcome.code, outcome.out, outcome.err) == (130, "", "")


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_verb_with_130_and_leaves_no_file(tmp_path: Path, number: int) -> None:
    endless = ["--format", "demo", "--sequences", "10000000", "-o", str(tmp_path / "big")]
    # A suite that a shell started in the background inherits SIGINT ignored, and Python keeps that.
    with_sigint = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    with subprocess.Popen(
        [sys.executable, "-c", with_sigint + COMMAND, "prepare", *endless],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline and not list(tmp_path.glob(".big.*.partial/*")):
            time.sleep(0.05)
        time.sleep(1)  # while it writes
        try:
            running.send_signal(number)
            out, err = running.communicate(timeout=300)
        finally:
            running.kill()
    assert running.returncode == 130, err
    assert out == ""
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_a_closed_output_pipe_is_no_error_message() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        process = run_process("--help", stdout=pipe, stderr=subprocess.PIPE)
    assert process.stderr == ""
    assert process.returncode == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_output_that_cannot_be_written_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        process = run_process("--help", stdout=full, stderr=subprocess.PIPE)
    assert process.returncode == 2
    assert process.stderr == "error: No space left on device\n"


def test_an_ascii_terminal_is_no_error(world: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "NO_COLOR": "1"}
    process = run_process("inspect", world, capture_output=True, env=environment)
    assert process.returncode == 0
    assert process.stdout.isascii()
    assert "##" in process.stdout


def test_every_verb_is_registered_once() -> None:
    names = [command.name for command in app.registered_commands]
    assert names == NAMES
    assert len(set(names)) == len(names)
