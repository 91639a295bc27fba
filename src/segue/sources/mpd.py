"""The Million Playlist Dataset: slices of JSON, as a folder, one slice or the original zip.

C. W. Chen, P. Lamere, M. Schedl, H. Zamani: "RecSys Challenge 2018: automatic music playlist
continuation", RecSys 2018. A playlist is a sequence in the order of its positions; there are
no times of events. Slices are decoded by several processes and come in their order.
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
from segue.errors import SourceError
from segue.numbering import Numbering
from segue.sources.mpd_columns import DecodedSlice
from segue.sources.mpd_decoding import decode_slice
from segue.sources.mpd_files import SliceFiles, holds_slices
from segue.sources.schema import Chunk, Source
from segue.wording import counted

BYTES_PER_WORKER = 64_000_000
"""Slices of fewer bytes than this are not worth starting another process for (0.3 s)."""

MEMORY_PER_WORKER = 250_000_000
"""Bytes that a process needs at most for a slice of 33 MB: its text and its columns, twice."""

_WARNINGS = {
    "positions": "whose tracks were not at positions 0, 1, 2, ...: sorted by position",
    "counts": "whose num_tracks is not the number of its tracks: the tracks count",
    "durations": "whose duration_ms is not the sum over its tracks: not used",
}


def recognises(path: Path) -> bool:
    """Whether a path is a playlist slice, or a folder or zip that holds one."""
    return holds_slices(path)


class MpdSource(Source):
    """Playlists in the order of the slices' numbers, then of the file.

    A sequence's id is the playlist's ``pid``, an item's the ``track_uri`` as written.
    """

    format = "mpd"
    sequences_are_users = False

    def __init__(self, path: Path, config: SourceConfig) -> None:
        """Find the slices.

        Args:
            path: a folder of ``mpd.slice.*.json`` or with ``data/`` inside, one slice, or the
                original zip, which is read without unpacking.
            config: of which only ``memory_limit`` (bytes) is used.

        Raises:
            SourceError: nothing is there, or no slice in it.
        """
        self._path = path
        self._files = SliceFiles(path)
        self._memory_limit = config.memory_limit
        self._inconsistent: dict[str, list[str]] = {check: [] for check in _WARNINGS}

    def chunks(self) -> Iterator[Chunk]:
        self._inconsistent = {check: [] for check in _WARNINGS}
        seen = Numbering()
        for file, decoded in zip(self._files.slices, self._decoded(), strict=True):
            for check, ids in decoded.inconsistent.items():
                self._inconsistent[check] += ids
            if (playlist := _repeated(decoded.chunk.sequences["sequence_id"], seen)) is not None:
                message = f"{file.name}: playlist {playlist} has come before"
                raise SourceError(message, "each playlist needs a pid of its own")
            yield decoded.chunk

    def fingerprint(self) -> dict[str, Any]:
        files = [{"name": file.name, "bytes": file.size} for file in self._files.slices]
        return {"format": self.format, "files": files}

    def report(self) -> dict[str, Any]:
        warnings = [
            f"{counted(len(ids), 'playlist')} (the first is {ids[0]}) {_WARNINGS[check]}"
            for check, ids in self._inconsistent.items()
            if ids
        ]
        if missing := self._files.missing():
            more = counted(len(missing), "more slice")
            warnings.append(f"md5sums lists {more}, such as {missing[0]}")
        counts = {check: len(ids) for check, ids in self._inconsistent.items()}
        checked = sum(file.name in self._files.checksums for file in self._files.slices)
        return {"warnings": warnings, "inconsistent": counts, "checksums": checked}

    def _decoded(self) -> Iterator[DecodedSlice]:
        """The slices in order; worker ``w`` of ``n`` decodes ``w``, ``w + n``, ``w + 2n``, ...

        A worker waits until its slice is taken, so at most ``n`` slices are in memory.
        """
        slices = range(len(self._files.slices))
        workers = self._workers()
        if workers < 2:
            yield from (_decode(self._files, number) for number in slices)
            return
        with ExitStack() as stack:
            pipes = [stack.enter_context(_worker(self._path, w, workers)) for w in range(workers)]
            for number in slices:
                try:
                    decoded = _receive(pipes[number % workers])
                except (pa.ArrowException, OSError, ValueError):
                    # The worker has ended: of a bad slice, whose error comes up here, or for
                    # want of memory, and then this process does its work.
                    decoded = _decode(self._files, number)
                yield decoded

    def _workers(self) -> int:
        size = sum(file.size for file in self._files.slices)
        wanted = min(os.cpu_count() or 1, len(self._files.slices), size // BYTES_PER_WORKER)
        return max(1, min(wanted, self._memory_limit // MEMORY_PER_WORKER))


def _repeated(ids: pa.Array, seen: Numbering) -> str | None:
    """The first of some ids that was seen before, or twice among them; None for none."""
    n_seen = len(seen)
    numbers = seen.numbers(ids)
    new = np.zeros(len(ids), bool)
    new[np.unique(numbers, return_index=True)[1]] = True
    repeated = np.flatnonzero(~new | (numbers < n_seen))
    return ids[int(repeated[0])].as_py() if len(repeated) else None


def _decode(files: SliceFiles, number: int) -> DecodedSlice:
    file = files.slices[number]
    return decode_slice(files.read(file), file.name)


@contextmanager
def _worker(path: Path, first: int, step: int) -> Iterator[BufferedIOBase]:
    """A process that writes every ``step``-th slice to the pipe that this gives.

    It is a plain interpreter and not one of ``multiprocessing``, which would run the
    caller's script again in every process.
    """
    code = "import sys; from segue.sources.mpd import send_slices; send_slices(*sys.argv[1:])"
    command = [sys.executable, "-P", "-c", code, str(path), str(first), str(step)]
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


def send_slices(path: str, first: str, step: str) -> None:
    """Write every ``step``-th slice from ``first`` on to the standard output; a worker's work."""
    files = SliceFiles(Path(path))
    for number in range(int(first), len(files.slices), int(step)):
        _send(_decode(files, number), cast(BufferedIOBase, sys.stdout.buffer))


def _send(decoded: DecodedSlice, pipe: BufferedIOBase) -> None:
    """Write a slice as two Arrow streams, sequences and items; the rest is metadata."""
    note = {"inconsistent": msgspec.json.encode(decoded.inconsistent)}
    sequences = decoded.chunk.sequences.replace_schema_metadata(note)
    for batch in (sequences, decoded.chunk.items):
        with pa.ipc.new_stream(pipe, batch.schema) as writer:
            writer.write_batch(batch)
    pipe.flush()


def _receive(pipe: BufferedIOBase) -> DecodedSlice:
    """Read what ``_send`` wrote; an Arrow error, OSError or ValueError at a premature end."""
    with pa.ipc.open_stream(pipe) as reader:
        [sequences] = reader
        note = reader.schema.metadata[b"inconsistent"]
    with pa.ipc.open_stream(pipe) as reader:
        [items] = reader
    chunk = Chunk(sequences.replace_schema_metadata(None), items)
    return DecodedSlice(chunk, msgspec.json.decode(note))
