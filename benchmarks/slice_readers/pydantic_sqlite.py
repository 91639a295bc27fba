"""A reader of playlist slices that validates with pydantic and inserts rows into SQLite.

It works like the reader of playlist-decoder (trecs), the public playlist transformer: pydantic
validates every record of a slice. Playlists, artists, albums, tracks and entries are rows of
SQLite tables with foreign keys. An artist, album or track is inserted at its first occurrence. An
index is created at the end.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from pydantic import BaseModel


class TrackRecord(BaseModel):
    """An entry of a playlist."""

    pos: int
    track_uri: str
    track_name: str
    artist_uri: str | None = None
    artist_name: str
    album_uri: str | None = None
    album_name: str | None = None
    duration_ms: int | None = None


class PlaylistRecord(BaseModel):
    """A playlist with its entries."""

    pid: int
    name: str
    modified_at: int | None = None
    num_tracks: int
    num_followers: int
    num_edits: int
    duration_ms: int
    collaborative: bool | None = None
    tracks: list[TrackRecord]


class SliceRecord(BaseModel):
    """A slice: the outermost object of a file."""

    info: dict[str, str]
    playlists: list[PlaylistRecord]


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


def read_with_pydantic_and_sqlite(paths: list[Path], output: Path) -> int:
    """Read slices into a new database in the folder ``output``; returns the number of entries."""
    with closing(sqlite3.connect(output / "playlists.db")) as connection:
        connection.executescript(SCHEMA)
        database = PlaylistDatabase(connection)
        for path in paths:
            for playlist in SliceRecord.model_validate_json(path.read_text("utf-8")).playlists:
                database.insert(playlist)
        connection.commit()
        connection.execute(INDEX)
        [entries] = connection.execute("SELECT count(*) FROM entries").fetchone()
    return entries


class PlaylistDatabase:
    """Inserts playlists into the tables of ``SCHEMA``, with a cache of row ids by URI."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.row_ids: dict[str, int] = {}

    def insert(self, playlist: PlaylistRecord) -> None:
        """Insert a playlist, its entries, and the tracks, artists and albums that are new."""
        row = playlist.model_dump(exclude={"tracks", "num_tracks", "duration_ms", "pid"})
        playlist_id = self._insert("playlists", row | {"id": playlist.pid})
        entries = [(playlist_id, track.pos, self._track(track)) for track in playlist.tracks]
        sql = "INSERT INTO entries (playlist_id, pos, track_id) VALUES (?, ?, ?)"
        self.connection.executemany(sql, entries)

    def _track(self, track: TrackRecord) -> int:
        row = {
            "uri": track.track_uri,
            "name": track.track_name,
            "duration_ms": track.duration_ms,
            "artist_id": self._artist_or_album("artists", track.artist_uri, track.artist_name),
            "album_id": self._artist_or_album("albums", track.album_uri, track.album_name),
        }
        return self._insert_if_new("tracks", row)

    def _artist_or_album(self, table: str, uri: str | None, name: str | None) -> int | None:
        return self._insert_if_new(table, {"uri": uri, "name": name}) if uri else None

    def _insert_if_new(self, table: str, row: dict[str, Any]) -> int:
        """The id of the row with this URI, inserted if there is none."""
        if row["uri"] not in self.row_ids:
            self.row_ids[row["uri"]] = self._insert(table, row)
        return self.row_ids[row["uri"]]

    def _insert(self, table: str, row: dict[str, Any]) -> int:
        columns, values = ", ".join(row), ", ".join(f":{column}" for column in row)
        sql = f"INSERT INTO {table} ({columns}) VALUES ({values})"
        return self.connection.execute(sql, row).lastrowid or 0
