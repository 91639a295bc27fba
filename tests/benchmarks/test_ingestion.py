"""The reader's benchmark, on slices that take no time."""

from __future__ import annotations

import json
from pathlib import Path

import ingestion
import pytest

from segue.config import SourceConfig
from segue.sources.mpd import MpdSource


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingestion, "PLAYLISTS", 5)
    monkeypatch.setattr(ingestion, "FEW", 1)
    monkeypatch.setattr(ingestion, "MANY", 2)
    monkeypatch.setattr(ingestion, "REPEATS", 1)


def test_slices_of_a_folder_are_one_dataset_without_a_fault(tmp_path: Path, small: None) -> None:
    few, many = ingestion.generate(tmp_path)
    source = MpdSource(many, SourceConfig())
    ids = [row for chunk in source.chunks() for row in chunk.sequences["sequence_id"].to_pylist()]
    assert ids == [str(pid) for pid in range(10)]
    assert source.report()["warnings"] == []
    assert [path.name for path in few.iterdir()] == ["mpd.slice.0-4.json"]


def test_both_ways_find_the_entries(tmp_path: Path, small: None) -> None:
    few, many = ingestion.generate(tmp_path)
    for folder in (few, many):
        paths = sorted(folder.iterdir())
        found = ingestion.compare("small", paths)
        playlists = [json.loads(path.read_bytes())["playlists"] for path in paths]
        assert found["entries"] == sum(len(p["tracks"]) for each in playlists for p in each)
        assert found["slices"] == len(paths)


def test_different_numbers_of_entries_are_no_measurement(
    tmp_path: Path, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    few, _ = ingestion.generate(tmp_path)
    monkeypatch.setattr(ingestion, "with_segue", lambda paths, output: 1)
    with pytest.raises(RuntimeError, match="small: 1 entries against"):
        ingestion.compare("small", sorted(few.iterdir()))


def test_a_projection_goes_on_from_the_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = {tmp_path / "few": (4, 3.0), tmp_path / "many": (12, 4.0)}
    monkeypatch.setattr(ingestion, "core_seconds_of", times.__getitem__)
    found = ingestion.project(*times)
    assert found["core_s_a_slice"] == 0.125
    assert found["projected_s"] == 63.8  # (3 + 996 / 8) / 2, rounded
    assert found["peak_mb"] > 0


def test_time_of_a_folder_is_of_its_slices(tmp_path: Path, small: None) -> None:
    _, many = ingestion.generate(tmp_path)
    slices, core_s = ingestion.core_seconds_of(many)
    assert slices == 2
    assert core_s >= 0
