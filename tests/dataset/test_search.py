"""Finding items by part of a title, artist or id."""

from __future__ import annotations

import pyarrow as pa
import pytest

from segue.axes import N_SPECIALS
from segue.dataset import Items

COLUMNS = {
    "item_id": ["a1", "b2", "c3", "d4"],
    "title": ["Über den Wolken", None, "The Clouds (Live)", "wolken"],
    "artist": ["Reinhard", "The Wolken Band", None, None],
    "training_count": [9, 7, 2, 0],
}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("wolken", [0, 1, 3]),
        ("ÜBER", [0]),
        ("b2", [1]),
        ("(live)", [2]),
        ("the", [1, 2]),
        (".*", []),
        ("", [0, 1, 2, 3]),
    ],
)
def test_any_case_by_popularity(text: str, found: list[int]) -> None:
    items = Items(pa.table(COLUMNS))
    assert items.search(text, 10).tolist() == [N_SPECIALS + row for row in found]


def test_no_more_than_the_limit() -> None:
    items = Items(pa.table(COLUMNS))
    assert items.search("wolken", 2).tolist() == [N_SPECIALS, N_SPECIALS + 1]


def test_items_without_titles_are_found_by_id() -> None:
    items = Items(pa.table({name: COLUMNS[name] for name in ("item_id", "training_count")}))
    assert items.search("D4", 5).tolist() == [N_SPECIALS + 3]
