"""Public data sets on the command line: counts agree with their descriptions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from commands import segue

pytestmark = pytest.mark.real_data


def prepared(source: Path, output: Path, *options: object) -> dict[str, Any]:
    return segue("prepare", source, "-o", output / "data", "--json", *options).json


def test_a_csv_log(segue_data: Path, tmp_path: Path) -> None:
    source = segue_data / "ml-latest-small" / "ratings.csv"
    manifest = prepared(source, tmp_path, "--format", "tabular")
    assert manifest["counts"]["events"] == 100_836
    assert manifest["counts"]["sequences"] == 610
    assert manifest["source"]["report"]["columns"]["user"] == "userId"
    assert manifest["split"]["kind"] == "leave-one-out"


def test_a_movielens_release_and_its_titles(segue_data: Path, tmp_path: Path) -> None:
    manifest = prepared(segue_data / "ml-latest-small", tmp_path)
    assert manifest["source"]["format"] == "movielens"
    assert manifest["counts"]["events"] == 100_836
    (first, *_) = segue("search", tmp_path / "data", "toy story", "--json").json["items"]
    assert first["title"].startswith("Toy Story")
    assert first["item_id"] == "1"


def test_pairs_without_a_header(segue_data: Path, tmp_path: Path) -> None:
    source = segue_data / "ml-1m-canonical" / "ml-1m.txt"
    options = ("--min-item-events", 5, "--catalogue", "all", "--split", "leave-one-out")
    counts = prepared(source, tmp_path, *options)["counts"]
    assert counts == {"sequences": 6040, "events": 999_611, "items": 3416, "catalogue": 3416}


def test_a_slice_of_playlists(segue_data: Path, tmp_path: Path) -> None:
    manifest = prepared(segue_data / "mpd-full-fields", tmp_path)
    assert manifest["source"]["format"] == "mpd"
    assert manifest["counts"]["sequences"] == 100
    assert manifest["split"]["kind"] == "holdout"
    assert manifest["audit"]["leakage"]["violations"] == 0


@pytest.mark.parametrize("baseline", ["popularity", "last-item"])
def test_a_baseline_on_real_playlists(segue_data: Path, tmp_path: Path, baseline: str) -> None:
    prepared(segue_data / "mpd-full-fields", tmp_path, "--seed", 1)
    options = ("--data", tmp_path / "data", "--task", "next-item", "--json")
    (result,) = segue("evaluate", baseline, *options).json["results"]
    low, high = result["metrics"]["hr@10"]["ci95"]
    assert 0 <= low <= result["metrics"]["hr@10"]["mean"] <= high <= result["ceiling"] + 0.1
    assert result["unknown_targets"] > 0
