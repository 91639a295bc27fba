"""Words within one edit: a missing, extra or wrong letter, or two neighbours exchanged.

Candidates are found by the deletions of their first letters, the symmetric-delete idea of SymSpell
(W. Garbe, 2012; https://github.com/wolfgarbe/SymSpell): two words are within one edit only if their
first five letters have a deletion of at most one letter in common. A candidate is then compared.
"""

from __future__ import annotations

MIN_LETTERS = 5
"""Letters from which on an edit is forgiven, of the word of the query or of the word meant."""

PREFIX = 5
"""First letters of a word whose deletions are stored."""


def can_have_edit(word: str) -> bool:
    """Whether a word may have an edit: in a query, or as the word of an item that was meant."""
    return len(word) >= MIN_LETTERS - 1 and word.isalpha()


def deletions(word: str) -> set[str]:
    """The first letters of a word, and these without one of them."""
    prefix = word[:PREFIX]
    return {prefix} | {prefix[:i] + prefix[i + 1 :] for i in range(len(prefix))}


def is_within_one_edit(typed: str, word: str) -> bool:
    """Whether one edit makes ``typed`` the word, and one of them is long enough; or none does."""
    if abs(len(typed) - len(word)) > 1 or max(len(typed), len(word)) < MIN_LETTERS:
        return typed == word
    i = _n_common(typed, word)
    return (
        typed[i + 1 :] == word[i + 1 :]  # a wrong letter, or no edit
        or typed[i + 1 :] == word[i:]  # an extra letter
        or typed[i:] == word[i + 1 :]  # a missing letter
        or (typed[i : i + 2] == word[i : i + 2][::-1] and typed[i + 2 :] == word[i + 2 :])
    )


def begins_within_one_edit(typed: str, word: str) -> bool:
    """Whether one edit, or none, makes ``typed`` the beginning of the word.

    Of a ``typed`` that is too short for an edit, a whole word must be meant.
    """
    if len(typed) < MIN_LETTERS:
        return word.startswith(typed) or is_within_one_edit(typed, word)
    i = _n_common(typed, word)
    return (
        word.startswith(typed[i + 1 :], i + 1)
        or word.startswith(typed[i + 1 :], i)
        or word.startswith(typed[i:], i + 1)
        or (
            len(typed) > i + 1
            and typed[i : i + 2] == word[i : i + 2][::-1]
            and word.startswith(typed[i + 2 :], i + 2)
        )
    )


def _n_common(first: str, second: str) -> int:
    """The number of letters before the first difference."""
    n = min(len(first), len(second))
    return next((i for i in range(n) if first[i] != second[i]), n)
