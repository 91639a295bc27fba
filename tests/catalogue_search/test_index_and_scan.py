"""Search in an index: what matches, in which order, compared with a scan of all items."""

from __future__ import annotations

import sqlite3

import numpy as np
import pyarrow as pa
import pytest
from catalogues import items_of, titled
from hypothesis import given
from hypothesis import strategies as st

from segue.catalogue_search import CatalogueSearch, scan_items
from segue.catalogue_search.build import build_index
from segue.dataset import Items
from segue.errors import RequestError
from segue.tokens import N_SPECIALS

SONGS = {
    "title": ["Yesterday", "Yesterday Once More", "Help!", "Café del Mar", "周杰倫", "שלום", "!!!"],
    "artist": ["The Beatles", "The Carpenters", "The Beatles", "Energy 52", "Jay", None, "!!!"],
    "genres": [["pop", "rock"], ["pop"], None, ["trance"], [], ["folk"], ["punk"]],
    "year": [1965, 1973, 1965, 1993, 2000, None, 2000],
    "artist_uri": [f"uri:{i}" for i in range(7)],
}


def rows(items: Items, text: object, limit: int = 10, column: str | None = None) -> list[int]:
    """The rows that the index and the scan list, which must be the same."""
    indices = CatalogueSearch(items).search(text, limit, column)  # type: ignore[arg-type]
    np.testing.assert_array_equal(indices, scan_items(items, text, limit, column))  # type: ignore[arg-type]
    return (indices - N_SPECIALS).tolist()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("yesterday", [0, 1]),
        ("YESTERD", [0, 1]),
        ("beatles yest", [0]),
        ("beatels", [0, 2]),
        ("the betles help", [2]),
        ("yesetrday onc", [1]),
        ("cafe", [3]),
        ("help", [2]),
        ("hlep", []),  # both have four letters
        ("1965", [0, 2]),
        ("pop 19", [0, 1]),
        ("rock", [0]),
        ("杰", [4]),
        ("杰倫", [4]),
        ("倫周", []),
        ("שלו", [5]),
        ("i3", [3]),
        ("I", [0, 1, 2, 3, 4, 5, 6]),  # of the ids
        ("uri", []),
        ("", []),
        ("!!!", []),
    ],
)
def test_words_prefixes_edits_and_ids(text: str, expected: list[int]) -> None:
    assert rows(items_of(dict(SONGS)), text) == expected


def test_matches_come_by_kind_then_by_popularity() -> None:
    items = titled(
        "Lovely Day", "One Lover", "My Lover Lives", "Lover", "Loverboy", "Loner", "Covers",
        counts=[50, 2, 3, 1, 90, 5, 99],
    )  # fmt: skip
    # The title itself, whole words, a beginning, and words with an edit.
    assert rows(items, "lover") == [3, 2, 1, 4, 6, 0, 5]
    assert rows(items, "lover", limit=3) == [3, 2, 1]
    assert rows(items, "loner") == [5, 4, 2, 1, 3]


def test_equal_counts_come_in_the_order_of_the_items() -> None:
    assert rows(titled("a b", "b a", "a c", counts=[7, 7, 7]), "a") == [0, 1, 2]


def test_an_id_comes_first_and_its_beginning_after_titles() -> None:
    items = items_of({"item_id": ["24", "7", "247"], "title": ["b", "24 hours", "c"]}, [1, 1, 9])
    assert rows(items, "24") == [0, 1, 2]
    assert rows(items, "24", column="item_id") == [0, 2]
    assert rows(items, "24", column="title") == [1]


def test_ids_with_punctuation_match_as_a_whole() -> None:
    items = items_of({"item_id": ["spotify:track:1A", "spotify:track:1B"]})
    assert rows(items, "spotify:track:1b") == [1]
    assert rows(items, "Spotify:Tr") == [0, 1]


def test_a_column_is_searched_alone() -> None:
    items = items_of({"title": ["Queen", "Killer"], "artist": ["Prince", "Queen"]})
    assert rows(items, "queen") == [0, 1]
    assert rows(items, "queen", column="artist") == [1]
    assert rows(items, "killer queen", column="artist") == []


@pytest.mark.parametrize("column", ["rank", "rowid", "c0", 'a"b', "select", "items"])
def test_attributes_may_have_any_name(column: str) -> None:
    items = items_of({column: ["alpha", "beta"], "title": ["beta", "alpha"]})
    assert rows(items, "alpha", column=column) == [0]


def test_catalogues_without_texts_are_searched_by_id() -> None:
    items = items_of({"item_id": ["a1", "a2", "b1"]})
    assert rows(items, "a") == [0, 1]
    assert rows(titled(None, None), "x") == []


HOSTILE = [
    '"', '""', "a\"b", "a*", "a AND", "OR", "NOT a", "NEAR(a b)", "a NEAR/2 b", "{title} : a",
    "c0 : a", "-a", "+a", "^a", "(a", "a)", ";DROP TABLE items;--", "'; --", "\0", "a\0b", "%",
    "_", "\\", "\ud800", "\u202eabc", "💔", "a" * 10_000, "a " * 5_000, "\n\t", "ﷺ" * 2_000,
    "items:a", "rank", "*",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:20]))
def test_no_text_is_an_error(text: str) -> None:
    rows(items_of(dict(SONGS)), text)


CHARACTERS = st.text("abAB éœ-'\"*1", max_size=12)


@given(
    st.lists(st.tuples(CHARACTERS, CHARACTERS, st.integers(0, 3)), min_size=1, max_size=8),
    st.lists(CHARACTERS, min_size=1, max_size=6),
    st.integers(1, 9),
    st.sampled_from([None, "title", "artist", "item_id"]),
)
def test_the_index_lists_what_the_scan_lists(
    songs: list[tuple[str, str, int]], texts: list[str], limit: int, column: str | None
) -> None:
    titles, artists, counts = (list(values) for values in zip(*songs, strict=True))
    items = items_of({"title": titles, "artist": artists}, counts)
    search = CatalogueSearch(items)
    for text in [*texts, *titles]:
        expected = scan_items(items, text, limit, column).tolist()
        assert search.search(text, limit, column).tolist() == expected


@given(st.lists(st.text("abc", min_size=4, max_size=7), min_size=1, max_size=8), st.data())
def test_edited_words_are_listed_as_by_the_scan(words: list[str], data: st.DataObject) -> None:
    items = titled(*words)
    search = CatalogueSearch(items)
    for _ in range(4):
        text = data.draw(st.text("abc", min_size=4, max_size=7))
        assert search.search(text, 9).tolist() == scan_items(items, text, 9).tolist()


def test_most_popular_corrections_are_taken_where_there_are_many() -> None:
    letters = "abcdefghijklmnopqrstuvwxyz"
    titles = [f"wor{a}{b}" for a in letters for b in "kt"] + [f"{a}wordk" for a in letters]
    items = titled(*(f"x {title}" for title in titles), counts=list(range(len(titles), 0, -1)))
    search = CatalogueSearch(items)
    for text in ("wordk", "wordt", "x worqk"):
        np.testing.assert_array_equal(search.search(text), scan_items(items, text))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((3,), "text is of type int"),
        ((None,), "text is of type NoneType"),
        (("a", 0), "limit is 0"),
        (("a", True), "limit is True"),
        (("a", "9"), "limit is '9'"),
        (("a", 5, "artist_uri"), "no column 'artist_uri' that can be searched"),
    ],
)
def test_impossible_arguments(arguments: tuple, message: str) -> None:
    items = items_of(dict(SONGS))
    for search in (CatalogueSearch(items).search, lambda *a: scan_items(items, *a)):
        with pytest.raises(RequestError, match=message) as caught:
            search(*arguments)
        assert caught.value.hint


def test_a_python_without_full_text_search_gets_one_line() -> None:
    class Connection(sqlite3.Connection):
        def execute(self, sql: str, *parameters: object) -> sqlite3.Cursor:
            if "fts5" in sql:
                raise sqlite3.OperationalError("no such module: fts5")
            return super().execute(sql, *parameters)

    connection = sqlite3.connect(":memory:", factory=Connection)
    with pytest.raises(RequestError, match="no full-text search"):
        build_index(connection, titled("a"), "")


def test_lists_and_vectors_among_the_attributes() -> None:
    table = items_of({"title": ["a"], "tags": [["deep house", None]]}).table
    vectors = pa.array([[0.5, 1.0]], pa.list_(pa.float32()))
    items = Items(table.append_column("sound", vectors))
    assert rows(items, "house", column="tags") == [0]
    with pytest.raises(RequestError, match="sound"):
        rows(items, "a", column="sound")


def test_an_item_with_its_id_as_its_title_takes_one_place() -> None:
    items = items_of(
        {"item_id": ["7", "a", "b"], "title": ["7", "7 Samurai", "7"]}, counts=[5, 9, 1]
    )
    assert rows(items, "7", 2) == [0, 2]


def test_any_limit_is_possible() -> None:
    assert rows(titled("Vertigo", "Vertigo Sea"), "vertigo", 10**30) == [0, 1]
