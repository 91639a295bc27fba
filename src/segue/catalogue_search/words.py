"""Texts to words that can be compared: case and accents folded, scripts without spaces in pairs.

The items and the queries pass the same functions, so a word is found however it was written.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

MAX_WORD = 40
"""Characters of a word that count."""

MAX_QUERY = 1_000
"""Characters of a query that count."""

MAX_QUERY_WORDS = 32
"""Words of a query that count."""

_LETTERS = {
    "ø": "o", "ł": "l", "đ": "d", "ħ": "h", "ı": "i", "ŧ": "t", "ð": "d", "þ": "th", "æ": "ae",
    "œ": "oe",
}  # fmt: skip
"""Letters that are a base letter with an accent, or two letters, but do not decompose."""

_APOSTROPHES = "'’‘ʼ`´"
"""They are dropped, so that "don't" is the word "dont"."""

_UNSPACED = re.compile(
    "([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf"
    "\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+)"
)
"""Scripts without spaces between words: Thai, Lao, Burmese, Khmer, Japanese, Chinese."""


class _Replacements(dict[int, str | None]):
    """By code point what stands for a character; filled as characters occur.

    Letters, digits and vowel signs stay, accents and apostrophes are dropped, a symbol such as an
    emoji is a word of its own, and anything else separates words.
    """

    def __missing__(self, code: int) -> str | None:
        character = chr(code)
        kind = unicodedata.category(character)
        if character in _LETTERS:
            replacement = _LETTERS[character]
        elif character in _APOSTROPHES or unicodedata.combining(character):
            replacement = None
        elif kind[0] in "LN" or kind in ("Mn", "Mc"):
            # The selectors of emoji variants are the marks that belong to no letter.
            replacement = None if 0xFE00 <= code <= 0xFE0F else character
        else:
            replacement = f" {character} " if kind == "So" else " "
        self[code] = replacement
        return replacement


_REPLACEMENTS = _Replacements()


def folded_words(text: str) -> list[str]:
    """The words of a text between separators, with case and accents folded."""
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text).casefold()
        text = unicodedata.normalize("NFKD", text)
    return [word[:MAX_WORD] for word in text.lower().translate(_REPLACEMENTS).split()]


def item_words(text: str) -> list[str]:
    """The words under which a text is found.

    Of a run of characters without spaces these are each character and each pair of neighbours.
    """
    words = folded_words(text)
    return words if text.isascii() else list(_split(words, with_characters=True))


class SearchText(NamedTuple):
    """A query.

    Attributes:
        words: the words that an item must have; more letters of the last one may follow.
        whole: the text as one word; empty if ``words`` is.
    """

    words: list[str]
    whole: str

    @classmethod
    def of(cls, text: str) -> SearchText:
        """Read a query. Of characters without spaces, each pair of neighbours is a word."""
        text = text[:MAX_QUERY]
        words = folded_words(text)
        if not text.isascii():
            words = list(_split(words, with_characters=False))
        return cls(words[:MAX_QUERY_WORDS], whole_text(text))


def whole_text(text: str) -> str:
    """The words of a text joined to one, for texts that are compared as a whole."""
    return "".join(folded_words(text))[:MAX_WORD]


def _split(words: list[str], *, with_characters: bool) -> Iterator[str]:
    """Replace runs of a script without spaces by their characters and pairs of characters."""
    for word in words:
        for i, part in enumerate(_UNSPACED.split(word)):
            if i % 2 == 0:  # between the runs
                if part:
                    yield part
                continue
            if with_characters or len(part) == 1:
                yield from part
            yield from map("".join, itertools.pairwise(part))
