"""Small Million Playlist Datasets: playlists, slices and zips, and reading them."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

from segue.config import SourceConfig
from segue.sources.mpd.decoder import decode_slice
from segue.sources.mpd.fast_decoder import DecodedSlice
from segue.sources.mpd.source import MpdSource
from segue.sources.schema import Chunk

CONFIG = SourceConfig()


def full_track(pos: int, name: str, **fields: Any) -> dict[str, Any]:
    track = {
        "pos": pos,
        "artist_name": f"artist of {name}",
        "track_uri": f"spotify:track:{name}",
        "artist_uri": f"spotify:artist:{name}",
        "track_name": name.title(),
        "album_uri": f"spotify:album:{name}",
        "duration_ms": 1000 * (pos + 1),
        "album_name": f"album of {name}",
    }
    return track | fields


def full_playlist(pid: int, names: str, **fields: Any) -> dict[str, Any]:
    tracks = [full_track(i, name) for i, name in enumerate(names.split())]
    playlist = {
        "name": f"list {pid}",
        "collaborative": "false",
        "pid": pid,
        "modified_at": 1_500_000_000 + pid,
        "num_tracks": len(tracks),
        "num_albums": len(tracks),
        "num_followers": 2,
        "num_edits": 3,
        "duration_ms": sum(track["duration_ms"] for track in tracks),
        "num_artists": len(tracks),
        "tracks": tracks,
    }
    return playlist | fields


def bare_playlist(pid: int, names: str) -> dict[str, Any]:
    return {"pid": pid, "tracks": [{"track_uri": name} for name in names.split()]}


def slice_text(playlists: list[dict[str, Any]]) -> bytes:
    return json.dumps({"info": {"version": "v1"}, "playlists": playlists}, indent=4).encode()


def write_slice(folder: Path, number: int, *playlists: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"mpd.slice.{number}-{number + 999}.json"
    path.write_bytes(slice_text(list(playlists)))
    return path


def zip_folder(folder: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder))
    return path


def write_checksums(folder: Path, names: list[str]) -> None:
    lines = [f"{hashlib.md5((folder / name).read_bytes()).hexdigest()}  {name}" for name in names]
    (folder / "md5sums").write_text("\n".join([*lines, "# not a line of md5sum", ""]))


def read_chunks(path: Path, config: SourceConfig = CONFIG) -> list[Chunk]:
    return list(MpdSource(path, config).chunks())


def playlists_of(chunks: list[Chunk]) -> list[tuple[str, list[str]]]:
    rows = [row for chunk in chunks for row in chunk.sequences.to_pylist()]
    return [(row["sequence_id"], row["items"]) for row in rows]


def decode(*playlists: dict[str, Any]) -> DecodedSlice:
    return decode_slice(slice_text(list(playlists)), "x")


def decode_by_hand(playlists: list[dict[str, Any]]) -> tuple[list[Any], dict[str, Any]]:
    """The slow reference: plain dicts."""
    items: dict[str, Any] = {}
    for playlist in playlists:
        for track in playlist["tracks"]:
            fields = (track.get("track_name"), track.get("artist_name"), track.get("duration_ms"))
            items.setdefault(track["track_uri"], fields)
    rows = [(str(p["pid"]), [track["track_uri"] for track in p["tracks"]]) for p in playlists]
    return rows, items
