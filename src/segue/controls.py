"""``Controls``: filters, examples, caps and dials of a request, in item indices."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Int32, UInt8

from segue.ragged import Ragged
from segue.tokens import INDEX_DTYPE


def _no_items() -> Int32[np.ndarray, " items"]:
    return np.zeros(0, INDEX_DTYPE)


@dataclass(frozen=True, eq=False)
class Cap:
    """At most so many items of a list with the same value of an attribute.

    Attributes:
        attribute: name of the attribute.
        limit: number of items per value, 1 or more.
        values: by item index, the codes of the item's values; none for an item without a value,
            which is not limited.
    """

    attribute: str
    limit: int
    values: Ragged


@dataclass(frozen=True, eq=False)
class Controls:
    """The controls of one request. They apply before its list is cut to ``k`` items.

    Attributes:
        allowed: one bit per item index, packed as in ``numpy.packbits(bitorder="little")``: 1 for
            an item that may be recommended; None for all. Items beyond its end are not allowed.
        popularity: from -1 (discovery) to 1 (mainstream), times a fixed weight and the item's
            popularity, is added to each score.
        liked: examples; items similar to them score higher, and they are not listed themselves.
        disliked: the opposite.
        caps: limits on the items of the list with one value of an attribute.
        diversity: from 0 to 1, the weight of the difference to the items listed before
            (maximal marginal relevance).
    """

    allowed: UInt8[np.ndarray, " bytes"] | None = None
    popularity: float = 0.0
    liked: Int32[np.ndarray, " liked"] = field(default_factory=_no_items)
    disliked: Int32[np.ndarray, " disliked"] = field(default_factory=_no_items)
    caps: tuple[Cap, ...] = ()
    diversity: float = 0.0

    @property
    def has_examples(self) -> bool:
        """Whether there are liked or disliked items."""
        return bool(len(self.liked) or len(self.disliked))

    @property
    def reranks(self) -> bool:
        """Whether an item's place depends on the items listed before it."""
        return bool(self.caps) or self.diversity > 0

    @property
    def are_neutral(self) -> bool:
        """Whether they change nothing."""
        steers = bool(self.popularity) or self.has_examples
        return self.allowed is None and not steers and not self.reranks


NO_CONTROLS = Controls()
