"""``segue search``: items by part of a title, artist or id."""

from __future__ import annotations

from pathlib import Path

from commands import segue

from segue.dataset import Dataset


def test_titles_match_in_any_case(run: Path, world: Path) -> None:
    items = Dataset.open(world).items
    title = items.describe(9)["title"]
    for folder in (run, world):
        matches = segue("search", folder, title.upper(), "--json").json
        assert items.describe(9) in matches["items"]
        assert title in segue("search", folder, title.lower()).out


def test_matches_are_limited_and_ordered_by_popularity(world: Path) -> None:
    matches = segue("search", world, "a", "-n", 7, "--json").json["items"]
    counts = [item["training_count"] for item in matches]
    assert len(matches) == 7
    assert counts == sorted(counts, reverse=True)


def test_no_match_is_a_message_and_no_error(world: Path) -> None:
    outcome = segue("search", world, "zzzzz")
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "no item matches 'zzzzz'\n")
    assert segue("search", world, "zzzzz", "--json").json == {
        "query": "zzzzz",
        "items": [],
        "notes": ["no item matches 'zzzzz'"],
    }
