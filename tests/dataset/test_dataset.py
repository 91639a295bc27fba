"""The files of a dataset: round trips, and detection of damage."""

from __future__ import annotations

import json
import os

import numpy as np
import pyarrow as pa
import pytest

from segue.dataset import Cuts, Dataset
from segue.dataset.manifest import FORMAT_VERSION, ITEMS, MANIFEST, SEQUENCES, checksum
from segue.dataset.sequences_file import read_sequences, write_sequences
from segue.errors import DatasetError
from segue.preparation.pipeline import prepare_source
from small_logs import InMemorySource, prepare_config, sequences_of

LOG = {f"u{i}": [("abcdefgh"[(i + j) % 8], j, 3.0) for j in range(3 + i % 4)] for i in range(20)}


@pytest.fixture
def dataset(tmp_path) -> Dataset:
    return prepare_source(InMemorySource(LOG), tmp_path / "small", prepare_config())


class TestSequencesFile:
    rows = ([4, 5, 6, 7], [8], [5, 5])
    times = ([1, 2, 3, 4], [-5], [7, 7])

    def make(self):
        cuts = Cuts(
            np.array([2, 1, 2], np.int32),
            np.array([3, 1, 2], np.int32),
            np.array([-1, -1, -1, 1, -1, -1, -1], np.int8),
        )
        return sequences_of(self.rows, cuts, self.times)

    def test_round_trip(self, tmp_path):
        written = self.make()
        write_sequences(tmp_path, written)
        read = read_sequences(tmp_path)
        assert read.ids.to_pylist() == ["s0", "s1", "s2"]
        for name in ("offsets", "items", "times", "train_end", "valid_end", "target_parts"):
            expected = getattr(written, name)
            actual = getattr(read, name)
            assert np.array_equal(actual, expected), name
            assert actual.dtype == expected.dtype, name
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

    def test_any_arrow_reader_can_read_it(self, tmp_path):
        write_sequences(tmp_path, self.make())
        table = pa.ipc.open_file(str(tmp_path / SEQUENCES)).read_all()
        assert table.column("items").to_pylist() == list(self.rows)
        assert table.column("times").type == pa.large_list(pa.timestamp("us", tz="UTC"))


def test_opening_gives_the_prepared_dataset(dataset):
    again = Dataset.open(dataset.path)
    assert again.manifest == dataset.manifest
    assert again.fingerprint == dataset.fingerprint
    assert again.items.table.equals(dataset.items.table)
    assert np.array_equal(again.sequences.items, dataset.sequences.items)
    assert again.name == "small"
    assert again.vocabulary_size == 4 + again.n_catalogue == 12


@pytest.mark.parametrize("size", [0, 100, 1_000_000])
def test_a_file_overwritten_while_it_is_mapped_is_detected(dataset, size):
    dataset.sequences.check()
    os.truncate(dataset.path / SEQUENCES, size)
    with pytest.raises(DatasetError, match=rf"arrow was overwritten .* it has {size:,} bytes"):
        dataset.sequences.check()


def test_a_file_replaced_or_removed_while_it_is_mapped_stays_readable(dataset):
    items = dataset.sequences.items.tolist()
    replacement = dataset.path / "replacement"
    replacement.write_bytes(b"another file")
    replacement.replace(dataset.path / SEQUENCES)
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
    assert text.startswith(f'{{\n  "format_version": {FORMAT_VERSION},\n')
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

    @pytest.mark.parametrize("fraction", [0, 0.5, 0.999])
    def test_altered(self, dataset, name, fraction):
        path = dataset.path / name
        content = bytearray(path.read_bytes())
        content[int(fraction * len(content))] ^= 1
        path.write_bytes(content)
        self.fails(dataset, f"{name} of dataset .* was altered")

    def fails(self, dataset, message):
        with pytest.raises(DatasetError, match=message) as caught:
            Dataset.open(dataset.path)
        assert caught.value.hint == "prepare the dataset again"


def rewrite_manifest(dataset, text: str) -> None:
    (dataset.path / MANIFEST).write_text(text)


@pytest.mark.parametrize("version", [FORMAT_VERSION - 1, FORMAT_VERSION + 1, 99])
def test_another_format_version_is_refused(dataset, version):
    rewrite_manifest(dataset, json.dumps({"format_version": version, "layout": "unknown"}))
    message = f"has format version {version}, expected {FORMAT_VERSION} "
    with pytest.raises(DatasetError, match=message) as caught:
        Dataset.open(dataset.path)
    assert caught.value.hint == "prepare the dataset again"


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", f'{{"format_version": {FORMAT_VERSION}}}', "\x00"]
)
def test_a_damaged_manifest(dataset, text):
    rewrite_manifest(dataset, text)
    with pytest.raises(DatasetError, match=r"manifest\.json is damaged"):
        Dataset.open(dataset.path)


def test_no_folder(tmp_path):
    with pytest.raises(DatasetError, match="there is no folder"):
        Dataset.open(tmp_path / "nowhere")


def test_a_folder_without_a_dataset(tmp_path):
    with pytest.raises(DatasetError, match="is not a prepared dataset"):
        Dataset.open(tmp_path)


def test_files_with_foreign_content(dataset):
    for name in (SEQUENCES, ITEMS):
        (dataset.path / name).write_bytes(b"not Arrow")
    with pytest.raises(DatasetError, match=r"cannot read .*sequences\.arrow"):
        read_sequences(dataset.path)
    with pytest.raises(DatasetError, match=r"cannot read .*items\.parquet"):
        dataset.items  # noqa: B018  (read when first asked for)


@pytest.mark.parametrize("index", [0, 20_000_000 - 1])
def test_the_checksum_of_a_large_file_covers_both_ends(tmp_path, index):
    path = tmp_path / "large"
    content = np.zeros(20_000_000, np.uint8)
    content.tofile(path)
    before = checksum(path)
    content[index] = 1
    content.tofile(path)
    assert checksum(path) != before
