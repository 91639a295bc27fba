"""Signals: exit code 130 at any moment, nothing left behind, a second signal ends at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from commands import segue

from segue.cli import signals
from segue.cli.signals import STOPPED, StopSignals
from segue.dataset import Dataset
from segue.sources.events.sorting import connect
from segue.storage.temporary import removed_at_end, temporary_folder

NUMBERS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.fixture(autouse=True)
def handled_sigint() -> Iterator[None]:
    """Handle SIGINT, which a suite in the background of a shell inherits as ignored."""
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, previous)


def verb_that(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Replace the function that ``segue prepare`` calls."""
    monkeypatch.setattr("segue.preparation.prepare", lambda *_, **__: act())


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_is_exit_code_130_without_a_word(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: int
) -> None:
    before = [signal.getsignal(number) for number in NUMBERS]
    verb_that(monkeypatch, lambda: os.kill(os.getpid(), number))
    outcome = segue("prepare", "log.csv", "-o", tmp_path / "x")
    assert (outcome.code, outcome.out, outcome.err) == (130, "", "")
    assert [signal.getsignal(number) for number in NUMBERS] == before


@pytest.mark.parametrize("error", [RuntimeError("Query interrupted"), OSError("interrupted")])
def test_an_interrupt_that_a_library_converts_is_still_a_signal(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: Exception
) -> None:
    def convert() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except KeyboardInterrupt:
            raise error from None

    verb_that(monkeypatch, convert)
    outcome = segue("prepare", "log.csv", "-o", tmp_path / "x")
    assert (outcome.code, outcome.err) == (130, "")


def test_an_interrupt_that_a_finalizer_discards_is_raised_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Finalized:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.01)  # the handler runs here, inside the finalizer

    def discard() -> None:
        del [Finalized()][0]
        for _ in range(500):
            time.sleep(0.01)
        raise AssertionError("the signal was lost")

    verb_that(monkeypatch, discard)
    assert segue("prepare", "log.csv", "-o", tmp_path / "x").code == 130


def test_an_ignored_signal_stays_ignored() -> None:
    previous = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as under nohup
    try:
        with StopSignals() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            time.sleep(0.01)
        assert not stop.is_stopping
    finally:
        signal.signal(signal.SIGHUP, previous)


def test_a_signal_is_repeated_soon_after_by_wrappers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cleaned = []

    def interrupted_twice() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            os.kill(os.getpid(), signal.SIGHUP)
            time.sleep(0.01)
            cleaned.append(True)

    verb_that(monkeypatch, interrupted_twice)
    assert segue("prepare", "log.csv", "-o", tmp_path / "x").code == 130
    assert cleaned == [True]


STUBBORN = """
import os, signal, sys, time
from pathlib import Path
from segue.cli import main, signals
from segue.storage.temporary import removed_at_end
import segue.preparation
signal.signal(signal.SIGINT, signal.default_int_handler)
folder = Path(sys.argv[1])
def prepare(*_, **__):
    with removed_at_end(folder):
        folder.mkdir()
        while True:
            try:
                time.sleep(60)
            except KeyboardInterrupt:
                pass
segue.preparation.prepare, signals.GRACE_S = prepare, float(sys.argv[2])
sys.argv = ["segue", "prepare", "log.csv", "-o", "x"]
sys.exit(main())
"""


IMPORTING = """
import sys
from segue.cli import main
import segue.preparation
def prepare(*_, **__):
    import victim
segue.preparation.prepare = prepare
sys.argv = ["segue", "prepare", "log.csv", "-o", "x"]
sys.exit(main())
"""
VICTIM = """
import os, signal, time
try:
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)
except BaseException:
    os.abort()
"""


def test_no_exception_is_raised_inside_an_import(tmp_path: Path) -> None:
    """As jaxlib does, which aborts when it is imported again after an exception."""
    (tmp_path / "victim.py").write_text(VICTIM)
    process = subprocess.run(
        [sys.executable, "-c", IMPORTING],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (process.returncode, process.stderr) == (STOPPED, "")


EVALUATED = """
import os, signal, sys, time
from segue.cli import main
import segue.preparation
def prepare(*_, **__):
    eval("os.kill(os.getpid(), signal.SIGTERM) or time.sleep(60)")
segue.preparation.prepare = prepare
sys.argv = ["segue", "prepare", "log.csv", "-o", "x"]
sys.exit(main())
"""


def test_a_signal_inside_eval_is_exit_code_130(tmp_path: Path) -> None:
    """Python would end by SIGINT, even though the KeyboardInterrupt was caught."""
    (tmp_path / "script.py").write_text(EVALUATED)
    process = subprocess.run(
        [sys.executable, "-m", "script"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (process.returncode, process.stderr) == (STOPPED, "")


def start_stubborn(folder: Path, grace_s: float) -> subprocess.Popen[str]:
    """Start a verb that goes on after a signal, with a temporary folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", STUBBORN, str(folder), str(grace_s)],
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 300
    while not folder.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    return process


def test_a_verb_that_does_not_stop_is_ended(tmp_path: Path) -> None:
    folder = tmp_path / "spill"
    with start_stubborn(folder, grace_s=0.3) as process:
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=300)
    assert (process.returncode, err) == (STOPPED, "")
    assert not folder.exists()


def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "spill"
    with start_stubborn(folder, grace_s=3600) as process:
        process.send_signal(signal.SIGINT)
        # Repeated, because signals that arrive while the process does not run count as one.
        while process.poll() is None:
            time.sleep(2 * signals.REPEAT_S)
            process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=300)
    assert (process.returncode, err) == (STOPPED, "")
    assert not folder.exists()


@pytest.mark.parametrize(
    "error", [RuntimeError("Query interrupted"), OSError("INTERRUPT Error: Interrupted!")]
)
def test_an_interrupt_of_duckdb_stays_an_interrupt(error: Exception) -> None:
    with pytest.raises(KeyboardInterrupt), connect(600_000_000):
        raise error


def test_temporary_folders_are_removed_after_any_exception(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))

    def stop() -> None:
        assert len(list(tmp_path.iterdir())) == 1
        raise KeyboardInterrupt

    with suppress(KeyboardInterrupt), temporary_folder():
        stop()
    with suppress(KeyboardInterrupt), connect(600_000_000):
        stop()
    with removed_at_end(tmp_path / "never made"):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def large_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log that takes some seconds to prepare."""
    path = tmp_path_factory.mktemp("large") / "log.csv"
    with path.open("w") as file:
        file.write("user_id,item_id,timestamp\n")
        for user in range(60_000):
            file.writelines(
                f"u{user},i{(7 * user + event) % 5000},{1_600_000_000 + event}\n"
                for event in range(25)
            )
    return path


# A process that starts in the background ignores SIGINT, which its children inherit.
WITH_DEFAULT_SIGINT = (
    "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); "
    "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
)


@pytest.mark.slow
@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("moment_s", [0.0, 0.2, 0.6, 1.2, 2.4])
def test_prepare_is_stopped_at_any_moment(
    large_log: Path, tmp_path: Path, number: int, moment_s: float
) -> None:
    output, temporary = tmp_path / "out", tmp_path / "temporary"
    output.mkdir()
    temporary.mkdir()
    verb = ["-m", "segue", "prepare", large_log, "-o", output / "data", "--memory-limit", "300MB"]
    with subprocess.Popen(
        [sys.executable, "-c", WITH_DEFAULT_SIGINT, *map(str, verb)],
        env={**os.environ, "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        # However slow the machine, it is stopped while it writes.
        end = time.monotonic() + 300
        while not any(output.iterdir()) and time.monotonic() < end:
            time.sleep(0.01)
        time.sleep(moment_s)
        process.send_signal(number)
        out, err = process.communicate(timeout=300)
    is_complete = (output / "data").exists()
    if is_complete:  # the signal came when the dataset was in place
        assert len(Dataset.open(output / "data").sequences) == 60_000
        assert process.returncode in (0, 130)
    else:
        assert (process.returncode, out, err) == (130, "", "")
    assert moment_s or not is_complete
    assert list(output.iterdir()) == [output / "data"] * is_complete
    assert list(temporary.iterdir()) == []


def wait_until_handled(process: subprocess.Popen[str], number: int) -> None:
    """Wait until a process handles a signal, where the system says so; before, it just ends."""
    status = Path(f"/proc/{process.pid}/status")
    while status.exists() and process.poll() is None:
        fields = dict(line.split(":\t", 1) for line in status.read_text().splitlines())
        if int(fields["SigCgt"], 16) >> (number - 1) & 1:
            return
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.parametrize("moment_s", [1.0, 2.0, 3.5])
@pytest.mark.parametrize("verb", ["evaluate", "recommend", "inspect", "train"])
def test_every_verb_is_stopped_at_any_moment(
    world: Path, run: Path, tmp_path: Path, verb: str, moment_s: float
) -> None:
    arguments = {
        "evaluate": ["evaluate", run, "--data", world, "--resamples", 100_000],
        "recommend": ["recommend", run, "--items", "x"],
        "inspect": ["inspect", run, "--model"],
        "train": ["train", world, "-o", tmp_path / "run", "--set", "epochs=1000"],
    }[verb]
    with subprocess.Popen(
        [sys.executable, "-m", "segue", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        wait_until_handled(process, signal.SIGTERM)
        time.sleep(moment_s)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=300)
    assert process.returncode in ((0, 130) if verb != "train" else (130,)), err
    assert "Traceback" not in err
