"""Playlist slices per core-second: Segue's reader compared with pydantic and SQLite.

    python benchmarks/ingestion.py

The other reader works like that of playlist-decoder (trecs), the public playlist transformer; see
``slice_readers/pydantic_sqlite.py``. Both write to disk. The benchmark reports processor time,
user and system. The two readers alternate, so that other work on the machine affects both alike.

The data are a generated slice with the shape of the Million Playlist Dataset (33 MB, 1,000
playlists, every field) and, if SEGUE_DATA names a folder of real data, the real slices in it.
Then Segue alone reads a folder of generated slices with its worker processes, in a new process:
the benchmark reports the memory of all processes, and projects the time for the 1,000 slices of
the dataset on two idle cores.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from rich.console import Console
from rich.table import Table
from slice_readers.pydantic_sqlite import read_with_pydantic_and_sqlite

from segue.config import SourceConfig
from segue.sources.mpd.source import MpdSource

REPEATS = 3
"""Measurements of each reader, of which the fastest is reported: other work only adds time."""

FEW, MANY = 4, 12
"""Slices in the two folders that are read with worker processes. The difference between their
times is free of the time that the processes take to start."""

ALL_SLICES, CORES = 1_000, 2
"""Slices of the full dataset, and processor cores, of the projection."""

PLAYLISTS = 1_000
MEAN_LENGTH = 66
CATALOGUE = 100_000
"""Tracks to draw from. The power law of the draw yields about 36,000 distinct ones per slice."""

SliceReader = Callable[[list[Path], Path], int]
"""``(slices, output folder)`` to the number of entries read."""


class ReaderTiming(NamedTuple):
    """The processor time of a reader for some slices.

    Attributes:
        slices: number of slices.
        megabytes: their size in MB.
        entries: number of playlist entries read.
        core_s: processor time in seconds, user and system.
    """

    slices: int
    megabytes: float
    entries: int
    core_s: float


def make_slice(number: int = 0) -> bytes:
    """A generated slice as JSON, with every field and the indentation of the real ones."""
    rng = np.random.default_rng(number)
    first = number * PLAYLISTS
    playlists = []
    for pid in range(first, first + PLAYLISTS):
        length = 5 + int(rng.exponential(MEAN_LENGTH - 5))
        numbers = (CATALOGUE * rng.random(length) ** 3).astype(int).tolist()
        tracks = [make_track(pos, number) for pos, number in enumerate(numbers)]
        playlists.append(make_playlist(pid, tracks))
    info = {
        "generated_on": "generated",
        "slice": f"{first}-{first + PLAYLISTS - 1}",
        "version": "v1",
    }
    return json.dumps({"info": info, "playlists": playlists}, indent=4).encode()


def make_track(pos: int, number: int) -> dict[str, Any]:
    """An entry of a playlist, with names of the average length of real ones."""
    return {
        "pos": pos,
        "artist_name": f"Artist N\u00ba {number // 8}",
        "track_uri": f"spotify:track:{number:022d}",
        "artist_uri": f"spotify:artist:{number // 8:022d}",
        "track_name": f"Some Track of the Number {number}",
        "album_uri": f"spotify:album:{number // 3:022d}",
        "duration_ms": 180_000 + number,
        "album_name": f"A Long Album {number // 3}",
    }


def make_playlist(pid: int, tracks: list[dict[str, Any]]) -> dict[str, Any]:
    """A playlist with these entries."""
    return {
        "name": f"playlist {pid}",
        "collaborative": "false",
        "pid": pid,
        "modified_at": 1_500_000_000 + pid,
        "num_tracks": len(tracks),
        "num_albums": len({track["album_uri"] for track in tracks}),
        "num_followers": 1,
        "tracks": tracks,
        "num_edits": 5,
        "duration_ms": sum(track["duration_ms"] for track in tracks),
        "num_artists": len({track["artist_uri"] for track in tracks}),
    }


def read_with_segue(paths: list[Path], output: Path) -> int:
    """Read slices and write Arrow files to ``output``; returns the number of entries."""
    return sum(read_and_write(path, output / path.stem) for path in paths)


def read_and_write(path: Path, output: Path) -> int:
    """Read one slice or a folder of slices, and write one Arrow file per table and chunk.

    Args:
        path: file or folder.
        output: path of the files to write, to whose name table and chunk number are appended.

    Returns:
        The number of entries.
    """
    entries = 0
    for number, chunk in enumerate(MpdSource(path, SourceConfig()).chunks()):
        entries += len(chunk.sequences["items"].values)
        for name, batch in chunk._asdict().items():
            arrow_file = output.with_name(f"{output.name}-{name}-{number}.arrow")
            with pa.ipc.new_file(arrow_file, batch.schema) as writer:
                writer.write_batch(batch)
    return entries


def measure(reader: SliceReader, paths: list[Path]) -> ReaderTiming:
    """Time one run of a reader, with an empty output folder."""
    with tempfile.TemporaryDirectory() as output:
        start = time.process_time()
        entries = reader(paths, Path(output))
        core_s = time.process_time() - start
    size = sum(path.stat().st_size for path in paths)
    return ReaderTiming(len(paths), size / 1e6, entries, core_s)


def compare(name: str, paths: list[Path]) -> dict[str, Any]:
    """A row of the table: both readers, alternately, on the same slices.

    Raises:
        RuntimeError: the readers read different numbers of entries.
    """
    readers = (read_with_segue, read_with_pydantic_and_sqlite)
    rounds = [[measure(reader, paths) for reader in readers] for _ in range(REPEATS)]
    segue, sqlite = (min(runs, key=lambda run: run.core_s) for runs in zip(*rounds, strict=True))
    if segue.entries != sqlite.entries:
        raise RuntimeError(
            f"{name}: Segue read {segue.entries} entries, pydantic and SQLite {sqlite.entries}"
        )
    return {
        "data": name,
        "slices": segue.slices,
        "mb": round(segue.megabytes, 1),
        "entries": segue.entries,
        "segue_core_s": round(segue.core_s, 3),
        "sqlite_core_s": round(sqlite.core_s, 3),
        "segue_slices_per_core_s": round(segue.slices / segue.core_s, 2),
        "sqlite_slices_per_core_s": round(sqlite.slices / sqlite.core_s, 2),
        "ratio": round(sqlite.core_s / segue.core_s, 1),
    }


def project(few: Path, many: Path) -> dict[str, Any]:
    """Read two folders with worker processes, and project the time for the full dataset.

    Call it in a new process, whose peak memory is that of this work alone.

    Args:
        few: folder of ``FEW`` slices.
        many: folder of ``MANY`` slices.
    """
    n_few, core_s_few = core_seconds_of(few)
    n_many, core_s_many = core_seconds_of(many)
    core_s_per_slice = (core_s_many - core_s_few) / (n_many - n_few)
    projected = core_s_few + (ALL_SLICES - n_few) * core_s_per_slice
    # The system reports only the peak of the largest worker, so every worker counts that much.
    peak = peak_bytes(resource.RUSAGE_SELF) + CORES * peak_bytes(resource.RUSAGE_CHILDREN)
    return {
        "core_s_per_slice": round(core_s_per_slice, 3),
        f"core_s_of_{n_few}": round(core_s_few, 2),
        f"core_s_of_{n_many}": round(core_s_many, 2),
        "peak_mb": round(peak / 1e6),
        "projected_s": round(projected / CORES, 1),
    }


def core_seconds_of(folder: Path) -> tuple[int, float]:
    """The number of slices in a folder, and the processor time of all processes to read them."""
    start = core_seconds()
    with tempfile.TemporaryDirectory() as output:
        read_and_write(folder, Path(output) / "all")
    return len(list(folder.iterdir())), core_seconds() - start


def core_seconds() -> float:
    """Processor time of this process and of its terminated workers, in seconds."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def peak_bytes(who: int) -> int:
    """Peak resident memory of this process, or of its largest worker."""
    peak = resource.getrusage(who).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def real_slices() -> dict[str, list[Path]]:
    """Real slices by the name of their folder under SEGUE_DATA; empty if that is not set."""
    root = os.environ.get("SEGUE_DATA")
    files = sorted(Path(root).glob("*/mpd.slice.*.json")) if root else []
    folders = dict.fromkeys(file.parent for file in files)
    return {folder.name: [file for file in files if file.parent == folder] for folder in folders}


def write_generated_slices(folder: Path) -> tuple[Path, Path]:
    """Write a subfolder of ``FEW`` generated slices and one of ``MANY``; returns both."""
    few, many = folder / "few", folder / "many"
    few.mkdir()
    many.mkdir()
    for number in range(MANY):
        first = number * PLAYLISTS
        path = many / f"mpd.slice.{first}-{first + PLAYLISTS - 1}.json"
        path.write_bytes(make_slice(number))
        if number < FEW:
            (few / path.name).hardlink_to(path)
    return few, many


def main() -> None:
    """Measure, print the tables, then one line of JSON."""
    with tempfile.TemporaryDirectory() as folder:
        few, many = write_generated_slices(Path(folder))
        with multiprocessing.get_context("spawn").Pool(1) as new_process:
            projection = new_process.apply(project, (few, many))
        results = [compare("generated", sorted(few.iterdir())[:1])]
    results += [compare(name, paths) for name, paths in real_slices().items()]
    console = Console(width=120)
    show(console, "Playlist slices: Segue compared with pydantic and SQLite", results)
    title = f"Segue with worker processes, projected to {ALL_SLICES:,} slices on {CORES} cores"
    show(console, title, [projection])
    record = {"benchmark": "ingestion", "results": results, "projection": projection}
    console.out(json.dumps(record), highlight=False)


def show(console: Console, title: str, rows: list[dict[str, Any]]) -> None:
    """Print rows with the same keys as a table."""
    table = Table(title=title)
    for column in rows[0]:
        table.add_column(column.replace("_", " "), justify="left" if column == "data" else "right")
    for row in rows:
        table.add_row(*map(str, row.values()))
    console.print(table)


if __name__ == "__main__":
    main()
