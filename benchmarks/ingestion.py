"""Playlist slices per core-second: Segue's reader against pydantic and SQLite.

The other way is that of the public playlist transformer (trecs): pydantic validates every
record of a slice; playlists, artists, albums, tracks and entries are rows of SQLite tables
with foreign keys, each artist, album and track inserted when it is first met; an index is
made at the end. Both ways end on disk. Counted is processor time, user and system; the two
take turns, so that other work on the machine falls on both alike.

Measures a generated slice of the dataset's shape (33 MB, 1,000 playlists, every field) and,
where SEGUE_DATA names a folder of real data, the real slices in it. Then Segue alone reads a
folder of generated slices with its worker processes, in a fresh process: the memory of all of
them, and how long the dataset's 1,000 slices would take on two idle cores.

    python benchmarks/ingestion.py
"""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from pydantic import BaseModel
from rich.console import Console
from rich.table import Table

from segue.config import SourceConfig
from segue.sources.mpd import MpdSource

REPEATS = 3
"""The best of so many: other work on the machine only ever adds time."""

FEW, MANY = 4, 12
"""Slices of the folders that are read with two workers; the difference is without their start."""

ALL_SLICES, CORES = 1_000, 2
"""What is projected: the whole dataset on a small machine."""

PLAYLISTS = 1_000
MEAN_LENGTH = 66
CATALOGUE = 100_000
"""Tracks to draw from, by a power law that leaves about 36,000 distinct ones in a slice."""


class Track(BaseModel):
    """An entry of a playlist, as the other way validates it."""

    pos: int
    track_uri: str
    track_name: str
    artist_uri: str | None = None
    artist_name: str
    album_uri: str | None = None
    album_name: str | None = None
    duration_ms: int | None = None


class Playlist(BaseModel):
    """A playlist, as the other way validates it."""

    pid: int
    name: str
    modified_at: int | None = None
    num_tracks: int
    num_followers: int
    num_edits: int
    duration_ms: int
    collaborative: bool | None = None
    tracks: list[Track]


class Slice(BaseModel):
    """The outermost object of a slice."""

    info: dict[str, str]
    playlists: list[Playlist]


SCHEMA = """
PRAGMA foreign_keys = ON;
CREATE TABLE playlists (id INTEGER PRIMARY KEY, name TEXT, collaborative INTEGER,
    modified_at INTEGER, num_followers INTEGER, num_edits INTEGER);
CREATE TABLE artists (id INTEGER PRIMARY KEY, uri TEXT UNIQUE, name TEXT);
CREATE TABLE albums (id INTEGER PRIMARY KEY, uri TEXT UNIQUE, name TEXT);
CREATE TABLE tracks (id INTEGER PRIMARY KEY, uri TEXT NOT NULL UNIQUE, name TEXT,
    duration_ms INTEGER, artist_id REFERENCES artists(id), album_id REFERENCES albums(id));
CREATE TABLE entries (id INTEGER PRIMARY KEY, playlist_id NOT NULL REFERENCES playlists(id),
    pos INTEGER NOT NULL, track_id NOT NULL REFERENCES tracks(id));
"""
INDEX = "CREATE INDEX entries_of_playlists ON entries (playlist_id)"


class Result(NamedTuple):
    """What one way took for some slices."""

    slices: int
    megabytes: float
    entries: int
    core_s: float


def make_slice(number: int = 0) -> bytes:
    """A slice of the shape of the real ones, with every field, as it is indented there."""
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
    """One entry; names are as long as real ones are in the mean."""
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
    """One playlist around its entries."""
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


def with_segue(paths: list[Path], output: Path) -> int:
    """Read slices into Arrow and write them; returns the number of entries."""
    return sum(read_and_write(path, output / path.stem) for path in paths)


def read_and_write(path: Path, output: Path) -> int:
    """The same for one slice or a folder of them."""
    entries = 0
    for number, chunk in enumerate(MpdSource(path, SourceConfig()).chunks()):
        entries += len(chunk.sequences["items"].values)
        for name, batch in chunk._asdict().items():
            place = output.with_name(f"{output.name}-{name}-{number}.arrow")
            with pa.ipc.new_file(place, batch.schema) as writer:
                writer.write_batch(batch)
    return entries


def with_pydantic_and_sqlite(paths: list[Path], output: Path) -> int:
    """Validate every record and insert its rows; returns the number of entries."""
    with closing(sqlite3.connect(output / "playlists.db")) as connection:
        connection.executescript(SCHEMA)
        database = Database(connection)
        for path in paths:
            for playlist in Slice.model_validate_json(path.read_text("utf-8")).playlists:
                database.insert(playlist)
        connection.commit()
        connection.execute(INDEX)
        [entries] = connection.execute("SELECT count(*) FROM entries").fetchone()
    return entries


class Database:
    """The tables of the other way, and the row ids of what is in them by uri."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.known: dict[str, int] = {}

    def insert(self, playlist: Playlist) -> None:
        """Insert a playlist with its entries, and what is new of its tracks."""
        row = playlist.model_dump(exclude={"tracks", "num_tracks", "duration_ms", "pid"})
        playlist_id = self._insert("playlists", row | {"id": playlist.pid})
        entries = [(playlist_id, track.pos, self._track(track)) for track in playlist.tracks]
        sql = "INSERT INTO entries (playlist_id, pos, track_id) VALUES (?, ?, ?)"
        self.connection.executemany(sql, entries)

    def _track(self, track: Track) -> int:
        row = {
            "uri": track.track_uri,
            "name": track.track_name,
            "duration_ms": track.duration_ms,
            "artist_id": self._named("artists", track.artist_uri, track.artist_name),
            "album_id": self._named("albums", track.album_uri, track.album_name),
        }
        return self._insert_new("tracks", row)

    def _named(self, table: str, uri: str | None, name: str | None) -> int | None:
        return self._insert_new(table, {"uri": uri, "name": name}) if uri else None

    def _insert_new(self, table: str, row: dict[str, Any]) -> int:
        if row["uri"] not in self.known:
            self.known[row["uri"]] = self._insert(table, row)
        return self.known[row["uri"]]

    def _insert(self, table: str, row: dict[str, Any]) -> int:
        columns, values = ", ".join(row), ", ".join(f":{column}" for column in row)
        sql = f"INSERT INTO {table} ({columns}) VALUES ({values})"
        return self.connection.execute(sql, row).lastrowid or 0


def measure(way: Callable[[list[Path], Path], int], paths: list[Path]) -> Result:
    """One run, into an empty folder."""
    with tempfile.TemporaryDirectory() as output:
        started = time.process_time()
        entries = way(paths, Path(output))
        taken = time.process_time() - started
    size = sum(path.stat().st_size for path in paths)
    return Result(len(paths), size / 1e6, entries, taken)


def compare(name: str, paths: list[Path]) -> dict[str, Any]:
    """Both ways in turns over the same slices; they must find the same."""
    ways = (with_segue, with_pydantic_and_sqlite)
    turns = [[measure(way, paths) for way in ways] for _ in range(REPEATS)]
    ours, other = (min(runs, key=lambda run: run.core_s) for runs in zip(*turns, strict=True))
    if ours.entries != other.entries:
        raise RuntimeError(f"{name}: {ours.entries} entries against {other.entries}")
    return {
        "data": name,
        "slices": ours.slices,
        "mb": round(ours.megabytes, 1),
        "entries": ours.entries,
        "segue_core_s": round(ours.core_s, 3),
        "other_core_s": round(other.core_s, 3),
        "segue_slices_per_core_s": round(ours.slices / ours.core_s, 2),
        "other_slices_per_core_s": round(other.slices / other.core_s, 2),
        "ratio": round(other.core_s / ours.core_s, 1),
    }


def project(few: Path, many: Path) -> dict[str, Any]:
    """Read folders with worker processes; to be called in a process that has done nothing."""
    fewer, core_s_few = core_seconds_of(few)
    more, core_s_many = core_seconds_of(many)
    core_s_a_slice = (core_s_many - core_s_few) / (more - fewer)
    projected = core_s_few + (ALL_SLICES - fewer) * core_s_a_slice
    # Of the workers the system remembers the largest; none is counted for less.
    peak = peak_bytes(resource.RUSAGE_SELF) + CORES * peak_bytes(resource.RUSAGE_CHILDREN)
    return {
        "core_s_a_slice": round(core_s_a_slice, 3),
        f"core_s_of_{fewer}": round(core_s_few, 2),
        f"core_s_of_{more}": round(core_s_many, 2),
        "peak_mb": round(peak / 1e6),
        "projected_s": round(projected / CORES, 1),
    }


def core_seconds_of(folder: Path) -> tuple[int, float]:
    """The slices in a folder, and the time of reading them in all processes."""
    started = core_seconds()
    with tempfile.TemporaryDirectory() as output:
        read_and_write(folder, Path(output) / "all")
    return len(list(folder.iterdir())), core_seconds() - started


def core_seconds() -> float:
    """Of this process and the workers that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def peak_bytes(who: int) -> int:
    """Peak resident memory of this process, or of the largest of its workers."""
    peak = resource.getrusage(who).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def real_slices() -> dict[str, list[Path]]:
    """The folders of real slices under SEGUE_DATA, if it is set."""
    root = os.environ.get("SEGUE_DATA")
    files = sorted(Path(root).glob("*/mpd.slice.*.json")) if root else []
    folders = dict.fromkeys(file.parent for file in files)
    return {folder.name: [file for file in files if file.parent == folder] for folder in folders}


def generate(place: Path) -> tuple[Path, Path]:
    """Write a folder of few slices, and one of many."""
    few, many = place / "few", place / "many"
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
    """Measure, draw the tables, and end with one line of JSON."""
    with tempfile.TemporaryDirectory() as place:
        few, many = generate(Path(place))
        with multiprocessing.get_context("spawn").Pool(1) as fresh:
            projection = fresh.apply(project, (few, many))
        results = [compare("generated", sorted(few.iterdir())[:1])]
    results += [compare(name, paths) for name, paths in real_slices().items()]
    console = Console(width=120)
    show(console, "Playlist slices: Segue, and the other way (pydantic and SQLite)", results)
    title = f"Segue with worker processes; {ALL_SLICES:,} slices on {CORES} cores projected"
    show(console, title, [projection])
    record = {"benchmark": "ingestion", "results": results, "projection": projection}
    console.out(json.dumps(record), highlight=False)


def show(console: Console, title: str, rows: list[dict[str, Any]]) -> None:
    """Print a table."""
    table = Table(title=title)
    for column in rows[0]:
        table.add_column(column.replace("_", " "), justify="left" if column == "data" else "right")
    for row in rows:
        table.add_row(*map(str, row.values()))
    console.print(table)


if __name__ == "__main__":
    main()
