"""Decoding slices of the Million Playlist Dataset: values, checks and invalid slices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st
from mpd_slices import (
    bare_playlist,
    decode,
    decode_by_hand,
    full_playlist,
    full_track,
    playlists_of,
    read_chunks,
    slice_text,
)

from segue.errors import SourceError
from segue.sources.mpd.decoder import decode_slice


def test_the_first_description_of_a_track_is_used() -> None:
    first = full_playlist(0, "b a")
    first["tracks"].append(full_track(2, "b", track_name="another name"))
    later = full_playlist(1, "c a", tracks=[full_track(0, "c"), full_track(1, "a")])
    chunk = decode_slice(slice_text([first, later]), "x").chunk
    assert chunk.items["title"].to_pylist() == ["B", "A", "C"]


def test_ids_are_kept_as_written() -> None:
    chunk = decode_slice(slice_text([bare_playlist(0, "é:1 ' \N{SNOWMAN}")]), "x").chunk
    assert playlists_of([chunk]) == [("0", ["é:1", "'", "\N{SNOWMAN}"])]


TRACKS = st.lists(
    st.fixed_dictionaries(
        {"track_uri": st.sampled_from("abcdefgh")},
        optional={
            "track_name": st.text(max_size=5),
            "artist_name": st.none() | st.text(max_size=3),
            "duration_ms": st.integers(0, 2**40),
            "unknown_field": st.lists(st.integers(), max_size=2),
        },
    ),
    max_size=6,
)


@hypothesis.given(lists=st.lists(TRACKS, max_size=35))
def test_decoding_agrees_with_plain_dicts(lists: list[list[dict[str, Any]]]) -> None:
    playlists = [{"pid": i, "tracks": tracks} for i, tracks in enumerate(lists)]
    chunk = decode_slice(slice_text(playlists), "x").chunk
    rows, items = decode_by_hand(playlists)
    assert playlists_of([chunk]) == rows
    decoded_items = {
        row["item_id"]: (row["title"], row["artist"], row["duration_ms"])
        for row in chunk.items.to_pylist()
    }
    assert decoded_items == items
    assert list(decoded_items) == list(items)


def test_counts_and_durations_that_disagree_are_reported() -> None:
    slice_ = decode(
        full_playlist(0, "a b"),
        full_playlist(1, "a b", num_tracks=3),
        full_playlist(2, "a b", duration_ms=1),
        bare_playlist(3, "a"),
        bare_playlist(4, "a") | {"duration_ms": 5},
    )
    assert slice_.inconsistent == {"positions": [], "counts": ["1"], "durations": ["2"]}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", "is empty"),
        (b" \n\t", "is empty"),
        (slice_text([full_playlist(0, "a b c")])[:-200], "truncated"),
        (b"\x1f\x8b\x08", r"malformed.*byte 0"),
        (b"[]", "Expected `object`, got `array`"),
        (b"{}", "missing required field `playlists`"),
        (b'{"playlists": {}}', r"Expected `array`, got `object` - at `\$.playlists`"),
        (
            b'{"playlists": [{"tracks": []}]}',
            r"playlist 0 \(counted from 0\) of the file: .* missing required field `pid`",
        ),
        (b'{"playlists": [{"pid": 1}]}', "missing required field `tracks`"),
        (
            slice_text([bare_playlist(0, "a"), {"pid": 1, "tracks": [3]}]),
            r"playlist 1 \(counted from 0\) of the file: .*tracks\[0\]",
        ),
        (slice_text([{"pid": 1, "tracks": [{"track_uri": None}]}]), r"tracks\[0\]\.track_uri"),
        (slice_text([{"pid": 1, "tracks": [], "modified_at": 2**60}]), "modified_at"),
        (slice_text([{"pid": 1, "tracks": [{"track_uri": "", "pos": 2**64}]}]), "pos"),
        (b'{"playlists": [{"pid": 1, "tracks": [], "name": "\xff"}]}', "playlist 0"),
    ],
)
def test_an_invalid_slice_is_refused_with_a_one_line_error(
    tmp_path: Path, text: bytes, expected: str
) -> None:
    path = tmp_path / "mpd.slice.0-999.json"
    path.write_bytes(text)
    with pytest.raises(SourceError, match=expected) as error:
        read_chunks(tmp_path)
    assert "mpd.slice.0-999.json" in error.value.message
    assert "\n" not in str(error.value)
