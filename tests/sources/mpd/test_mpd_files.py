"""Finding slices of the Million Playlist Dataset in folders and zips; checksums and damage."""

from __future__ import annotations

import json
import tracemalloc
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpd_slices import (
    CONFIG,
    bare_playlist,
    full_playlist,
    playlists_of,
    read_chunks,
    write_checksums,
    write_slice,
    zip_folder,
)

from segue.errors import SourceError
from segue.sources.mpd.files import MEMORY_PER_BYTE
from segue.sources.mpd.source import MpdSource, recognises


def test_slices_come_in_the_order_of_their_numbers(four_slices: Path) -> None:
    ids = [pid for pid, _ in playlists_of(read_chunks(four_slices))]
    assert ids == ["0", "1000", "2000", "10000"]


def test_folder_data_folder_and_zip_are_the_same_source(four_slices: Path, tmp_path: Path) -> None:
    archive = zip_folder(four_slices, tmp_path / "spotify_million_playlist_dataset.zip")
    with zipfile.ZipFile(archive, "a") as appended:
        appended.writestr("__MACOSX/data/._mpd.slice.0-999.json", b"\0junk")
    paths = (four_slices, four_slices / "data", archive)
    assert len({json.dumps(MpdSource(path, CONFIG).fingerprint()) for path in paths}) == 1
    expected = read_chunks(four_slices)
    for path in paths:
        assert read_chunks(path) == expected
        assert recognises(path)


def test_one_slice_may_have_any_name(tmp_path: Path) -> None:
    path = tmp_path / "my playlists.json"
    write_slice(tmp_path, 0, bare_playlist(3, "a")).rename(path)
    assert playlists_of(read_chunks(path)) == [("3", ["a"])]
    assert not recognises(path)


def test_slices_are_recognised_by_name(tmp_path: Path) -> None:
    assert recognises(write_slice(tmp_path / "full", 0))
    assert not recognises(tmp_path / "nowhere")
    assert not recognises(tmp_path)
    (tmp_path / "other.zip").write_bytes(b"PK")
    assert not recognises(tmp_path / "other.zip")


def test_the_fingerprint_depends_on_the_files_but_not_their_path(four_slices: Path) -> None:
    before = MpdSource(four_slices, CONFIG).fingerprint()
    assert str(four_slices) not in json.dumps(before)
    assert [file["name"] for file in before["files"]][:2] == [
        "mpd.slice.0-999.json",
        "mpd.slice.1000-1999.json",
    ]
    write_slice(four_slices / "data", 2_000, full_playlist(0, "a b c d"))
    assert MpdSource(four_slices, CONFIG).fingerprint() != before


def test_checksums_are_verified_if_present(four_slices: Path, tmp_path: Path) -> None:
    write_checksums(four_slices, [f"data/mpd.slice.{n}-{n + 999}.json" for n in (0, 2_000)])
    archive = zip_folder(four_slices, tmp_path / "good.zip")
    for path in (four_slices, archive):
        source = MpdSource(path, CONFIG)
        assert len(list(source.chunks())) == 4
        assert source.report()["checksums"] == 2
        assert source.report()["warnings"] == []
    write_slice(four_slices / "data", 2_000, full_playlist(0, "changed"))
    for path in (four_slices, zip_folder(four_slices, tmp_path / "bad.zip")):
        with pytest.raises(SourceError, match=r"mpd\.slice\.2000-2999\.json has the MD5 checksum"):
            read_chunks(path)


def test_missing_slices_give_a_warning(four_slices: Path) -> None:
    write_checksums(four_slices, ["data/mpd.slice.0-999.json", "data/mpd.slice.2000-2999.json"])
    (four_slices / "data/mpd.slice.2000-2999.json").unlink()
    [warning] = MpdSource(four_slices, CONFIG).report()["warnings"]
    assert warning == "md5sums lists 1 missing slice, such as mpd.slice.2000-2999.json"


def test_missing_and_empty_paths_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"cannot read .*nowhere"):
        MpdSource(tmp_path / "nowhere", CONFIG)
    with pytest.raises(SourceError, match="no playlist slice in"):
        MpdSource(tmp_path, CONFIG)
    with pytest.raises(SourceError, match="no playlist slice in"):
        MpdSource(zip_folder(tmp_path, tmp_path.parent / "empty.zip"), CONFIG)


def test_a_slice_that_is_deleted_after_opening_is_an_error(four_slices: Path) -> None:
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
        read_chunks(archive)


def test_a_slice_larger_than_the_memory_limit_is_refused(tmp_path: Path) -> None:
    path = write_slice(tmp_path, 0, bare_playlist(0, "a"))
    size = path.stat().st_size
    enough, too_little = MEMORY_PER_BYTE * size, MEMORY_PER_BYTE * size - 1
    for source in (tmp_path, path, zip_folder(tmp_path, tmp_path.with_suffix(".zip"))):
        read_chunks(source, CONFIG.model_copy(update={"memory_limit": enough}))
        with pytest.raises(SourceError, match=rf"{size} bytes.*the limit is.*--memory-limit"):
            read_chunks(source, CONFIG.model_copy(update={"memory_limit": too_little}))


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_the_sizes_in_a_zip_are_not_trusted(tmp_path: Path, compression: int) -> None:
    archive = tmp_path / "mpd.zip"
    with zipfile.ZipFile(archive, "w", compression) as entries:
        entries.writestr("mpd.slice.0-999.json", b" " * 50_000_000)
    content = bytearray(archive.read_bytes())
    entry = content.rfind(b"PK\x01\x02")  # of the central directory, whose size is at byte 24
    content[entry + 24 : entry + 28] = (1000).to_bytes(4, "little")
    archive.write_bytes(content)
    tracemalloc.start()
    with pytest.raises(SourceError, match="cannot unpack"):
        read_chunks(archive, CONFIG.model_copy(update={"memory_limit": 1_000_000}))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000


def test_bzip2_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "mpd.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_BZIP2) as entries:
        entries.writestr("mpd.slice.0-999.json", b" " * 50_000_000)
    with pytest.raises(SourceError, match=r"another method than DEFLATE or LZMA.*unpack it"):
        read_chunks(archive)


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
@settings(max_examples=40)
@given(
    changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=3),
    end=st.floats(0, 1),
)
def test_damage_anywhere_in_a_zip_is_a_source_error(
    tmp_path_factory: pytest.TempPathFactory,
    compression: int,
    changes: list[tuple[float, int]],
    end: float,
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    archive = folder / "mpd.zip"
    slice_file = write_slice(folder, 0, bare_playlist(0, "a"))
    with zipfile.ZipFile(archive, "w", compression) as entries:
        entries.write(slice_file, slice_file.name)
    content = bytearray(archive.read_bytes())
    for position, value in changes:
        content[int(position * (len(content) - 1))] = value
    archive.write_bytes(content[: len(content) if end > 0.5 else int(2 * end * len(content))])
    with suppress(SourceError):
        read_chunks(archive)


def test_a_number_of_any_length_orders_the_slices(tmp_path: Path) -> None:
    numbers = ["9" * 5000, "10", "0009", "1" + "0" * 5000]
    archive = tmp_path / "mpd.zip"
    with zipfile.ZipFile(archive, "w") as entries:
        for pid, number in enumerate(numbers):
            content = json.dumps({"playlists": [bare_playlist(pid, "a")]})
            entries.writestr(f"mpd.slice.{number}-x.json", content)
    ids = [pid for pid, _ in playlists_of(read_chunks(archive))]
    assert ids == ["2", "1", "0", "3"]


@pytest.mark.parametrize("name", ["mpd.slice.1000-1999.json", "md5sums"])
def test_links_to_devices_and_to_nothing_do_not_hang(tmp_path: Path, name: str) -> None:
    write_slice(tmp_path, 0, bare_playlist(0, "a"))
    (tmp_path / name).symlink_to("/dev/zero")
    if name == "md5sums":
        read_chunks(tmp_path)
        return
    with pytest.raises(SourceError, match="is a device"):
        read_chunks(tmp_path)
    (tmp_path / name).unlink()
    (tmp_path / name).symlink_to("nothing")
    with pytest.raises(SourceError, match="No such file"):
        read_chunks(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        '{"playlists":' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"playlists":[{"pid":1,"tracks":' + "[" * 100_000 + "]" * 100_000 + "}]}",
        '{"playlists":[{"pid":1,"x":' + '{"a":' * 100_000 + "1" + "}" * 100_000 + "}]}",
        "[" * 100_000,
    ],
)
def test_deeply_nested_json_is_a_source_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "mpd.slice.0-999.json").write_text(text)
    with pytest.raises(SourceError, match=r"mpd\.slice\.0-999\.json"):
        read_chunks(tmp_path)
