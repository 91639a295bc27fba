"""The quick way through a slice: it agrees with the careful one, or leaves the slice to it."""

from __future__ import annotations

import json
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from segue.errors import SourceError
from segue.sources.mpd_columns import LAST_SECOND, decode_columns
from segue.sources.mpd_decoding import decode_records, decode_slice


def text_of(playlists: Any, **others: Any) -> bytes:
    return json.dumps(others | {"playlists": playlists}, indent=2).encode()


def playlist(*tracks: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"pid": 3, "tracks": list(tracks)} | fields


def assert_ways_agree(text: bytes) -> None:
    quick, careful = decode_columns(text), decode_records(text, "x")
    assert quick is not None
    assert quick.inconsistent == careful.inconsistent
    assert quick.chunk.sequences.equals(careful.chunk.sequences, check_metadata=True)
    assert quick.chunk.items.equals(careful.chunk.items, check_metadata=True)


def optional(**fields: st.SearchStrategy[Any]) -> dict[str, st.SearchStrategy[Any]]:
    return {name: st.none() | values for name, values in fields.items()}


WORDS = st.text(max_size=3)
WHOLE = st.integers(-(2**63), 2**63 - 1)
TRACK = st.fixed_dictionaries(
    {"track_uri": st.sampled_from(["a", "b", "", "\u00e9", "\N{SNOWMAN}"])},
    optional=optional(
        track_name=WORDS,
        artist_name=WORDS,
        album_name=WORDS,
        artist_uri=WORDS,
        album_uri=WORDS,
        duration_ms=st.integers(-5, 2**40),
    )
    | {"unknown": st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=2)},
)
FIELDS = optional(
    name=WORDS,
    description=WORDS,
    collaborative=st.sampled_from(["true", "false"]),
    modified_at=st.integers(0, LAST_SECOND),
    num_followers=WHOLE,
    num_edits=WHOLE,
    num_tracks=st.integers(0, 3),
    duration_ms=st.integers(-5, 9),
)


@st.composite
def usual_playlists(draw: st.DrawFn) -> dict[str, Any]:
    fields = draw(st.fixed_dictionaries({"pid": WHOLE}, optional=FIELDS))
    tracks = draw(st.lists(TRACK, max_size=4))
    return fields | {"tracks": tracks}


@hypothesis.given(st.lists(usual_playlists(), max_size=6), st.booleans(), st.booleans())
def test_both_ways_give_the_same(playlists: list[Any], in_place: bool, ascii_only: bool) -> None:
    if in_place:
        for each in playlists:
            each["tracks"] = [track | {"pos": i} for i, track in enumerate(each["tracks"])]
    text = json.dumps({"info": {"version": [1]}, "playlists": playlists}, ensure_ascii=ascii_only)
    assert_ways_agree(text.encode())


def test_sums_and_counts_that_disagree_are_found_at_either_end() -> None:
    lasting = {"track_uri": "a", "duration_ms": 4}
    silent = {"track_uri": "b"}
    playlists = [
        playlist(lasting, pid=0, duration_ms=5, num_tracks=2),
        playlist(pid=1, duration_ms=0, num_tracks=0),
        playlist(pid=2, duration_ms=1, num_tracks=1),
        playlist(lasting, lasting, pid=3, duration_ms=8, num_tracks=2),
        playlist(lasting, silent, pid=4, duration_ms=5, num_tracks=2),
        playlist(lasting, pid=5, duration_ms=3, num_tracks=0),
    ]
    found = decode_columns(text_of(playlists))
    assert found is not None
    assert found.inconsistent == {
        "positions": [],
        "counts": ["0", "2", "5"],
        "durations": ["0", "2", "5"],
    }
    assert_ways_agree(text_of(playlists))


def test_an_item_is_described_where_it_is_first_met() -> None:
    names = ["b", "a", "b", "c", "a"]
    tracks = [{"track_uri": uri, "track_name": f"{uri} {i}"} for i, uri in enumerate(names)]
    found = decode_columns(text_of([playlist(*tracks[:3]), playlist(*tracks[3:], pid=4)]))
    assert found is not None
    assert found.chunk.items["title"].to_pylist() == ["b 0", "a 1", "c 3"]
    assert found.chunk.sequences["items"].to_pylist() == [["b", "a", "b"], ["c", "a"]]


@pytest.mark.parametrize(
    "unusual",
    [
        playlist(pid="a"),
        playlist(collaborative=True),
        playlist({"track_uri": "a", "pos": 1}, {"track_uri": "b", "pos": 0}),
        playlist({"track_uri": "a", "pos": 0}, {"track_uri": "b"}),
    ],
)
def test_the_unusual_is_left_to_the_records(unusual: dict[str, Any]) -> None:
    text = text_of([playlist({"track_uri": "a"}, pid=9), unusual])
    assert decode_columns(text) is None
    careful = decode_records(text, "x")
    assert decode_slice(text, "x") == careful
    assert careful.chunk.sequences.num_rows == 2


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
def test_what_is_wrong_is_never_taken(text: bytes) -> None:
    assert decode_columns(text) is None


@pytest.mark.parametrize("text", [text_of([playlist(pid=None)]), text_of([playlist({})])])
def test_the_careful_way_says_where(text: bytes) -> None:
    with pytest.raises(SourceError, match="playlist 0"):
        decode_slice(text, "x")
