"""The run folder: atomic writes, and validation of everything that is read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from segue.config import Config, load_config
from segue.errors import RunError, StorageError
from segue.runs.folder import CHECKED_FILES, FORMAT_VERSION, RunFolder

DATASET = {"name": "small", "fingerprint": "abc", "path": "somewhere", "vocabulary_size": 20}
CARD = {
    "segue_version": "0.1.0",
    "dataset": {"name": "small", "fingerprint": "abc"},
    "parameters": 100,
    "steps": 3,
    "epochs": 0.5,
    "finished": "all steps taken",
    "seconds": 1.5,
    "core_seconds": 2.5,
    "ensemble": {},
    "validation": {"metric": "ndcg@10", "best": 0.25, "step": 2},
    "results": {},
    "machine": {"device": "cpu", "cores": 2, "jax": "0.10.2"},
}
SEQUENCE_VALUES = {"name": ["rain", "road trip"], "user": ["7"]}


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run folder with all required files; only ``config.json`` and the card have real content."""
    folder = RunFolder(tmp_path / "run")
    folder.create()
    config = load_config(preset="demo").model_dump(mode="json")
    content = {"format_version": FORMAT_VERSION, "config": config, "dataset": DATASET}
    folder.write_json(folder.config, content)
    folder.write(folder.weights, b"weights")
    folder.write(folder.items, b"items")
    folder.write_json(folder.card, {**CARD, "checksums": folder.checksums()})
    return folder


@pytest.fixture
def feature_run(run: RunFolder) -> RunFolder:
    """The run of a model that reads sequence features."""
    run.write_json(run.sequence_values, SEQUENCE_VALUES)
    run.write_json(run.card, {**CARD, "checksums": run.checksums()})
    return run


def change_json(file: Path, **changes) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


# --- create ---


def test_create_makes_parent_folders(tmp_path):
    folder = RunFolder(str(tmp_path / "a" / "b"))
    folder.create()
    assert folder.path.is_dir()


def test_create_accepts_an_empty_folder(tmp_path):
    RunFolder(tmp_path).create()
    assert list(tmp_path.iterdir()) == []


def test_create_refuses_a_folder_with_files(run):
    with pytest.raises(RunError, match="exists and is not empty") as caught:
        run.create()
    assert "--resume" in caught.value.hint


def test_create_refuses_a_file(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(RunError, match="exists"):
        RunFolder(tmp_path / "run").create()


def test_create_fails_below_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot create"):
        RunFolder(tmp_path / "file" / "run").create()


def test_create_fails_without_permission(tmp_path, monkeypatch):
    def denied(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", denied)
    with pytest.raises(StorageError, match="Permission denied"):
        RunFolder(tmp_path / "run").create()


# --- write_config ---


def test_create_removes_the_files_of_an_interrupted_start(tmp_path):
    start_files = ("config.json.partial", "items.parquet", "sequence_values.json.partial")
    for n in range(1, 4):
        for name in start_files[:n]:
            (tmp_path / name).write_text("")
        RunFolder(tmp_path).create()
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("file_name", ["config.json", "weights.safetensors", "thesis.txt"])
def test_create_refuses_more_than_an_interrupted_start(tmp_path, file_name):
    for name in ("config.json.partial", "items.parquet", file_name):
        (tmp_path / name).write_text("")
    with pytest.raises(RunError, match="exists and is not empty"):
        RunFolder(tmp_path).create()


def test_create_refuses_items_without_a_partial_configuration(tmp_path):
    (tmp_path / "items.parquet").write_text("five years of work")
    with pytest.raises(RunError, match="exists and is not empty"):
        RunFolder(tmp_path).create()


def test_the_configuration_is_renamed_after_the_other_files_are_written(tmp_path):
    folder = RunFolder(tmp_path)

    def write_rest():
        assert not folder.config.exists()
        folder.write(folder.items, b"items")

    folder.write_config({"a": 1}, write_rest)
    assert folder.read_json(folder.config) == {"a": 1}
    assert folder.items.read_bytes() == b"items"


def test_a_failed_start_leaves_no_files(tmp_path):
    folder = RunFolder(tmp_path)

    def write_rest():
        folder.write(folder.items, b"items")
        raise StorageError("no space for the rest")

    with pytest.raises(StorageError, match="no space for the rest"):
        folder.write_config({"a": 1}, write_rest)
    assert list(tmp_path.iterdir()) == []


# --- write ---


def test_write_replaces_a_file(run):
    run.write(run.weights, b"new")
    assert run.weights.read_bytes() == b"new"
    assert not list(run.path.glob("*.partial"))


def test_a_full_disk_keeps_the_old_content(run, monkeypatch):
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
from segue.runs import RunFolder

folder = RunFolder(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    folder.write(folder.weights, b"x" * 2000)
except StorageError as error:
    print(error)
"""


def test_a_file_size_limit_keeps_the_old_content(run):
    ended = subprocess.run(
        [sys.executable, "-c", FILE_SIZE_LIMIT, str(run.path)],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert "File too large" in ended.stdout
    assert len(ended.stdout.splitlines()) == 1
    assert run.weights.read_bytes() == b"weights"
    assert {file.name for file in run.path.iterdir()} == {*CHECKED_FILES, "card.json"}


def test_write_fails_if_the_folder_was_removed(tmp_path):
    folder = RunFolder(tmp_path / "gone")
    with pytest.raises(StorageError, match="No such file"):
        folder.write(folder.card, b"")


def test_write_fails_if_the_folder_is_a_file(tmp_path):
    (tmp_path / "run").write_text("")
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(StorageError, match="Not a directory"):
        folder.write(folder.card, b"")


# --- read ---


def test_reads_the_configuration_and_the_card(run):
    config, dataset = run.read_config()
    assert config == load_config(preset="demo")
    assert dataset == DATASET
    assert run.verify()["steps"] == 3


def test_a_folder_without_a_run_is_refused(tmp_path):
    folder = RunFolder(tmp_path / "nothing")
    for read in (folder.verify, folder.read_config):
        with pytest.raises(RunError, match="is not a complete run") as caught:
            read()
        assert "segue train" in caught.value.hint


@pytest.mark.parametrize("version", [None, 0, FORMAT_VERSION - 1, FORMAT_VERSION + 1, "1"])
def test_another_format_version_is_refused(run, version):
    change_json(run.config, format_version=version)
    with pytest.raises(RunError, match=f"format {version!r}, .* reads {FORMAT_VERSION}") as caught:
        run.read_config()
    assert caught.value.hint == "train again, or use the version of Segue that wrote it"
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["", "{", '{"format_version": ', "[1]", "3", "\x00\x00"])
def test_damaged_json_is_an_error(run, content):
    run.config.write_text(content)
    with pytest.raises(RunError, match=r"config.json is damaged"):
        run.read_config()


def test_a_wrong_encoding_is_an_error(run):
    run.config.write_bytes(b"\xff\xfe{}")
    with pytest.raises(RunError, match=r"config.json is damaged"):
        run.read_config()


@pytest.mark.parametrize("key", ["config", "dataset"])
def test_a_missing_key_is_named(run, key):
    content = json.loads(run.config.read_text())
    del content[key]
    run.config.write_text(json.dumps(content))
    with pytest.raises(RunError, match=f"config.json is damaged: .* required field `{key}`"):
        run.read_config()


@pytest.mark.parametrize("dataset", [{}, [], None, "beats", {"fingerprint": "x"}])
def test_a_dataset_with_missing_keys_is_an_error(run, dataset):
    change_json(run.config, dataset=dataset)
    with pytest.raises(RunError, match=r"config.json is damaged: .*`\$\.dataset`") as caught:
        run.read_config()
    assert caught.value.hint


def test_weights_newer_than_the_card_of_an_unfinished_run_hint_at_resume(run):
    change_json(run.card, finished="not yet")
    run.weights.write_bytes(b"of a later step")
    with pytest.raises(RunError, match=r"checksum differs") as caught:
        run.verify()
    assert "--resume" in caught.value.hint


def test_an_invalid_configuration_is_an_error(run):
    change_json(run.config, config={"model": {"layers": -1}})
    with pytest.raises(RunError, match=r"config.json is damaged: .*model.layers"):
        run.read_config()


def test_an_unknown_configuration_key_is_named(run):
    config = Config().model_dump(mode="json")
    change_json(run.config, config={**config, "novelty": {}})
    with pytest.raises(RunError, match="unknown configuration key 'novelty'"):
        run.read_config()


# --- verify ---


@pytest.mark.parametrize("name", CHECKED_FILES)
def test_a_missing_file_is_an_error(run, name):
    (run.path / name).unlink()
    with pytest.raises(RunError, match=f"not a complete run: no {name}"):
        run.verify()


@pytest.mark.parametrize("name", CHECKED_FILES)
def test_an_altered_file_is_an_error(run, name):
    content = (run.path / name).read_bytes()
    (run.path / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(RunError, match=f"{name} is not the file that this run wrote"):
        run.verify()


def test_reads_the_values_of_sequence_features(feature_run):
    assert feature_run.verify()["steps"] == 3
    assert feature_run.read_sequence_values() == SEQUENCE_VALUES


def test_without_sequence_features_there_is_no_values_file(run):
    assert not run.sequence_values.exists()
    assert run.read_sequence_values() == {}


def test_a_missing_values_file_is_an_error(feature_run):
    feature_run.sequence_values.unlink()
    with pytest.raises(RunError, match=r"not a complete run: no sequence_values\.json"):
        feature_run.verify()


WRONG_CHECKSUM = r"sequence_values\.json is not the file that this run wrote"


def test_an_altered_values_file_is_an_error(feature_run):
    altered = {**SEQUENCE_VALUES, "user": ["8"]}
    feature_run.sequence_values.write_text(json.dumps(altered))
    with pytest.raises(RunError, match=WRONG_CHECKSUM):
        feature_run.verify()


def test_a_values_file_of_another_run_is_an_error(run):
    run.sequence_values.write_text(json.dumps(SEQUENCE_VALUES))
    with pytest.raises(RunError, match=WRONG_CHECKSUM):
        run.verify()


@pytest.mark.parametrize("content", ["", "[1]", '{"name": '])
def test_a_damaged_values_file_is_an_error(feature_run, content):
    feature_run.sequence_values.write_text(content)
    with pytest.raises(RunError, match=r"sequence_values\.json is damaged"):
        feature_run.read_sequence_values()


@pytest.mark.parametrize("checksums", [None, [], "abc", {}, {"config.json": 3}])
def test_a_card_without_checksums_is_an_error(run, checksums):
    change_json(run.card, checksums=checksums)
    with pytest.raises(RunError, match=r"card.json is damaged|its checksum differs"):
        run.verify()


def test_every_message_is_one_line(run):
    run.config.write_text("{\n\n")
    with pytest.raises(RunError) as caught:
        run.read_config()
    assert "\n" not in str(caught.value)


# --- imports ---


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("segue.runs", {"jax", "orbax", "tensorboardX"}),
        ("segue.runs.weights", {"orbax", "tensorboardX"}),
    ],
)
def test_importing_does_not_load_libraries_that_only_training_needs(module, unwanted):
    code = f"import {module}, sys, json; print(json.dumps(sorted(sys.modules)))"
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True
    )
    assert not unwanted & {name.split(".")[0] for name in json.loads(ended.stdout)}
