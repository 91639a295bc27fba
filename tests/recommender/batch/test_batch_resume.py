"""Batches that are stopped at any moment continue to the same bytes."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from batch_files import write_rows

from segue.errors import RequestError, StorageError
from segue.recommender import Recommender
from segue.recommender.batch import BatchProgress, BatchSummary
from segue.recommender.batch.part_files import PartFiles

ROWS = [{"id": i, "items": [str(100 * (1 + i % 4)), "?"]} for i in range(27)]
"""Four parts."""


class KilledError(BaseException):
    """Ends a batch as a signal would, without any handler of errors."""


class Killer:
    """Raises ``KilledError`` before or after the nth change of the file system."""

    def __init__(self, patch: pytest.MonkeyPatch, moment: int, *, after: bool) -> None:
        self.count = 0
        for name in ("replace", "unlink", "mkdir"):
            patch.setattr(Path, name, self._wrapped(getattr(Path, name), moment, after))
        patch.setattr(shutil, "rmtree", self._wrapped(shutil.rmtree, moment, after))

    def _wrapped(self, function: Any, moment: int, after: bool) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            self.count += 1
            if self.count != moment:
                return function(*arguments, **options)
            if after:
                function(*arguments, **options)
            raise KilledError

        return call


def run(model: Recommender, folder: Path, **options: Any) -> BatchSummary:
    return model.recommend_file(folder / "in.jsonl", folder / "out.parquet", 3, **options)


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def expected(model: Recommender, tmp_path: Path) -> dict[str, bytes]:
    """The files of a batch that was not stopped."""
    folder = tmp_path / "expected"
    folder.mkdir()
    write_rows(folder / "in.jsonl", ROWS)
    run(model, folder)
    return files_of(folder)


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("after", [False, True], ids=["before a change", "after a change"])
def test_stopped_at_every_change_of_the_file_system(
    model: Recommender, tmp_path: Path, expected: dict[str, bytes], after: bool
) -> None:
    assert set(expected) == {"in.jsonl", "out.parquet", "out.parquet.notes.parquet"}
    moment, resumed = 0, []
    while True:
        moment += 1
        folder = tmp_path / f"stopped-{moment}"
        folder.mkdir()
        write_rows(folder / "in.jsonl", ROWS)
        with pytest.MonkeyPatch.context() as patch:
            killer = Killer(patch, moment, after=after)
            try:
                run(model, folder)
            except KilledError:
                is_killed = True
            else:
                is_killed = False
        if not is_killed:
            break
        output = folder / "out.parquet"
        if output.exists() and PartFiles(output).read_header() is None:  # it was complete
            with pytest.raises(RequestError, match=r"out\.parquet exists"):
                run(model, folder)
        else:
            resumed.append(run(model, folder).resumed_rows)
        assert files_of(folder) == expected
    assert killer.count < moment
    assert set(resumed) == {0, 8, 16, 24, 27}


def test_stopped_several_times_between_requests(
    model: Recommender, tmp_path: Path, expected: dict[str, bytes]
) -> None:
    folder = tmp_path / "stopped"
    folder.mkdir()
    write_rows(folder / "in.jsonl", ROWS)
    stops = 0
    for _ in range(20):
        n_reports = 0

        def stop(_: Any) -> None:
            nonlocal n_reports
            n_reports += 1
            if n_reports == 3:
                raise KilledError

        try:
            run(model, folder, watch=stop if stops < 6 else None)
        except KilledError:
            stops += 1
        else:
            break
    assert stops == 6
    assert files_of(folder) == expected


def stop_after_one_part(model: Recommender, folder: Path) -> None:
    def stop(progress: Any) -> None:
        if progress.phase == "answer" and progress.rows > 8:
            raise KilledError

    with pytest.raises(KilledError):
        run(model, folder, watch=stop)


@pytest.fixture
def stopped(model: Recommender, tmp_path: Path) -> Path:
    """The folder of a batch that was stopped after its first part."""
    write_rows(tmp_path / "in.jsonl", ROWS)
    stop_after_one_part(model, tmp_path)
    return tmp_path


def test_parts_of_another_batch_are_not_used(model: Recommender, stopped: Path) -> None:
    for options in ({"where": "year >= 1992"}, {"include_seen": True}):
        with pytest.raises(RequestError, match="the parts of an interrupted batch with another"):
            run(model, stopped, **options)
    write_rows(stopped / "in.jsonl", ROWS[:-1])
    with pytest.raises(RequestError, match="the parts of an interrupted batch with another"):
        run(model, stopped)
    summary = run(model, stopped, overwrite=True)
    assert (summary.rows, summary.resumed_rows) == (26, 0)


def test_a_damaged_part_is_computed_again(model: Recommender, stopped: Path) -> None:
    (part,) = (stopped / "out.parquet.partial").glob("*.arrow")
    part.write_bytes(part.read_bytes()[:100])
    assert run(model, stopped).resumed_rows == 0


def test_an_input_that_changes_while_it_is_read(model: Recommender, tmp_path: Path) -> None:
    write_rows(tmp_path / "in.jsonl", ROWS)

    def shorten(progress: Any) -> None:
        if (progress.phase, progress.rows) == ("answer", 0):
            write_rows(tmp_path / "in.jsonl", ROWS[:20])

    with pytest.raises(RequestError, match="was changed while the batch was computed"):
        run(model, tmp_path, watch=shorten)
    assert not (tmp_path / "out.parquet").exists()


def test_a_full_disk_is_one_line_and_the_batch_continues(
    model: Recommender, stopped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = Path.replace

    def refuse(path: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(StorageError, match="No space left on device"):
        run(model, stopped)
    monkeypatch.setattr(Path, "replace", replace)
    assert run(model, stopped).resumed_rows == 8


def test_two_processes_do_not_write_the_same_output(model: Recommender, stopped: Path) -> None:
    with (
        PartFiles(stopped / "out.parquet").locked(),
        pytest.raises(StorageError, match="another process writes to"),
    ):
        run(model, stopped)


@pytest.mark.slow
def test_up_to_five_kills_of_a_process(mixed_genre_run: Path, tmp_path: Path) -> None:
    rows = [{"id": i, "items": [str(100 * (1 + i % 4))]} for i in range(100_000)]
    source = write_rows(tmp_path / "in.parquet", rows, row_group_size=7_000)
    command = [sys.executable, "-m", "segue", "recommend", str(mixed_genre_run)]
    command += ["--input", str(source), "-k", "5", "--json"]
    whole, killed = tmp_path / "whole.parquet", tmp_path / "killed.parquet"
    subprocess.run([*command, "--output", str(whole)], check=True, stdout=subprocess.DEVNULL)
    draw, kills = random.Random(0), 0
    while kills < 5:
        process = subprocess.Popen([*command, "--output", str(killed)], stdout=subprocess.DEVNULL)
        deadline, partial = time.monotonic() + 300, tmp_path / "killed.parquet.partial"
        n_parts = len(list(partial.glob("*.arrow"))) if partial.exists() else 0
        while time.monotonic() < deadline and process.poll() is None:
            if partial.exists() and len(list(partial.glob("*.arrow"))) > n_parts:
                break
            time.sleep(0.01)
        time.sleep(draw.random() * 0.05)
        process.kill()
        kills += process.wait() == -signal.SIGKILL
        if process.returncode == 0:
            break
    assert kills
    subprocess.run([*command, "--output", str(killed)], check=True, stdout=subprocess.DEVNULL)
    assert killed.read_bytes() == whole.read_bytes()
    assert not partial.exists()


def test_a_part_that_saw_a_changed_input_is_not_kept(
    model: Recommender, tmp_path: Path, expected: dict[str, bytes]
) -> None:
    source = write_rows(tmp_path / "in.jsonl", ROWS)
    original, n_reports = source.read_bytes(), 0

    def change(progress: BatchProgress) -> None:
        nonlocal n_reports
        n_reports += progress.phase == "answer"
        if n_reports == 3:  # while a part is computed, after another one was stored
            source.write_bytes(original.replace(b'"100"', b'"200"'))

    with pytest.raises(RequestError, match="was changed while the batch was computed"):
        run(model, tmp_path, watch=change)
    stored = list((tmp_path / "out.parquet.partial").glob("*.arrow"))
    assert stored
    with pytest.raises(RequestError, match="another model, input or options"):
        run(model, tmp_path)
    source.write_bytes(original)
    summary = run(model, tmp_path)
    assert summary.resumed_rows > 0
    assert (tmp_path / "out.parquet").read_bytes() == expected["out.parquet"]


@pytest.mark.parametrize(("has_users", "continues"), [(True, False), (False, True)])
def test_rows_with_users_do_not_continue_with_other_histories(
    mixed_genre_run: Path, tmp_path: Path, has_users: bool, continues: bool
) -> None:
    histories = []
    for i, item in enumerate(("100", "200")):
        users = [{"user": str(user), "items": [item]} for user in range(20)]
        histories.append(write_rows(tmp_path / f"histories-{i}.parquet", users))
    own = [{"user": str(i)} if has_users else {"items": ["100"]} for i in range(20)]
    write_rows(tmp_path / "in.jsonl", own)

    def stop(progress: BatchProgress) -> None:
        if progress.phase == "answer" and progress.rows > 8:
            raise KilledError

    with pytest.raises(KilledError):
        run(Recommender.load(mixed_genre_run, histories=histories[0]), tmp_path, watch=stop)
    changed = Recommender.load(mixed_genre_run, histories=histories[1])
    if continues:
        assert run(changed, tmp_path).resumed_rows == 8
        return
    with pytest.raises(RequestError, match="with another model, input or options"):
        run(changed, tmp_path)
    assert (
        run(Recommender.load(mixed_genre_run, histories=histories[0]), tmp_path).resumed_rows == 8
    )


def test_an_input_that_is_emptied_after_the_check_is_noticed(
    model: Recommender, tmp_path: Path
) -> None:
    source = write_rows(tmp_path / "in.jsonl", ROWS)

    def empty(progress: BatchProgress) -> None:
        if progress.phase == "answer":
            source.write_text("")

    with pytest.raises(RequestError, match="was changed while the batch was computed"):
        run(model, tmp_path, watch=empty)
    assert not (tmp_path / "out.parquet").exists()


def test_of_two_batches_at_a_time_the_second_is_refused_at_once(
    model: Recommender, tmp_path: Path
) -> None:
    write_rows(tmp_path / "in.jsonl", ROWS)

    def start_another(progress: BatchProgress) -> None:
        if progress.phase == "check":
            with pytest.raises(StorageError, match="another process writes"):
                run(model, tmp_path, overwrite=True)

    assert run(model, tmp_path, watch=start_another).rows == len(ROWS)
