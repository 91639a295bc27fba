"""Caps of generated lists: what is left out from each position on, given the items so far."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int32

from segue.controls import Controls
from segue.errors import RequestError
from segue.ragged import Ragged
from segue.recommender.reranking import CapCount
from segue.tokens import INDEX_DTYPE, N_SPECIALS, PAD


class CapExclusions:
    """The items that the caps of some lists forbid, as the lists grow.

    Locked items count from the beginning, because their positions are certain; they are placed
    even where a cap forbids them.
    """

    def __init__(
        self, controls: Sequence[Controls], locked: Int32[np.ndarray, "batch length"]
    ) -> None:
        """Count the locked items.

        Args:
            controls: of each list.
            locked: the items of its locked positions, PAD at the others.
        """
        self._counts = [[CapCount(cap) for cap in row.caps] for row in controls]
        self._locked = [set(row[row != PAD].tolist()) for row in locked]
        self.initial = Ragged.from_rows(
            [
                np.concatenate([_nothing(), *(_forbidden(counts, item) for item in its_items)])
                for counts, its_items in zip(self._counts, self._locked, strict=True)
            ]
        )

    def __call__(self, items: Int32[np.ndarray, " batch"]) -> Ragged:
        """What each list must not have after one more item, a special token where it has ended."""
        rows = zip(self._counts, self._locked, items.tolist(), strict=True)
        return Ragged.from_rows(
            [
                _nothing() if item < N_SPECIALS or item in its_locked else _forbidden(counts, item)
                for counts, its_locked, item in rows
            ]
        )


def check_no_diversity(controls: Sequence[Controls] | None) -> None:
    """Check that no request has diversity, which is for ranked lists.

    Raises:
        RequestError: one has.
    """
    if any(row.diversity for row in controls or ()):
        raise RequestError(
            "diversity re-ranks a list, and a generated sequence has an order of its own",
            "use a higher temperature, or cap",
        )


def _nothing() -> Int32[np.ndarray, " items"]:
    return np.zeros(0, INDEX_DTYPE)


def _forbidden(counts: list[CapCount], item: int) -> Int32[np.ndarray, " items"]:
    """Count an item: the items with a value that has reached its limit by that."""
    items = np.array([item], INDEX_DTYPE)
    forbidden = [count.items_with(count.add(count.values_of(items).row(0))) for count in counts]
    return np.concatenate([_nothing(), *forbidden])
