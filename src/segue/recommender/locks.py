"""Locked positions of generated lists: item ids at positions to item indices."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int32

from segue.errors import RequestError
from segue.recommender.ids import id_string
from segue.tokens import INDEX_DTYPE, PAD

FindItems = Callable[[list[str]], tuple[Int32[np.ndarray, " items"], list[str]]]
"""Item ids to item indices, and the ids that are not in the catalogue."""


def locked_items(
    locks: Sequence[Any], length: int, find_items: FindItems
) -> Int32[np.ndarray, "batch length"]:
    """The locked item at each position of each list, PAD at the positions to be filled.

    Args:
        locks: one mapping from positions, counted from 0, to item ids, or None, per list.
        length: number of items of a list.
        find_items: looks up ids.

    Raises:
        RequestError: a position is beyond the length, or an item is unknown or locked twice.
    """
    locked = np.full((len(locks), length), PAD, INDEX_DTYPE)
    for row, lock in enumerate(locks):
        positions, ids = check_locks(lock, length)
        indices, unknown = find_items(ids)
        if unknown:
            raise RequestError(
                f"the locked item {unknown[0]!r} is not in the catalogue",
                "lock the id of an item of the catalogue",
            )
        locked[row, positions] = indices
    return locked


def check_locks(lock: Any, length: int) -> tuple[list[int], list[str]]:
    """The locked positions of one list and their item ids.

    Args:
        lock: a mapping from positions, counted from 0, to item ids, or None.
        length: number of items of the list.

    Raises:
        RequestError: a position is beyond the length, or an item is locked twice.
    """
    if not isinstance(lock, Mapping | None):
        message = f"locked is {lock!r}, expected a mapping of positions to item ids"
        raise RequestError(message, 'give {0: "first id"}, for example')
    positions = [_position(position, length) for position in lock or {}]
    ids = [id_string(item, "locked item") for item in (lock or {}).values()]
    if len(set(ids)) < len(ids):
        twice = next(item for item in ids if ids.count(item) > 1)
        raise RequestError(
            f"item {twice!r} is locked at two positions", "a list has no repeats: lock it once"
        )
    return positions, ids


def _position(position: Any, length: int) -> int:
    if not isinstance(position, int | np.integer) or isinstance(position, bool):
        message = f"position {position!r} of locked is not an integer"
        raise RequestError(message, "positions of the generated list count from 0")
    if not 0 <= position < length:
        raise RequestError(
            f"position {position} is locked, but a list of {length} has the positions 0 to "
            f"{length - 1}",
            "lock a position of the list, or raise length",
        )
    return int(position)
