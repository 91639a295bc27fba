"""Texts to words: case, accents, apostrophes, symbols, and scripts without spaces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.catalogue_search.words import (
    MAX_QUERY_WORDS,
    MAX_WORD,
    SearchText,
    folded_words,
    item_words,
    whole_text,
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Über den Wolken", ["uber", "den", "wolken"]),
        ("Sigur Rós – Ágætis byrjun", ["sigur", "ros", "agaetis", "byrjun"]),
        ("MØ", ["mo"]),
        ("Straße", ["strasse"]),
        ("Don’t Stop 'Til You Get Enough", ["dont", "stop", "til", "you", "get", "enough"]),
        ("AC/DC: T.N.T. (live)", ["ac", "dc", "t", "n", "t", "live"]),
        ("1984_b", ["1984", "b"]),
        ("ﬁne ①", ["fine", "1"]),
        ("שָׁלוֹם", ["שלום"]),
        ("İstanbul", ["istanbul"]),
        ("❤️ you", ["❤", "you"]),
        ("💔💔", ["💔", "💔"]),
        ("हिंदी", ["हिंदी"]),
        ("!!! ?-.", []),
        ("a\0b\ud800c\u202ed", ["a", "b", "c", "d"]),
        ("", []),
        ("x" * 100, ["x" * MAX_WORD]),
    ],
)
def test_words_are_folded(text: str, words: list[str]) -> None:
    assert folded_words(text) == words


def test_characters_without_spaces_are_words_and_pairs() -> None:
    assert item_words("周杰倫 live") == ["周", "杰", "倫", "周杰", "杰倫", "live"]
    assert SearchText.of("杰倫").words == ["杰倫"]
    assert SearchText.of("周").words == ["周"]
    assert SearchText.of("周杰倫1").words == ["周杰", "杰倫", "1"]


def test_a_part_of_a_text_without_spaces_has_words_of_the_text() -> None:
    title = "พรหมลิขิต"
    for start in range(len(title)):
        for end in range(start + 1, len(title) + 1):
            assert set(SearchText.of(title[start:end]).words) <= set(item_words(title))


@given(st.text(max_size=40))
def test_words_contain_nothing_that_sqlite_would_split(text: str) -> None:
    for word in item_words(text):
        assert word.isalnum() or not word.isascii()
        assert not set(word) & set(" \0\"'*():^-+")
        word.encode()
        assert 0 < len(word) <= MAX_WORD


@given(st.text(max_size=40))
def test_a_query_of_a_title_is_what_the_title_has(text: str) -> None:
    query = SearchText.of(text)
    assert set(query.words) <= set(item_words(text))
    assert query.whole == whole_text(text)
    assert bool(query.words) == bool(query.whole)


def test_long_queries_are_cut() -> None:
    assert len(SearchText.of("ab " * 5_000).words) == MAX_QUERY_WORDS
    assert SearchText.of("\ufdfa" * 10_000).words
