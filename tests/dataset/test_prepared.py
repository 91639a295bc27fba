"""The files of a dataset: what is written is what is read, and damage is noticed."""

from __future__ import annotations

import json
import os

import numpy as np
import pyarrow as pa
import pytest
from small_logs import SmallLog, options, sequences_of

from segue.dataset import Dataset
from segue.dataset.manifest import ITEMS, MANIFEST, SEQUENCES, checksum
from segue.dataset.prepare import prepare_source
from segue.dataset.prepared import read_sequences, write_sequences
from segue.dataset.splits import Cuts, leave_one_out
from segue.errors import DatasetError

LOG = {f"u{i}": [("abcdefgh"[(i + j) % 8], j, 3.0) for j in range(3 + i % 4)] for i in range(20)}


@pytest.fixture
def dataset(tmp_path) -> Dataset:
    return prepare_source(SmallLog(LOG), tmp_path / "small", options())


class TestSequencesFile:
    rows = ([4, 5, 6, 7], [8], [5, 5])
    times = ([1, 2, 3, 4], [-5], [7, 7])

    def make(self):
        cuts = leave_one_out(np.array([4, 1, 2]))
        cuts = Cuts(*cuts[:2], np.array([-1, -1, -1, 1, -1, -1, -1], np.int8))
        return sequences_of(self.rows, cuts, self.times)

    def test_round_trip(self, tmp_path):
        written = self.make()
        write_sequences(tmp_path, written)
        read = read_sequences(tmp_path)
        assert read.ids.to_pylist() == ["s0", "s1", "s2"]
        for name in ("offsets", "items", "times", "train_end", "valid_end", "target_parts"):
            expected = getattr(written, name)
            found = getattr(read, name)
            assert np.array_equal(found, expected), name
            assert found.dtype == expected.dtype, name
        assert read.ratings is None
        assert read.attributes.to_pydict() == {"name": ["name 0", "name 1", "name 2"]}

    def test_arrays_are_views_of_the_mapped_file(self, tmp_path):
        write_sequences(tmp_path, self.make())
        before = pa.total_allocated_bytes()
        read = read_sequences(tmp_path)
        assert pa.total_allocated_bytes() - before < 4_096
        for array in (read.offsets, read.items, read.times, read.train_end):
            assert not array.flags.owndata
            assert not array.flags.writeable

    def test_the_same_sequences_give_the_same_bytes(self, tmp_path):
        contents = []
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            write_sequences(tmp_path / name, self.make())
            contents.append((tmp_path / name / SEQUENCES).read_bytes())
        assert contents[0] == contents[1]

    def test_any_arrow_reader_understands_it(self, tmp_path):
        write_sequences(tmp_path, self.make())
        table = pa.ipc.open_file(str(tmp_path / SEQUENCES)).read_all()
        assert table.column("items").to_pylist() == list(self.rows)
        assert table.column("times").type == pa.large_list(pa.timestamp("us", tz="UTC"))


def test_opening_gives_what_prepare_gave(dataset):
    again = Dataset.open(dataset.path)
    assert again.manifest == dataset.manifest
    assert again.fingerprint == dataset.fingerprint
    assert again.items.table.equals(dataset.items.table)
    assert np.array_equal(again.sequences.items, dataset.sequences.items)
    assert again.name == "small"
    assert again.table_size == 4 + again.n_catalogue == 12


@pytest.mark.parametrize("size", [0, 100, 1_000_000])
def test_a_file_that_is_overwritten_under_a_reader_is_noticed(dataset, size):
    dataset.sequences.check()
    os.truncate(dataset.path / SEQUENCES, size)
    with pytest.raises(DatasetError, match=rf"arrow was overwritten .* it has {size:,} bytes"):
        dataset.sequences.check()


def test_a_file_that_is_replaced_or_removed_under_a_reader_is_still_read(dataset):
    items = dataset.sequences.items.tolist()
    other = dataset.path / "other"
    other.write_bytes(b"another file")
    other.replace(dataset.path / SEQUENCES)
    dataset.sequences.check()
    (dataset.path / SEQUENCES).unlink()
    dataset.sequences.check()
    assert dataset.sequences.items.tolist() == items


def test_a_relative_path_opens(dataset, monkeypatch):
    monkeypatch.chdir(dataset.path.parent)
    assert Dataset.open("small").name == "small"
    monkeypatch.chdir(dataset.path)
    assert Dataset.open(".").name == "small"


def test_the_manifest_is_readable_json(dataset):
    text = (dataset.path / MANIFEST).read_text("utf-8")
    manifest = json.loads(text)
    assert text.startswith('{\n  "format_version": 1,\n')
    assert manifest["split"]["kind"] == "leave-one-out"
    assert manifest["counts"] == {"sequences": 20, "events": 90, "items": 8, "catalogue": 8}


@pytest.mark.parametrize("name", [ITEMS, SEQUENCES])
class TestDamage:
    def test_missing(self, dataset, name):
        (dataset.path / name).unlink()
        self.fails(dataset, f"has no {name}")

    def test_truncated(self, dataset, name):
        path = dataset.path / name
        path.write_bytes(path.read_bytes()[:-1])
        self.fails(dataset, f"{name} of dataset .* has .* bytes, expected")

    @pytest.mark.parametrize("place", [0, 0.5, 0.999])
    def test_altered(self, dataset, name, place):
        path = dataset.path / name
        content = bytearray(path.read_bytes())
        content[int(place * len(content))] ^= 1
        path.write_bytes(content)
        self.fails(dataset, f"{name} of dataset .* was altered")

    def fails(self, dataset, message):
        with pytest.raises(DatasetError, match=message) as caught:
            Dataset.open(dataset.path)
        assert caught.value.hint == "prepare the dataset again"


def rewrite_manifest(dataset, text: str) -> None:
    (dataset.path / MANIFEST).write_text(text)


def test_another_format_version(dataset):
    rewrite_manifest(dataset, json.dumps({"format_version": 99, "layout": "unheard of"}))
    with pytest.raises(DatasetError, match="has format version 99, expected 1") as caught:
        Dataset.open(dataset.path)
    assert caught.value.hint == "prepare the dataset again"


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format_version": 1}', "\x00"])
def test_a_damaged_manifest(dataset, text):
    rewrite_manifest(dataset, text)
    with pytest.raises(DatasetError, match=r"manifest\.json of dataset .* is damaged"):
        Dataset.open(dataset.path)


def test_no_folder(tmp_path):
    with pytest.raises(DatasetError, match="there is no folder"):
        Dataset.open(tmp_path / "nowhere")


def test_a_folder_without_a_dataset(tmp_path):
    with pytest.raises(DatasetError, match="is not a prepared dataset"):
        Dataset.open(tmp_path)


def test_files_that_are_not_what_their_names_say(dataset):
    for name in (SEQUENCES, ITEMS):
        (dataset.path / name).write_bytes(b"not Arrow")
    with pytest.raises(DatasetError, match="cannot read sequences"):
        read_sequences(dataset.path)
    with pytest.raises(DatasetError, match="cannot read items"):
        dataset.items  # noqa: B018  (read when first asked for)


@pytest.mark.parametrize("place", [0, 20_000_000 - 1])
def test_the_checksum_of_a_large_file_covers_both_ends(tmp_path, place):
    path = tmp_path / "large"
    content = np.zeros(20_000_000, np.uint8)
    content.tofile(path)
    before = checksum(path)
    content[place] = 1
    content.tofile(path)
    assert checksum(path) != before
