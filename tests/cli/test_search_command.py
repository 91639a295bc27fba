"""``segue search``: items by words of their titles, artists and ids, in a run and a dataset."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from commands import segue

from segue.dataset import Dataset
from segue.recommender import Recommender


@pytest.fixture
def copy(run: Path, tmp_path: Path) -> Path:
    """A run that may be edited."""
    shutil.copytree(run, tmp_path / "run", ignore=shutil.ignore_patterns("checkpoints"))
    return tmp_path / "run"


def test_a_run_and_its_dataset_list_the_same_items(run: Path, world: Path) -> None:
    items = Dataset.open(world).items
    model = Recommender.load(run)
    described = items.describe(9)
    title, artist = described["title"], described["artist"]
    for text in (title.upper(), title[:-2], f"{artist} {title}", title[:-1] + "q", "the"):
        matches = segue("search", run, text, "--json").json["items"]
        assert matches == segue("search", world, text, "--json").json["items"]
        assert matches == model.search(text)
        assert text == "the" or described in matches
    assert title in segue("search", run, title.lower()).out


def test_matches_are_limited_and_ordered_by_popularity(run: Path, world: Path) -> None:
    for folder in (run, world):
        matches = segue("search", folder, "track", "-n", 7, "--json").json["items"]
        counts = [item["training_count"] for item in matches]
        assert len(matches) == 7
        assert counts == sorted(counts, reverse=True)


def test_a_column_may_be_chosen(run: Path, world: Path) -> None:
    artist = Dataset.open(world).items.describe(9)["artist"]
    matches = segue("search", run, artist, "--column", "artist", "--json").json["items"]
    assert matches
    assert {match["artist"] for match in matches} == {artist}
    assert segue("search", run, artist, "--column", "item_id", "--json").json["items"] == []
    for folder in (run, world):
        error = segue("search", folder, "a", "--column", "colour").error
        assert "no column 'colour'" in error
        assert "title, artist, album, genres, year" in error


def test_no_match_is_a_message_and_no_error(run: Path, world: Path) -> None:
    for folder in (run, world):
        outcome = segue("search", folder, "zzzzz")
        assert (outcome.code, outcome.out, outcome.err) == (0, "", "no item matches 'zzzzz'\n")
        assert segue("search", folder, "zzzzz", "--json").json == {
            "query": "zzzzz",
            "items": [],
            "notes": ["no item matches 'zzzzz'"],
        }


def test_training_leaves_an_index_that_is_used_as_it_is(run: Path) -> None:
    index = run / "search.sqlite"
    content = index.stat().st_mtime_ns
    segue("search", run, "the")
    assert index.stat().st_mtime_ns == content


def test_a_run_without_an_index_gets_one(copy: Path) -> None:
    (copy / "search.sqlite").unlink()
    assert segue("search", copy, "the").err == ""
    assert (copy / "search.sqlite").is_file()


def test_where_no_index_can_be_written_the_search_says_so(copy: Path) -> None:
    expected = segue("search", copy, "the").out
    (copy / "search.sqlite").unlink()
    (copy / "search.sqlite").mkdir()
    outcome = segue("search", copy, "the")
    assert outcome.out == expected
    assert "the search index is in a temporary file" in outcome.err
