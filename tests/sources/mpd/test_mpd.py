"""The format ``mpd``: columns, consistency checks, reports, and the real files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from mpd_slices import (
    CONFIG,
    bare_playlist,
    decode_by_hand,
    full_playlist,
    playlists_of,
    read_chunks,
    write_slice,
)

from segue.errors import SourceError
from segue.sources.mpd.source import MpdSource
from segue.sources.schema import ITEM_COLUMNS, SEQUENCE_COLUMNS, Chunk


def test_all_fields_of_a_playlist_are_read(tmp_path: Path) -> None:
    playlist = full_playlist(7, "one two one", description="for the road", collaborative="true")
    [chunk] = read_chunks(write_slice(tmp_path, 0, playlist))
    [row] = chunk.sequences.to_pylist()
    modified = row.pop("modified_at")
    assert modified.timestamp() == 1_500_000_007
    assert row == {
        "sequence_id": "7",
        "items": ["spotify:track:one", "spotify:track:two", "spotify:track:one"],
        "name": "list 7",
        "description": "for the road",
        "collaborative": True,
        "num_followers": 2,
        "num_edits": 3,
    }
    assert chunk.items.to_pylist()[1] == {
        "item_id": "spotify:track:two",
        "title": "Two",
        "artist": "artist of two",
        "album": "album of two",
        "artist_uri": "spotify:artist:two",
        "album_uri": "spotify:album:two",
        "duration_ms": 2000,
    }
    assert chunk.items.num_rows == 2


def test_missing_fields_are_null_columns(tmp_path: Path) -> None:
    [full] = read_chunks(write_slice(tmp_path / "full", 0, full_playlist(0, "a")))
    [bare] = read_chunks(
        write_slice(tmp_path / "bare", 0, bare_playlist(0, "a b"), bare_playlist(1, ""))
    )
    assert bare.sequences.schema == full.sequences.schema
    assert bare.items.schema == full.items.schema
    assert playlists_of([bare]) == [("0", ["a", "b"]), ("1", [])]
    assert bare.items["title"].null_count == 2
    assert bare.sequences["name"].null_count == 2


def test_the_fixed_columns_have_the_types_of_the_schema(tmp_path: Path) -> None:
    [chunk] = read_chunks(write_slice(tmp_path, 0, full_playlist(0, "a")))
    for columns, batch in ((SEQUENCE_COLUMNS, chunk.sequences), (ITEM_COLUMNS, chunk.items)):
        for field in batch.schema:
            assert columns.get(field.name, field.type) == field.type
    assert "times" not in chunk.sequences.schema.names


def test_tracks_out_of_position_are_sorted_and_reported(tmp_path: Path) -> None:
    shuffled = full_playlist(5, "a b c")
    shuffled["tracks"].reverse()
    gap = full_playlist(6, "a b")
    gap["tracks"][1]["pos"] = 9
    partly = full_playlist(7, "b a")
    del partly["tracks"][0]["pos"]
    source = MpdSource(
        write_slice(tmp_path, 0, shuffled, gap, partly, bare_playlist(8, "z y")), CONFIG
    )
    assert [[item[-1] for item in items] for _, items in playlists_of(list(source.chunks()))] == [
        ["a", "b", "c"],
        ["a", "b"],
        ["b", "a"],
        ["z", "y"],
    ]
    assert source.report()["inconsistent"] == {
        "ids": 0,
        "positions": 3,
        "counts": 0,
        "durations": 0,
    }
    [warning] = source.report()["warnings"]
    assert warning == (
        "3 playlists (the first is 5) with track positions other than 0, 1, 2, ...: "
        "tracks sorted by position"
    )


def test_a_report_covers_only_the_last_reading(tmp_path: Path) -> None:
    source = MpdSource(write_slice(tmp_path, 0, full_playlist(1, "a", num_tracks=3)), CONFIG)
    for _ in range(2):
        assert len(list(source.chunks())) == 1
        assert source.report()["inconsistent"]["counts"] == 1


def test_a_repeated_pid_is_refused(tmp_path: Path) -> None:
    write_slice(tmp_path, 0, bare_playlist(0, "a"), bare_playlist(4, "b"))
    write_slice(tmp_path, 1_000, bare_playlist(4, "c"))
    with pytest.raises(
        SourceError, match=r"mpd\.slice\.1000-1999\.json: playlist 4 occurs more than once"
    ):
        read_chunks(tmp_path)


def count_rows(chunks: Iterator[Chunk]) -> tuple[int, int, int]:
    playlists, entries, tracks = 0, 0, set()
    for chunk in chunks:
        playlists += chunk.sequences.num_rows
        entries += len(chunk.sequences["items"].values)
        tracks.update(chunk.items["item_id"].to_pylist())
    return playlists, entries, len(tracks)


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("folder", "expected"),
    [("mpd-subset", (5_657, 558_000, 174_490)), ("mpd-full-fields", (100, 6_100, 5_220))],
)
def test_real_playlists(segue_data: Path, folder: str, expected: tuple[int, int, int]) -> None:
    source = MpdSource(segue_data / folder, CONFIG)
    assert count_rows(source.chunks()) == expected
    assert source.report()["warnings"] == []


@pytest.mark.real_data
def test_a_real_slice_agrees_with_plain_json(segue_data: Path) -> None:
    path = segue_data / "mpd-full-fields/mpd.slice.0-99.json"
    playlists = json.loads(path.read_bytes())["playlists"]
    rows, items = decode_by_hand(playlists)
    [chunk] = read_chunks(path)
    assert playlists_of([chunk]) == rows
    assert chunk.items["item_id"].to_pylist() == list(items)
    assert chunk.sequences["name"].to_pylist() == [playlist["name"] for playlist in playlists]
    assert set(chunk.sequences["collaborative"].to_pylist()) <= {True, False}
