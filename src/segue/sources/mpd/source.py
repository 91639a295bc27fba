"""The format ``mpd``, the Million Playlist Dataset: JSON slices in a folder or the original zip.

C. W. Chen, P. Lamere, M. Schedl, H. Zamani: "RecSys Challenge 2018: automatic music playlist
continuation", RecSys 2018. A sequence is a playlist in the order of its positions; events have
no times. Several processes decode the slices, which are yielded in their order.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import BufferedIOBase
from pathlib import Path
from typing import Any, cast

import msgspec
import numpy as np
import pyarrow as pa

from segue.config import SourceConfig
from segue.errors import SourceError, quantity
from segue.sources.mpd.decoder import decode_slice
from segue.sources.mpd.fast_decoder import DecodedSlice
from segue.sources.mpd.files import SliceFiles, has_slices
from segue.sources.schema import Chunk, Source
from segue.storage.string_index import StringIndex

BYTES_PER_WORKER = 64_000_000
"""Bytes of slices per worker process; for fewer, starting it (0.3 s) takes longer than it saves."""

MEMORY_PER_WORKER = 250_000_000
"""Peak memory of a worker in bytes, for a slice of 33 MB: its text and its columns, twice."""

_WARNINGS = {
    "ids": "with tracks that have no track_uri: these tracks left out",
    "positions": "with track positions other than 0, 1, 2, ...: tracks sorted by position",
    "counts": "with a num_tracks other than the number of tracks: num_tracks ignored",
    "durations": "with a duration_ms other than the sum over the tracks: duration_ms ignored",
}


def recognises(path: Path) -> bool:
    """Whether a path is a playlist slice, or a folder or zip that contains one."""
    return has_slices(path)


class MpdSource(Source):
    """Playlists in the order of the slice numbers, then of the file.

    The id of a sequence is the ``pid`` of the playlist; the id of an item is its ``track_uri``;
    both follow ``segue.ids``.
    """

    format = "mpd"
    sequences_are_users = False

    def __init__(self, path: Path, config: SourceConfig) -> None:
        """Find the slices.

        Args:
            path: a folder that contains ``mpd.slice.*.json`` or ``data/``, one slice, or the
                original zip, which is read without unpacking.
            config: only ``memory_limit`` (bytes) is used.

        Raises:
            SourceError: the path does not exist, contains no slice, or one that is too large.
        """
        self._path = path
        self._memory_limit = config.memory_limit
        self._files = SliceFiles(path, config.memory_limit)
        self._inconsistent: dict[str, list[str]] = {check: [] for check in _WARNINGS}

    def chunks(self) -> Iterator[Chunk]:
        self._inconsistent = {check: [] for check in _WARNINGS}
        previous_ids = StringIndex()
        for file, decoded in zip(self._files.slices, self._decoded(), strict=True):
            for check, failed_ids in decoded.inconsistent.items():
                self._inconsistent[check] += failed_ids
            ids = decoded.chunk.sequences["sequence_id"]
            if (pid := _first_repeated(ids, previous_ids)) is not None:
                message = f"{file.name}: playlist {pid} occurs more than once"
                raise SourceError(message, "expected a unique pid for every playlist")
            yield decoded.chunk

    def fingerprint(self) -> dict[str, Any]:
        files = [{"name": file.name, "bytes": file.size} for file in self._files.slices]
        return {"format": self.format, "files": files}

    def report(self) -> dict[str, Any]:
        warnings = [
            f"{quantity(len(ids), 'playlist')} (the first is {ids[0]}) {_WARNINGS[check]}"
            for check, ids in self._inconsistent.items()
            if ids
        ]
        if missing := self._files.missing():
            slices = quantity(len(missing), "missing slice")
            warnings.append(f"md5sums lists {slices}, such as {missing[0]}")
        counts = {check: len(ids) for check, ids in self._inconsistent.items()}
        checked = sum(file.name in self._files.checksums for file in self._files.slices)
        return {"warnings": warnings, "inconsistent": counts, "checksums": checked}

    def _decoded(self) -> Iterator[DecodedSlice]:
        """The slices in order; worker ``w`` of ``n`` decodes ``w``, ``w + n``, ``w + 2n``, ...

        A worker waits until its slice is received, so at most ``n`` slices are in memory.
        """
        slices = range(len(self._files.slices))
        n_workers = self._n_workers()
        if n_workers < 2:
            yield from (_decode(self._files, number) for number in slices)
            return
        with ExitStack() as stack:
            pipes = [
                stack.enter_context(_worker(self._path, self._memory_limit, worker, n_workers))
                for worker in range(n_workers)
            ]
            for number in slices:
                try:
                    decoded = _receive(pipes[number % n_workers])
                except (pa.ArrowException, OSError, ValueError):
                    # The worker ended. If the slice is invalid, decoding it here raises its
                    # error; if the worker lacked memory, this process decodes the slice.
                    decoded = _decode(self._files, number)
                yield decoded

    def _n_workers(self) -> int:
        size = sum(file.size for file in self._files.slices)
        useful = min(os.cpu_count() or 1, len(self._files.slices), size // BYTES_PER_WORKER)
        return max(1, min(useful, self._memory_limit // MEMORY_PER_WORKER))


def _first_repeated(ids: pa.Array, previous_ids: StringIndex) -> str | None:
    """The first id that occurs in ``previous_ids`` or earlier in ``ids``; adds ``ids`` to it."""
    n_previous = len(previous_ids)
    numbers = previous_ids.encode(ids)
    is_first = np.zeros(len(ids), bool)
    is_first[np.unique(numbers, return_index=True)[1]] = True
    repeated = np.flatnonzero(~is_first | (numbers < n_previous))
    return ids[int(repeated[0])].as_py() if len(repeated) else None


def _decode(files: SliceFiles, number: int) -> DecodedSlice:
    file = files.slices[number]
    return decode_slice(files.read(file), file.name)


@contextmanager
def _worker(path: Path, memory_limit: int, first: int, step: int) -> Iterator[BufferedIOBase]:
    """Start a process that writes every ``step``-th slice to a pipe, and yield the pipe.

    It is a plain interpreter, because ``multiprocessing`` would import the caller's script
    again in every process.
    """
    code = (
        "import sys; from segue.sources.mpd.source import send_slices; send_slices(*sys.argv[1:])"
    )
    command = [sys.executable, "-P", "-c", code, *map(str, (path, memory_limit, first, step))]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            yield cast(BufferedIOBase, process.stdout)
        finally:
            process.kill()


def send_slices(path: str, memory_limit: str, first: str, step: str) -> None:
    """Write every ``step``-th slice from ``first`` on to standard output; runs in a worker."""
    files = SliceFiles(Path(path), int(memory_limit))
    for number in range(int(first), len(files.slices), int(step)):
        _send(_decode(files, number), cast(BufferedIOBase, sys.stdout.buffer))


def _send(decoded: DecodedSlice, pipe: BufferedIOBase) -> None:
    """Write a slice as two Arrow streams, sequences and items, with the checks as metadata."""
    metadata = {"inconsistent": msgspec.json.encode(decoded.inconsistent)}
    sequences = decoded.chunk.sequences.replace_schema_metadata(metadata)
    for batch in (sequences, decoded.chunk.items):
        with pa.ipc.new_stream(pipe, batch.schema) as writer:
            writer.write_batch(batch)
    pipe.flush()


def _receive(pipe: BufferedIOBase) -> DecodedSlice:
    """Read the output of ``_send``.

    Raises:
        pa.ArrowException, OSError, ValueError: the stream ended early.
    """
    with pa.ipc.open_stream(pipe) as reader:
        [sequences] = reader
        inconsistent = reader.schema.metadata[b"inconsistent"]
    with pa.ipc.open_stream(pipe) as reader:
        [items] = reader
    chunk = Chunk(sequences.replace_schema_metadata(None), items)
    return DecodedSlice(chunk, msgspec.json.decode(inconsistent))
