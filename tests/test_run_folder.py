"""The run folder: written whole or not at all, and read with suspicion."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from segue.config import Config, load_config
from segue.errors import RunError, StorageError
from segue.run_folder import CHECKED_FILES, FORMAT_VERSION, RunFolder

DATASET = {"name": "small", "fingerprint": "abc", "path": "somewhere", "table_size": 20}
SEQUENCE_VALUES = {"name": ["rain", "road trip"], "user": ["7"]}


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A complete run, as far as this module knows."""
    folder = RunFolder(tmp_path / "run")
    folder.create()
    config = load_config(preset="demo").model_dump(mode="json")
    content = {"format_version": FORMAT_VERSION, "config": config, "dataset": DATASET}
    folder.write_json(folder.config, content)
    folder.write(folder.weights, b"weights")
    folder.write(folder.items, b"items")
    folder.write_json(folder.card, {"steps": 3, "checksums": folder.checksums()})
    return folder


@pytest.fixture
def told(run: RunFolder) -> RunFolder:
    """The run of a model that is told something of sequences."""
    run.write_json(run.sequence_values, SEQUENCE_VALUES)
    run.write_json(run.card, {"steps": 3, "checksums": run.checksums()})
    return run


def change_json(file: Path, **changes) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


# --- create ---


def test_creates_parents_too(tmp_path):
    folder = RunFolder(str(tmp_path / "a" / "b"))
    folder.create()
    assert folder.path.is_dir()


def test_an_empty_folder_will_do(tmp_path):
    RunFolder(tmp_path).create()
    assert list(tmp_path.iterdir()) == []


def test_refuses_a_folder_that_holds_something(run):
    with pytest.raises(RunError, match="exists and is not empty") as caught:
        run.create()
    assert "--resume" in caught.value.hint


def test_refuses_a_file_in_its_place(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(RunError, match="exists"):
        RunFolder(tmp_path / "run").create()


def test_cannot_be_made_below_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot create"):
        RunFolder(tmp_path / "file" / "run").create()


def test_cannot_be_made_where_nothing_may_be_written(tmp_path, monkeypatch):
    def denied(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", denied)
    with pytest.raises(StorageError, match="Permission denied"):
        RunFolder(tmp_path / "run").create()


# --- begin ---


def test_clears_away_what_a_start_that_was_cut_short_left(tmp_path):
    left = ("config.json.partial", "items.parquet", "sequence_values.json.partial")
    for n in range(1, 4):
        for name in left[:n]:
            (tmp_path / name).write_text("")
        RunFolder(tmp_path).create()
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("other", ["config.json", "weights.safetensors", "thesis.txt"])
def test_refuses_what_is_more_than_a_start(tmp_path, other):
    for name in ("config.json.partial", "items.parquet", other):
        (tmp_path / name).write_text("")
    with pytest.raises(RunError, match="exists and is not empty"):
        RunFolder(tmp_path).create()


def test_refuses_an_item_table_of_someone_else(tmp_path):
    (tmp_path / "items.parquet").write_text("five years of work")
    with pytest.raises(RunError, match="exists and is not empty"):
        RunFolder(tmp_path).create()


def test_the_configuration_gets_its_name_when_the_rest_is_there(tmp_path):
    folder = RunFolder(tmp_path)

    def write_rest():
        assert not folder.config.exists()
        folder.write(folder.items, b"items")

    folder.begin({"a": 1}, write_rest)
    assert folder.read_json(folder.config) == {"a": 1}
    assert folder.items.read_bytes() == b"items"


def test_a_start_without_space_leaves_nothing(tmp_path):
    folder = RunFolder(tmp_path)

    def write_rest():
        folder.write(folder.items, b"items")
        raise StorageError("no space for the rest")

    with pytest.raises(StorageError, match="no space for the rest"):
        folder.begin({"a": 1}, write_rest)
    assert list(tmp_path.iterdir()) == []


# --- write ---


def test_replaces_whole(run):
    run.write(run.weights, b"new")
    assert run.weights.read_bytes() == b"new"
    assert not list(run.path.glob("*.partial"))


def test_no_space_left_keeps_the_old_content(run, monkeypatch):
    def full(self, content):
        with self.open("wb") as stream:
            stream.write(content[:2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StorageError, match=r"weights.safetensors: No space left"):
        run.write(run.weights, b"new weights")
    assert run.weights.read_bytes() == b"weights"
    assert not list(run.path.glob("*.partial"))


FILE_SIZE_LIMIT = """
import resource, sys
from segue.errors import StorageError
from segue.run_folder import RunFolder

folder = RunFolder(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    folder.write(folder.weights, b"x" * 2000)
except StorageError as error:
    print(error)
"""


def test_file_size_limit_keeps_the_old_content(run):
    ended = subprocess.run(
        [sys.executable, "-c", FILE_SIZE_LIMIT, str(run.path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "File too large" in ended.stdout
    assert len(ended.stdout.splitlines()) == 1
    assert run.weights.read_bytes() == b"weights"
    assert {file.name for file in run.path.iterdir()} == {*CHECKED_FILES, "card.json"}


def test_folder_that_is_gone(tmp_path):
    folder = RunFolder(tmp_path / "gone")
    with pytest.raises(StorageError, match="No such file"):
        folder.write(folder.card, b"")


def test_folder_that_is_a_file(tmp_path):
    (tmp_path / "run").write_text("")
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(StorageError, match="Not a directory"):
        folder.write(folder.card, b"")


# --- read ---


def test_reads_what_was_written(run):
    config, dataset = run.read_config()
    assert config == load_config(preset="demo")
    assert dataset == DATASET
    assert run.verify()["steps"] == 3


def test_no_run_at_all(tmp_path):
    folder = RunFolder(tmp_path / "nothing")
    for read in (folder.verify, folder.read_config):
        with pytest.raises(RunError, match="is not a complete run") as caught:
            read()
        assert "segue train" in caught.value.hint


@pytest.mark.parametrize("version", [None, 0, FORMAT_VERSION + 1, "1"])
def test_another_format_version(run, version):
    change_json(run.config, format_version=version)
    with pytest.raises(RunError, match=f"format {version!r}, .* reads {FORMAT_VERSION}") as caught:
        run.read_config()
    assert caught.value.hint


@pytest.mark.parametrize("content", ["", "{", '{"format_version": ', "[1]", "3", "\x00\x00"])
def test_damaged_json(run, content):
    run.config.write_text(content)
    with pytest.raises(RunError, match=r"config.json is damaged"):
        run.read_config()


def test_wrong_encoding(run):
    run.config.write_bytes(b"\xff\xfe{}")
    with pytest.raises(RunError, match=r"config.json is damaged"):
        run.read_config()


@pytest.mark.parametrize("key", ["config", "dataset"])
def test_missing_key(run, key):
    content = json.loads(run.config.read_text())
    del content[key]
    run.config.write_text(json.dumps(content))
    with pytest.raises(RunError, match=f"config.json is damaged: no key '{key}'"):
        run.read_config()


@pytest.mark.parametrize("dataset", [{}, [], None, "beats", {"fingerprint": "x"}])
def test_a_dataset_that_is_not_named_whole(run, dataset):
    change_json(run.config, dataset=dataset)
    with pytest.raises(RunError, match=r"config.json is damaged: its dataset") as caught:
        run.read_config()
    assert caught.value.hint


def test_weights_newer_than_the_card_of_an_unfinished_run_say_how_to_go_on(run):
    change_json(run.card, finished="not yet")
    run.weights.write_bytes(b"of a later step")
    with pytest.raises(RunError, match=r"checksum differs") as caught:
        run.verify()
    assert "--resume" in caught.value.hint


def test_configuration_that_is_none(run):
    change_json(run.config, config={"model": {"layers": -1}})
    with pytest.raises(RunError, match=r"config.json is damaged: .*model.layers"):
        run.read_config()


def test_a_key_that_a_later_version_added_is_named(run):
    config = Config().model_dump(mode="json")
    change_json(run.config, config={**config, "novelty": {}})
    with pytest.raises(RunError, match="unknown configuration key 'novelty'"):
        run.read_config()


# --- verify ---


@pytest.mark.parametrize("name", CHECKED_FILES)
def test_missing_file(run, name):
    (run.path / name).unlink()
    with pytest.raises(RunError, match=f"not a complete run: no {name}"):
        run.verify()


@pytest.mark.parametrize("name", CHECKED_FILES)
def test_altered_file(run, name):
    content = (run.path / name).read_bytes()
    (run.path / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(RunError, match=f"{name} is not the file that this run wrote"):
        run.verify()


def test_what_is_known_of_sequences_comes_back(told):
    assert told.verify()["steps"] == 3
    assert told.read_sequence_values() == SEQUENCE_VALUES


def test_a_model_that_is_told_nothing_has_no_such_file(run):
    assert not run.sequence_values.exists()
    assert run.read_sequence_values() == {}


def test_what_is_known_of_sequences_is_missed(told):
    told.sequence_values.unlink()
    with pytest.raises(RunError, match=r"not a complete run: no sequence_values\.json"):
        told.verify()


NOT_ITS_OWN = r"sequence_values\.json is not the file that this run wrote"


def test_what_is_known_of_sequences_is_not_to_be_altered(told):
    altered = {**SEQUENCE_VALUES, "user": ["8"]}
    told.sequence_values.write_text(json.dumps(altered))
    with pytest.raises(RunError, match=NOT_ITS_OWN):
        told.verify()


def test_what_another_run_knows_of_sequences_does_not_belong_here(run):
    run.sequence_values.write_text(json.dumps(SEQUENCE_VALUES))
    with pytest.raises(RunError, match=NOT_ITS_OWN):
        run.verify()


@pytest.mark.parametrize("content", ["", "[1]", '{"name": '])
def test_damaged_values_of_sequences(told, content):
    told.sequence_values.write_text(content)
    with pytest.raises(RunError, match=r"sequence_values\.json is damaged"):
        told.read_sequence_values()


@pytest.mark.parametrize("checksums", [None, [], "abc", {}, {"config.json": 3}])
def test_card_without_checksums(run, checksums):
    change_json(run.card, checksums=checksums)
    with pytest.raises(RunError, match=r"card.json is damaged|its checksum differs"):
        run.verify()


def test_every_message_is_one_line(run):
    run.config.write_text("{\n\n")
    with pytest.raises(RunError) as caught:
        run.read_config()
    assert "\n" not in str(caught.value)
