"""The Million Playlist Dataset: its shapes and places, its checks, and what is refused."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import signal
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pyarrow as pa
import pytest
from hypothesis import strategies as st

from segue.config import SourceConfig
from segue.errors import SourceError
from segue.sources import mpd
from segue.sources.mpd import MpdSource, recognises
from segue.sources.mpd_columns import DecodedSlice
from segue.sources.mpd_decoding import decode_slice
from segue.sources.schema import ITEM_COLUMNS, SEQUENCE_COLUMNS, Chunk

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


def read(path: Path, config: SourceConfig = CONFIG) -> list[Chunk]:
    return list(MpdSource(path, config).chunks())


def playlists_of(chunks: list[Chunk]) -> list[tuple[str, list[str]]]:
    rows = [row for chunk in chunks for row in chunk.sequences.to_pylist()]
    return [(row["sequence_id"], row["items"]) for row in rows]


@pytest.fixture
def four_slices(tmp_path: Path) -> Path:
    """A dataset whose numbers sort otherwise as text, in the layout of the original."""
    for number in (10_000, 2_000, 0, 1_000):
        write_slice(tmp_path / "mpd/data", number, full_playlist(number, "a b a"))
    (tmp_path / "mpd/README.md").write_text("about")
    (tmp_path / "mpd/data/notes.json").write_text("{}")
    return tmp_path / "mpd"


# What a record becomes.


def test_a_full_record_keeps_everything(tmp_path: Path) -> None:
    playlist = full_playlist(7, "one two one", description="for the road", collaborative="true")
    [chunk] = read(write_slice(tmp_path, 0, playlist))
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


def test_a_bare_record_has_the_same_columns_with_nulls(tmp_path: Path) -> None:
    [full] = read(write_slice(tmp_path / "full", 0, full_playlist(0, "a")))
    [bare] = read(write_slice(tmp_path / "bare", 0, bare_playlist(0, "a b"), bare_playlist(1, "")))
    assert bare.sequences.schema == full.sequences.schema
    assert bare.items.schema == full.items.schema
    assert playlists_of([bare]) == [("0", ["a", "b"]), ("1", [])]
    assert bare.items["title"].null_count == 2
    assert bare.sequences["name"].null_count == 2


def test_the_fixed_columns_have_the_types_of_the_schema(tmp_path: Path) -> None:
    [chunk] = read(write_slice(tmp_path, 0, full_playlist(0, "a")))
    for columns, batch in ((SEQUENCE_COLUMNS, chunk.sequences), (ITEM_COLUMNS, chunk.items)):
        for field in batch.schema:
            assert columns.get(field.name, field.type) == field.type
    assert "times" not in chunk.sequences.schema.names


def test_the_first_description_of_a_track_counts_and_items_come_as_first_met() -> None:
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


def decode_by_hand(playlists: list[dict[str, Any]]) -> tuple[list[Any], dict[str, Any]]:
    """The slow reference: plain dicts."""
    items: dict[str, Any] = {}
    for playlist in playlists:
        for track in playlist["tracks"]:
            fields = (track.get("track_name"), track.get("artist_name"), track.get("duration_ms"))
            items.setdefault(track["track_uri"], fields)
    rows = [(str(p["pid"]), [track["track_uri"] for track in p["tracks"]]) for p in playlists]
    return rows, items


@hypothesis.given(lists=st.lists(TRACKS, max_size=35))
def test_decoding_agrees_with_plain_dicts(lists: list[list[dict[str, Any]]]) -> None:
    playlists = [{"pid": i, "tracks": tracks} for i, tracks in enumerate(lists)]
    chunk = decode_slice(slice_text(playlists), "x").chunk
    rows, items = decode_by_hand(playlists)
    assert playlists_of([chunk]) == rows
    found = {
        row["item_id"]: (row["title"], row["artist"], row["duration_ms"])
        for row in chunk.items.to_pylist()
    }
    assert found == items
    assert list(found) == list(items)


# Where it lies.


def test_slices_come_in_the_order_of_their_numbers(four_slices: Path) -> None:
    ids = [pid for pid, _ in playlists_of(read(four_slices))]
    assert ids == ["0", "1000", "2000", "10000"]


def test_folder_data_folder_and_zip_are_the_same_source(four_slices: Path, tmp_path: Path) -> None:
    archive = zip_folder(four_slices, tmp_path / "spotify_million_playlist_dataset.zip")
    with zipfile.ZipFile(archive, "a") as more:
        more.writestr("__MACOSX/data/._mpd.slice.0-999.json", b"\0junk")
    paths = (four_slices, four_slices / "data", archive)
    assert len({json.dumps(MpdSource(path, CONFIG).fingerprint()) for path in paths}) == 1
    expected = read(four_slices)
    for path in paths:
        assert read(path) == expected
        assert recognises(path)


def test_one_slice_may_have_any_name(tmp_path: Path) -> None:
    path = tmp_path / "my playlists.json"
    write_slice(tmp_path, 0, bare_playlist(3, "a")).rename(path)
    assert playlists_of(read(path)) == [("3", ["a"])]
    assert not recognises(path)


def test_what_is_recognised(tmp_path: Path) -> None:
    assert recognises(write_slice(tmp_path / "full", 0))
    assert not recognises(tmp_path / "nowhere")
    assert not recognises(tmp_path)
    (tmp_path / "other.zip").write_bytes(b"PK")
    assert not recognises(tmp_path / "other.zip")


def test_the_fingerprint_names_no_place_and_sees_a_change(four_slices: Path) -> None:
    before = MpdSource(four_slices, CONFIG).fingerprint()
    assert str(four_slices) not in json.dumps(before)
    assert [file["name"] for file in before["files"]][:2] == [
        "mpd.slice.0-999.json",
        "mpd.slice.1000-1999.json",
    ]
    write_slice(four_slices / "data", 2_000, full_playlist(0, "a b c d"))
    assert MpdSource(four_slices, CONFIG).fingerprint() != before


# Checks: of checksums, positions, counts and durations.


def write_checksums(folder: Path, names: list[str]) -> None:
    lines = [f"{hashlib.md5((folder / name).read_bytes()).hexdigest()}  {name}" for name in names]
    (folder / "md5sums").write_text("\n".join([*lines, "# not a line of md5sum", ""]))


def test_checksums_are_checked_where_they_are_given(four_slices: Path, tmp_path: Path) -> None:
    write_checksums(four_slices, [f"data/mpd.slice.{n}-{n + 999}.json" for n in (0, 2_000)])
    archive = zip_folder(four_slices, tmp_path / "good.zip")
    for path in (four_slices, archive):
        source = MpdSource(path, CONFIG)
        assert len(list(source.chunks())) == 4
        assert source.report()["checksums"] == 2
        assert source.report()["warnings"] == []
    write_slice(four_slices / "data", 2_000, full_playlist(0, "changed"))
    for path in (four_slices, zip_folder(four_slices, tmp_path / "bad.zip")):
        with pytest.raises(SourceError, match=r"mpd\.slice\.2000-2999\.json has the MD5"):
            read(path)


def test_slices_that_the_checksums_miss_are_said(four_slices: Path) -> None:
    write_checksums(four_slices, ["data/mpd.slice.0-999.json", "data/mpd.slice.2000-2999.json"])
    (four_slices / "data/mpd.slice.2000-2999.json").unlink()
    [warning] = MpdSource(four_slices, CONFIG).report()["warnings"]
    assert warning == "md5sums lists 1 more slice, such as mpd.slice.2000-2999.json"


def decoded(*playlists: dict[str, Any]) -> DecodedSlice:
    return decode_slice(slice_text(list(playlists)), "x")


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
    assert source.report()["inconsistent"] == {"positions": 3, "counts": 0, "durations": 0}
    [warning] = source.report()["warnings"]
    assert warning.startswith("3 playlists (the first is 5) whose tracks were not at positions")


def test_counts_and_durations_that_disagree_are_reported() -> None:
    found = decoded(
        full_playlist(0, "a b"),
        full_playlist(1, "a b", num_tracks=3),
        full_playlist(2, "a b", duration_ms=1),
        bare_playlist(3, "a"),
        bare_playlist(4, "a") | {"duration_ms": 5},
    )
    assert found.inconsistent == {"positions": [], "counts": ["1"], "durations": ["2"]}


def test_a_report_is_of_the_last_reading(tmp_path: Path) -> None:
    source = MpdSource(write_slice(tmp_path, 0, full_playlist(1, "a", num_tracks=3)), CONFIG)
    for _ in range(2):
        assert len(list(source.chunks())) == 1
        assert source.report()["inconsistent"]["counts"] == 1


def test_a_pid_that_comes_again_is_refused(tmp_path: Path) -> None:
    write_slice(tmp_path, 0, bare_playlist(0, "a"), bare_playlist(4, "b"))
    write_slice(tmp_path, 1_000, bare_playlist(4, "c"))
    with pytest.raises(SourceError, match=r"mpd\.slice\.1000-1999\.json: playlist 4 has come"):
        read(tmp_path)


# What is refused.


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
        (b'{"playlists": [{"tracks": []}]}', "playlist 0 .* missing required field `pid`"),
        (b'{"playlists": [{"pid": 1}]}', "missing required field `tracks`"),
        (
            slice_text([bare_playlist(0, "a"), {"pid": 1, "tracks": [3]}]),
            r"playlist 1 .*tracks\[0\]",
        ),
        (slice_text([{"pid": 1, "tracks": [{"track_uri": None}]}]), r"tracks\[0\]\.track_uri"),
        (slice_text([{"pid": 1, "tracks": [], "modified_at": 2**60}]), "modified_at"),
        (slice_text([{"pid": 1, "tracks": [{"track_uri": "", "pos": 2**64}]}]), "pos"),
        (b'{"playlists": [{"pid": 1, "tracks": [], "name": "\xff"}]}', "playlist 0"),
    ],
)
def test_a_bad_slice_is_one_clear_line(tmp_path: Path, text: bytes, expected: str) -> None:
    path = tmp_path / "mpd.slice.0-999.json"
    path.write_bytes(text)
    with pytest.raises(SourceError, match=expected) as caught:
        read(tmp_path)
    assert "mpd.slice.0-999.json" in caught.value.message
    assert "\n" not in str(caught.value)


def test_missing_and_empty_places_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"cannot read .*nowhere"):
        MpdSource(tmp_path / "nowhere", CONFIG)
    with pytest.raises(SourceError, match="no playlist slice in"):
        MpdSource(tmp_path, CONFIG)
    with pytest.raises(SourceError, match="no playlist slice in"):
        MpdSource(zip_folder(tmp_path, tmp_path.parent / "empty.zip"), CONFIG)


def test_a_slice_that_vanishes_is_refused(four_slices: Path) -> None:
    source = MpdSource(four_slices, CONFIG)
    (four_slices / "data/mpd.slice.1000-1999.json").unlink()
    with pytest.raises(SourceError, match=r"cannot read .*mpd\.slice\.1000-1999\.json"):
        list(source.chunks())


@pytest.mark.parametrize("damage", ["cut", "entry"])
def test_a_damaged_zip_is_refused(four_slices: Path, tmp_path: Path, damage: str) -> None:
    archive = zip_folder(four_slices, tmp_path / "mpd.zip")
    data = bytearray(archive.read_bytes())
    if damage == "cut":
        data = data[: len(data) // 2]
    else:
        middle = data.find(b"mpd.slice.1000-1999.json") + 100
        data[middle : middle + 20] = bytes(20)
    archive.write_bytes(data)
    with pytest.raises(SourceError, match=r"mpd\.zip"):
        read(archive)


# Several processes.


@pytest.fixture
def two_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mpd, "BYTES_PER_WORKER", 1)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)


def inconsistent_slices(folder: Path) -> Path:
    for number in range(0, 5_000, 1_000):
        playlists = [full_playlist(number + i, "a b c", num_tracks=i) for i in range(5)]
        write_slice(folder, number, *playlists)
    return folder


def test_workers_give_what_one_process_gives(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    inconsistent_slices(tmp_path)
    alone = MpdSource(tmp_path, CONFIG)
    expected = list(alone.chunks())
    request.getfixturevalue("two_workers")
    together = MpdSource(tmp_path, CONFIG)
    found = list(together.chunks())
    assert found == expected
    assert together.report() == alone.report()
    assert alone.report()["inconsistent"]["counts"] == 20
    assert [chunk.sequences.schema.metadata for chunk in found] == [None] * 5


def test_workers_check_checksums_and_read_the_zip(
    four_slices: Path, tmp_path: Path, two_workers: None
) -> None:
    write_checksums(four_slices, [f"data/mpd.slice.{n}-{n + 999}.json" for n in (0, 2_000)])
    archive = zip_folder(four_slices, tmp_path / "mpd.zip")
    assert [pid for pid, _ in playlists_of(read(archive))] == ["0", "1000", "2000", "10000"]


def test_an_error_in_a_worker_is_the_same_clear_line(four_slices: Path, two_workers: None) -> None:
    (four_slices / "data/mpd.slice.2000-2999.json").write_text('{"playlists": [')
    chunks = MpdSource(four_slices, CONFIG).chunks()
    assert len([next(chunks), next(chunks)]) == 2
    with pytest.raises(SourceError, match=r"mpd\.slice\.2000-2999\.json: Input data was truncated"):
        next(chunks)


def test_a_worker_that_dies_is_replaced_by_this_process(
    four_slices: Path, two_workers: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = playlists_of(read(four_slices))
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    assert playlists_of(read(four_slices)) == expected


@pytest.fixture
def started(two_workers: None, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The workers, as they are started."""
    workers: list[Any] = []
    start = mpd.subprocess.Popen

    def remember(*args: Any, **kwargs: Any) -> Any:
        workers.append(start(*args, **kwargs))
        return workers[-1]

    monkeypatch.setattr(mpd.subprocess, "Popen", remember)
    return workers


def test_a_worker_that_is_killed_on_its_way_is_replaced_by_this_process(
    four_slices: Path, started: list[Any]
) -> None:
    # More than a pipe holds: no worker can end before it is asked for the rest.
    tracks = " ".join(f"t{i}" for i in range(5_000))
    for number in (10_000, 2_000, 0, 1_000):
        write_slice(four_slices / "data", number, full_playlist(number, tracks))
    chunks = MpdSource(four_slices, CONFIG).chunks()
    found = [next(chunks)]
    for worker in started:
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait(timeout=60)
    found += chunks
    assert [worker.returncode for worker in started] == [-signal.SIGKILL] * 2
    assert [pid for pid, _ in playlists_of(found)] == ["0", "1000", "2000", "10000"]


def test_workers_end_when_the_reader_stops(four_slices: Path, started: list[Any]) -> None:
    chunks = MpdSource(four_slices, CONFIG).chunks()
    next(chunks)
    assert isinstance(chunks, Iterator)
    chunks.close()  # pyright: ignore[reportAttributeAccessIssue]
    assert [process.poll() is not None for process in started] == [True, True]


def test_a_slice_cut_anywhere_on_its_way_is_noticed() -> None:
    pipe = io.BytesIO()
    sent = decoded(full_playlist(0, "a b", num_tracks=1))
    mpd._send(sent, pipe)
    data = pipe.getvalue()
    assert mpd._receive(io.BytesIO(data)) == sent
    # The last 8 bytes only say that nothing follows.
    for end in range(0, len(data) - 8, 97):
        with pytest.raises((pa.ArrowException, OSError, ValueError)):
            mpd._receive(io.BytesIO(data[:end]))


@pytest.mark.parametrize(
    ("sizes", "memory_limit", "cores", "expected"),
    [
        ([33_000_000] * 1_000, 2_000_000_000, 2, 2),
        ([33_000_000] * 1_000, 2_000_000_000, 64, 8),
        ([33_000_000] * 1_000, 100_000_000, 64, 1),
        ([33_000_000], 2_000_000_000, 64, 1),
        ([12_000_000] * 6, 2_000_000_000, 64, 1),
    ],
)
def test_as_many_workers_as_cores_memory_and_work_allow(
    four_slices: Path,
    monkeypatch: pytest.MonkeyPatch,
    sizes: list[int],
    memory_limit: int,
    cores: int,
    expected: int,
) -> None:
    source = MpdSource(four_slices, SourceConfig(memory_limit=memory_limit))
    [file, *_] = source._files.slices
    monkeypatch.setattr(source._files, "slices", [file._replace(size=size) for size in sizes])
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert source._workers() == expected


# The real files.


def count(chunks: Iterator[Chunk]) -> tuple[int, int, int]:
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
    assert count(source.chunks()) == expected
    assert source.report()["warnings"] == []


@pytest.mark.real_data
def test_a_real_slice_agrees_with_plain_json(segue_data: Path) -> None:
    path = segue_data / "mpd-full-fields/mpd.slice.0-99.json"
    playlists = json.loads(path.read_bytes())["playlists"]
    rows, items = decode_by_hand(playlists)
    [chunk] = read(path)
    assert playlists_of([chunk]) == rows
    assert chunk.items["item_id"].to_pylist() == list(items)
    assert chunk.sequences["name"].to_pylist() == [playlist["name"] for playlist in playlists]
    assert set(chunk.sequences["collaborative"].to_pylist()) <= {True, False}
