"""Decoding slices of the Million Playlist Dataset in several processes."""

from __future__ import annotations

import io
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from mpd_slices import (
    CONFIG,
    decode,
    full_playlist,
    playlists_of,
    read_chunks,
    write_checksums,
    write_slice,
    zip_folder,
)

from segue.config import SourceConfig
from segue.errors import SourceError
from segue.sources.mpd import source as mpd
from segue.sources.mpd.source import MpdSource


@pytest.fixture
def two_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mpd, "BYTES_PER_WORKER", 1)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)


def inconsistent_slices(folder: Path) -> Path:
    for number in range(0, 5_000, 1_000):
        playlists = [full_playlist(number + i, "a b c", num_tracks=i) for i in range(5)]
        write_slice(folder, number, *playlists)
    return folder


def test_workers_give_the_same_as_a_single_process(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    inconsistent_slices(tmp_path)
    single = MpdSource(tmp_path, CONFIG)
    expected = list(single.chunks())
    request.getfixturevalue("two_workers")
    parallel = MpdSource(tmp_path, CONFIG)
    chunks = list(parallel.chunks())
    assert chunks == expected
    assert parallel.report() == single.report()
    assert single.report()["inconsistent"]["counts"] == 20
    assert [chunk.sequences.schema.metadata for chunk in chunks] == [None] * 5


@pytest.mark.slow
def test_workers_verify_checksums_and_read_the_zip(
    four_slices: Path, tmp_path: Path, two_workers: None
) -> None:
    write_checksums(four_slices, [f"data/mpd.slice.{n}-{n + 999}.json" for n in (0, 2_000)])
    archive = zip_folder(four_slices, tmp_path / "mpd.zip")
    assert [pid for pid, _ in playlists_of(read_chunks(archive))] == ["0", "1000", "2000", "10000"]


def test_an_error_in_a_worker_is_the_same_error(four_slices: Path, two_workers: None) -> None:
    (four_slices / "data/mpd.slice.2000-2999.json").write_text('{"playlists": [')
    chunks = MpdSource(four_slices, CONFIG).chunks()
    assert len([next(chunks), next(chunks)]) == 2
    with pytest.raises(SourceError, match=r"mpd\.slice\.2000-2999\.json: Input data was truncated"):
        next(chunks)


def test_a_worker_that_fails_to_start_is_replaced_by_this_process(
    four_slices: Path, two_workers: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = playlists_of(read_chunks(four_slices))
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    assert playlists_of(read_chunks(four_slices)) == expected


@pytest.fixture
def started_workers(two_workers: None, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The processes of the workers, appended when they start."""
    workers: list[Any] = []
    start = mpd.subprocess.Popen

    def start_and_record(*args: Any, **kwargs: Any) -> Any:
        workers.append(start(*args, **kwargs))
        return workers[-1]

    monkeypatch.setattr(mpd.subprocess, "Popen", start_and_record)
    return workers


@pytest.mark.slow
def test_a_worker_that_is_killed_while_decoding_is_replaced_by_this_process(
    four_slices: Path, started_workers: list[Any]
) -> None:
    # Larger than the buffer of a pipe, so that no worker can end before it is read from.
    tracks = " ".join(f"t{i}" for i in range(5_000))
    for number in (10_000, 2_000, 0, 1_000):
        write_slice(four_slices / "data", number, full_playlist(number, tracks))
    chunks = MpdSource(four_slices, CONFIG).chunks()
    received = [next(chunks)]
    for worker in started_workers:
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait(timeout=300)
    received += chunks
    assert [worker.returncode for worker in started_workers] == [-signal.SIGKILL] * 2
    assert [pid for pid, _ in playlists_of(received)] == ["0", "1000", "2000", "10000"]


def test_workers_end_when_the_reader_stops(four_slices: Path, started_workers: list[Any]) -> None:
    chunks = MpdSource(four_slices, CONFIG).chunks()
    next(chunks)
    assert isinstance(chunks, Iterator)
    chunks.close()  # pyright: ignore[reportAttributeAccessIssue]
    assert [process.poll() is not None for process in started_workers] == [True, True]


def test_a_truncated_stream_from_a_worker_is_an_error() -> None:
    pipe = io.BytesIO()
    sent = decode(full_playlist(0, "a b", num_tracks=1))
    mpd._send(sent, pipe)
    data = pipe.getvalue()
    assert mpd._receive(io.BytesIO(data)) == sent
    # The last 8 bytes are only the end marker of the stream.
    for end in range(0, len(data) - 8, 97):
        with pytest.raises((pa.ArrowException, OSError, ValueError)):
            mpd._receive(io.BytesIO(data[:end]))


@pytest.mark.parametrize(
    ("sizes", "memory_limit", "cores", "expected"),
    [
        ([33_000_000] * 1_000, 2_000_000_000, 2, 2),
        ([33_000_000] * 1_000, 2_000_000_000, 64, 8),
        ([33_000_000] * 1_000, 100_000_000, 64, 1),
        ([33_000_000], 2_000_000_000, 64, 1),
        ([12_000_000] * 6, 2_000_000_000, 64, 1),
    ],
)
def test_the_number_of_workers_is_limited_by_cores_memory_and_size(
    four_slices: Path,
    monkeypatch: pytest.MonkeyPatch,
    sizes: list[int],
    memory_limit: int,
    cores: int,
    expected: int,
) -> None:
    source = MpdSource(four_slices, SourceConfig(memory_limit=memory_limit))
    [file, *_] = source._files.slices
    monkeypatch.setattr(source._files, "slices", [file._replace(size=size) for size in sizes])
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert source._n_workers() == expected
