"""Words within one edit, compared with the definition of the edits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.catalogue_search.edits import (
    MIN_LETTERS,
    begins_within_one_edit,
    can_have_edit,
    deletions,
    is_within_one_edit,
)

LETTERS = "abcd"
WORDS = st.text(LETTERS, min_size=1, max_size=9)
"""Few letters, so that words are often similar."""


def all_edits(word: str) -> set[str]:
    """Every text that one edit, or none, makes of a word."""
    places = range(len(word) + 1)
    missing = {word[:i] + word[i + 1 :] for i in places}
    extra = {word[:i] + letter + word[i:] for i in places for letter in LETTERS}
    wrong = {word[:i] + letter + word[i + 1 :] for i in range(len(word)) for letter in LETTERS}
    exchanged = {word[:i] + word[i + 1] + word[i] + word[i + 2 :] for i in range(len(word) - 1)}
    return {word} | missing | extra | wrong | exchanged


@given(WORDS, WORDS)
def test_one_edit_is_what_makes_one_word_of_another(typed: str, word: str) -> None:
    is_long = max(len(typed), len(word)) >= MIN_LETTERS
    expected = typed in all_edits(word) if is_long else typed == word
    assert is_within_one_edit(typed, word) == expected


@given(WORDS, st.data())
def test_every_edit_is_within_one_edit(word: str, data: st.DataObject) -> None:
    typed = data.draw(st.sampled_from(sorted(all_edits(word))))
    if max(len(typed), len(word)) >= MIN_LETTERS:
        assert is_within_one_edit(typed, word)
        assert is_within_one_edit(word, typed)


@given(WORDS, WORDS)
def test_a_beginning_is_an_edit_of_some_first_letters(typed: str, word: str) -> None:
    beginnings = [word[:n] for n in range(len(word) + 1)]
    if len(typed) >= MIN_LETTERS:
        expected = any(typed in all_edits(beginning) for beginning in beginnings)
    else:
        expected = typed in beginnings or is_within_one_edit(typed, word)
    assert begins_within_one_edit(typed, word) == expected


@given(WORDS, st.data())
def test_deletions_find_every_word_within_one_edit(word: str, data: st.DataObject) -> None:
    beginning = word[: data.draw(st.integers(1, len(word)))]
    for meant in (word, beginning):
        typed = data.draw(st.sampled_from(sorted(all_edits(meant))))
        if can_have_edit(typed) and can_have_edit(word) and begins_within_one_edit(typed, word):
            assert deletions(typed) & deletions(word)


@pytest.mark.parametrize(
    ("word", "expected"), [("love", True), ("lov", False), ("1984", False), ("r2d2", False)]
)
def test_only_words_of_letters_have_edits(word: str, expected: bool) -> None:
    assert can_have_edit(word) == expected
