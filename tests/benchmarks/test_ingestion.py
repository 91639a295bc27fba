"""The benchmark ``ingestion``, with small slices."""

from __future__ import annotations

import json
from pathlib import Path

import ingestion
import pytest

from segue.config import SourceConfig
from segue.sources.mpd.source import MpdSource


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Generate few, small slices, and measure once."""
    monkeypatch.setattr(ingestion, "PLAYLISTS", 5)
    monkeypatch.setattr(ingestion, "FEW", 1)
    monkeypatch.setattr(ingestion, "MANY", 2)
    monkeypatch.setattr(ingestion, "REPEATS", 1)


def test_generated_slices_are_read_without_warnings(tmp_path: Path, small: None) -> None:
    few, many = ingestion.write_generated_slices(tmp_path)
    source = MpdSource(many, SourceConfig())
    ids = [row for chunk in source.chunks() for row in chunk.sequences["sequence_id"].to_pylist()]
    assert ids == [str(pid) for pid in range(10)]
    assert source.report()["warnings"] == []
    assert [path.name for path in few.iterdir()] == ["mpd.slice.0-4.json"]


def test_both_readers_read_all_entries(tmp_path: Path, small: None) -> None:
    for folder in ingestion.write_generated_slices(tmp_path):
        paths = sorted(folder.iterdir())
        row = ingestion.compare("small", paths)
        playlists = [
            playlist for path in paths for playlist in json.loads(path.read_bytes())["playlists"]
        ]
        assert row["entries"] == sum(len(playlist["tracks"]) for playlist in playlists)
        assert row["slices"] == len(paths)


def test_different_numbers_of_entries_are_an_error(
    tmp_path: Path, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    few, _ = ingestion.write_generated_slices(tmp_path)
    monkeypatch.setattr(ingestion, "read_with_segue", lambda paths, output: 1)
    message = r"small: Segue read 1 entries, pydantic and SQLite \d+"
    with pytest.raises(RuntimeError, match=message):
        ingestion.compare("small", sorted(few.iterdir()))


def test_the_projection_uses_the_difference_between_two_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = {tmp_path / "few": (4, 3.0), tmp_path / "many": (12, 4.0)}
    monkeypatch.setattr(ingestion, "core_seconds_of", times.__getitem__)
    projection = ingestion.project(*times)
    assert projection["core_s_per_slice"] == 0.125
    assert projection["projected_s"] == 63.8  # (3 + 996 / 8) / 2, rounded
    assert projection["peak_mb"] > 0


def test_a_folder_is_timed_with_its_number_of_slices(tmp_path: Path, small: None) -> None:
    _, many = ingestion.write_generated_slices(tmp_path)
    slices, core_s = ingestion.core_seconds_of(many)
    assert slices == 2
    assert core_s >= 0
