"""Search without an index: one pass over all items, with the same matches as ``SearchIndex``.

It takes about ten microseconds per item: less than to build an index, for a single search.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from jaxtyping import Int64

from segue.catalogue_search.build import BLOCK_ITEMS, cached_words
from segue.catalogue_search.columns import ITEM_ID, TITLE, searched_columns, texts_of
from segue.catalogue_search.edits import (
    begins_within_one_edit,
    can_have_edit,
    is_within_one_edit,
)
from segue.catalogue_search.words import SearchText, whole_text
from segue.dataset import Items
from segue.tokens import N_SPECIALS

WHOLE, EXACT, PREFIX, ID_PREFIX, EDITED, NONE = range(6)
"""The kinds of matches, best first."""


def scan(
    items: Items, text: str, limit: int, column: str | None = None
) -> Int64[np.ndarray, " matches"]:
    """The rows of matching items, best first: by the kind of match, then by popularity.

    Args:
        items: the items.
        text: the query.
        limit: largest number of items.
        column: the column to search; all if None.
    """
    query = SearchText.of(text)
    if not query.words:
        return np.zeros(0, np.int64)
    words = _texts(items, searched_columns(items.table), column, cached_words)
    titles = [TITLE] if TITLE in items.table.column_names else []
    wholes = _texts(items, [ITEM_ID, *titles], column, whole_text)
    is_id = column in (None, ITEM_ID)
    kinds = np.fromiter(
        (
            _kind(query, " ".join(texts).split(), values, is_id=is_id)
            for texts, values in zip(words, wholes, strict=True)
        ),
        np.int64,
        len(items),
    )
    rows = np.flatnonzero(kinds != NONE)
    order = np.lexsort([rows, -items.training_counts[N_SPECIALS + rows], kinds[rows]])
    return rows[order[:limit]]


def _texts(items: Items, columns: list[str], column: str | None, convert) -> Iterator[list[str]]:
    """The converted texts of the searched columns, per item."""
    names = [name for name in columns if column in (None, name)]
    for start in range(0, len(items), BLOCK_ITEMS):
        block: pa.Table = items.table.slice(start, BLOCK_ITEMS)
        rows = zip(*(texts_of(block.column(name)) for name in names), strict=True)
        yield from (
            [convert(text) for text in row] for row in (rows if names else [()] * len(block))
        )


def _kind(query: SearchText, words: list[str], wholes: list[str], *, is_id: bool) -> int:
    """The best kind of match of an item.

    Args:
        query: the query.
        words: the words of the searched columns.
        wholes: its id, if that is searched, and its title as one word each.
        is_id: whether the first of ``wholes`` is the id.
    """
    *first_words, last = query.words
    if query.whole in wholes:
        return WHOLE
    if words and all(word in words for word in first_words):
        if last in words:
            return EXACT
        if any(word.startswith(last) for word in words):
            return PREFIX
    if is_id and wholes[0].startswith(query.whole):
        return ID_PREFIX
    if all(_has_edited(word, words) for word in first_words) and _has_edited_prefix(last, words):
        return EDITED
    return NONE


def _has_edited(typed: str, words: list[str]) -> bool:
    return typed in words or (
        can_have_edit(typed)
        and any(can_have_edit(word) and is_within_one_edit(typed, word) for word in words)
    )


def _has_edited_prefix(typed: str, words: list[str]) -> bool:
    return any(word.startswith(typed) for word in words) or (
        can_have_edit(typed)
        and any(can_have_edit(word) and begins_within_one_edit(typed, word) for word in words)
    )
