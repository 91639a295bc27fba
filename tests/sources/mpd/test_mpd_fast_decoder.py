"""The fast slice decoder: it agrees with the record-by-record decoder, or returns None."""

from __future__ import annotations

import json
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from segue.errors import SourceError
from segue.sources.mpd.decoder import decode_records, decode_slice
from segue.sources.mpd.fast_decoder import LAST_SECOND, decode_regular_slice


def text_of(playlists: Any, **fields: Any) -> bytes:
    return json.dumps(fields | {"playlists": playlists}, indent=2).encode()


def playlist(*tracks: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"pid": 3, "tracks": list(tracks)} | fields


def assert_decoders_agree(text: bytes) -> None:
    fast, by_record = decode_regular_slice(text), decode_records(text, "x")
    assert fast is not None
    assert fast.inconsistent == by_record.inconsistent
    assert fast.chunk.sequences.equals(by_record.chunk.sequences, check_metadata=True)
    assert fast.chunk.items.equals(by_record.chunk.items, check_metadata=True)


def optional(**fields: st.SearchStrategy[Any]) -> dict[str, st.SearchStrategy[Any]]:
    return {name: st.none() | values for name, values in fields.items()}


TEXT = st.text(max_size=3)
INT64 = st.integers(-(2**63), 2**63 - 1)
TRACK = st.fixed_dictionaries(
    {"track_uri": st.sampled_from(["a", "b", "", "\u00e9", "\N{SNOWMAN}"])},
    optional=optional(
        track_name=TEXT,
        artist_name=TEXT,
        album_name=TEXT,
        artist_uri=TEXT,
        album_uri=TEXT,
        duration_ms=st.integers(-5, 2**40),
    )
    | {"unknown": st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=2)},
)
FIELDS = optional(
    name=TEXT,
    description=TEXT,
    collaborative=st.sampled_from(["true", "false"]),
    modified_at=st.integers(0, LAST_SECOND),
    num_followers=INT64,
    num_edits=INT64,
    num_tracks=st.integers(0, 3),
    duration_ms=st.integers(-5, 9),
)


@st.composite
def regular_playlists(draw: st.DrawFn) -> dict[str, Any]:
    fields = draw(st.fixed_dictionaries({"pid": INT64}, optional=FIELDS))
    tracks = draw(st.lists(TRACK, max_size=4))
    return fields | {"tracks": tracks}


@hypothesis.given(st.lists(regular_playlists(), max_size=6), st.booleans(), st.booleans())
def test_both_decoders_give_the_same(
    playlists: list[Any], has_positions: bool, ascii_only: bool
) -> None:
    if has_positions:
        for fields in playlists:
            fields["tracks"] = [track | {"pos": i} for i, track in enumerate(fields["tracks"])]
    text = json.dumps({"info": {"version": [1]}, "playlists": playlists}, ensure_ascii=ascii_only)
    assert_decoders_agree(text.encode())


def test_wrong_counts_and_durations_at_either_end_of_a_slice() -> None:
    timed = {"track_uri": "a", "duration_ms": 4}
    untimed = {"track_uri": "b"}
    playlists = [
        playlist(timed, pid=0, duration_ms=5, num_tracks=2),
        playlist(pid=1, duration_ms=0, num_tracks=0),
        playlist(pid=2, duration_ms=1, num_tracks=1),
        playlist(timed, timed, pid=3, duration_ms=8, num_tracks=2),
        playlist(timed, untimed, pid=4, duration_ms=5, num_tracks=2),
        playlist(timed, pid=5, duration_ms=3, num_tracks=0),
    ]
    decoded = decode_regular_slice(text_of(playlists))
    assert decoded is not None
    assert decoded.inconsistent == {
        "positions": [],
        "counts": ["0", "2", "5"],
        "durations": ["0", "2", "5"],
    }
    assert_decoders_agree(text_of(playlists))


def test_the_first_occurrence_of_a_track_describes_the_item() -> None:
    names = ["b", "a", "b", "c", "a"]
    tracks = [{"track_uri": uri, "track_name": f"{uri} {i}"} for i, uri in enumerate(names)]
    decoded = decode_regular_slice(text_of([playlist(*tracks[:3]), playlist(*tracks[3:], pid=4)]))
    assert decoded is not None
    assert decoded.chunk.items["title"].to_pylist() == ["b 0", "a 1", "c 3"]
    assert decoded.chunk.sequences["items"].to_pylist() == [["b", "a", "b"], ["c", "a"]]


@pytest.mark.parametrize(
    "irregular",
    [
        playlist(pid="a"),
        playlist(collaborative=True),
        playlist({"track_uri": "a", "pos": 1}, {"track_uri": "b", "pos": 0}),
        playlist({"track_uri": "a", "pos": 0}, {"track_uri": "b"}),
    ],
)
def test_an_irregular_slice_is_decoded_by_record(irregular: dict[str, Any]) -> None:
    text = text_of([playlist({"track_uri": "a"}, pid=9), irregular])
    assert decode_regular_slice(text) is None
    by_record = decode_records(text, "x")
    assert decode_slice(text, "x") == by_record
    assert by_record.chunk.sequences.num_rows == 2


@pytest.mark.parametrize(
    "text",
    [
        b"{}",
        b"[]",
        b'{"playlists": []} {"playlists": []}',
        b'{"playlists": []} x',
        b'{"playlists": [{"pid": 1, "tracks": []}',
        text_of(None),
        text_of([None]),
        text_of([playlist(pid=None)]),
        text_of([playlist(pid=2**64)]),
        text_of([playlist(tracks=None)]),
        text_of([playlist(tracks=[None])]),
        text_of([playlist({"track_uri": None})]),
        text_of([playlist({"track_name": "no id"})]),
        text_of([playlist({"track_uri": "a", "pos": 0.5})]),
        text_of([playlist({"track_uri": 7})]),
        text_of([playlist(name=["x"])]),
        text_of([playlist(collaborative="maybe")]),
        text_of([playlist(modified_at=-1)]),
        text_of([playlist(modified_at=LAST_SECOND + 1)]),
        text_of([playlist(name="?")]).replace(b"?", b"\xff"),
        text_of([playlist({"track_uri": "?"})]).replace(b"?", b"\xc3"),
        text_of([playlist(name="?")]).replace(b"?", b"\\ud800"),
        text_of([playlist(name="?")]).replace(b"?", b"\\udc00"),
    ],
)
def test_an_invalid_slice_is_not_decoded(text: bytes) -> None:
    assert decode_regular_slice(text) is None


@pytest.mark.parametrize("text", [text_of([playlist(pid=None)]), text_of([playlist({})])])
def test_the_error_of_an_invalid_slice_names_the_playlist(text: bytes) -> None:
    with pytest.raises(SourceError, match=r"x: playlist 0 \(counted from 0\) of the file: "):
        decode_slice(text, "x")
