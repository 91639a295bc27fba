"""The search index of a finished run: written once, and never a reason for a run to fail."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from segue.catalogue_search import open_index
from segue.dataset import Dataset
from segue.errors import RequestError, StorageError
from segue.runs import RunFolder
from segue.trainer import search_index as module
from segue.trainer.search_index import write_search_index


@pytest.fixture
def folder(cycle_run: Path, tmp_path: Path) -> RunFolder:
    """A finished run without an index."""
    ignored = shutil.ignore_patterns("checkpoints", "search.sqlite")
    return RunFolder(shutil.copytree(cycle_run, tmp_path / "run", ignore=ignored))


def checksum(folder: RunFolder) -> str:
    return folder.read_card()["checksums"]["items.parquet"]


def test_training_leaves_an_index(cycle_run: Path, cycles: Dataset) -> None:
    folder = RunFolder(cycle_run)
    assert open_index(folder.search_index, cycles.items, checksum(folder)) is not None


def test_a_missing_index_is_written_and_a_good_one_is_left(
    folder: RunFolder, cycles: Dataset
) -> None:
    left = folder.path / "search.sqlite.0123abcd.partial"
    left.write_bytes(b"of a killed process")
    write_search_index(folder, cycles.items, pytest.fail)
    assert open_index(folder.search_index, cycles.items, checksum(folder)) is not None
    assert not left.exists()
    before = folder.search_index.stat().st_ino
    write_search_index(folder, cycles.items, pytest.fail)
    assert folder.search_index.stat().st_ino == before


def test_a_run_that_has_not_ended_gets_none(folder: RunFolder, cycles: Dataset) -> None:
    card = {**folder.read_card(), "finished": "not yet"}
    folder.card.write_text(json.dumps(card))
    write_search_index(folder, cycles.items, pytest.fail)
    assert not folder.search_index.exists()


@pytest.mark.parametrize("error", [StorageError, RequestError])
def test_what_prevents_it_is_only_reported(
    folder: RunFolder, cycles: Dataset, monkeypatch: pytest.MonkeyPatch, error: type
) -> None:
    def fail(*_: object) -> None:
        raise error("no space", "free some")

    monkeypatch.setattr(module, "write_index", fail)
    monkeypatch.setattr(module, "ANNOUNCED_ITEMS", 5)
    messages = []
    write_search_index(folder, cycles.items, lambda progress: messages.append(progress.message))
    assert messages == [
        "indexing 12 items for segue search",
        "no search index was written: no space (free some)",
    ]
