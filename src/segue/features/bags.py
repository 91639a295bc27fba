"""Bags of codes: what is said of a row in words and categories, as rows of one embedding table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Float32, Int32

MIN_COUNT = 2
"""Rows that a value must occur in to get a code: one that is met once can teach nothing."""
MAX_CODES = 8
"""Codes of one feature of one row; what comes after them is left out."""


class Bag(NamedTuple):
    """Codes of some rows, with the weight of each; weight 0 where there is none."""

    codes: Int32[Array | np.ndarray, "rows slots"]
    weights: Float32[Array | np.ndarray, "rows slots"]

    def take(self, rows: np.ndarray) -> Bag:
        """Some of the rows, as a copy."""
        return Bag(self.codes[rows], self.weights[rows])


def known_values(rows: Sequence[Sequence[str]]) -> dict[str, int]:
    """Codes of the values that occur often enough, by falling count."""
    counts = Counter(value for values in rows for value in values)
    often = [value for value, count in counts.items() if count >= MIN_COUNT]
    ordered = sorted(often, key=lambda value: (-counts[value], value))
    return {value: code for code, value in enumerate(ordered)}


def bag_of(rows: Sequence[Sequence[str]], codes: Mapping[str, int], width: int) -> Bag:
    """The codes of each row; the weights of a row sum to 1 where it has any."""
    found = np.zeros((len(rows), width), np.int32)
    weights = np.zeros((len(rows), width), np.float32)
    for i, values in enumerate(rows):
        known = [codes[value] for value in values if value in codes][:width]
        found[i, : len(known)] = known
        weights[i, : len(known)] = 1 / max(len(known), 1)
    return Bag(found, weights)


def joined(bags: Sequence[Bag], sizes: Sequence[int], n_rows: int) -> tuple[Bag, int]:
    """Bags of several features side by side, their codes counted on from 1; 0 is nothing."""
    firsts = 1 + np.cumsum([0, *sizes])
    codes = [np.zeros((n_rows, 0), np.int32)]
    weights = [np.zeros((n_rows, 0), np.float32)]
    for bag, first in zip(bags, firsts, strict=False):
        codes.append(np.where(bag.weights > 0, bag.codes + np.int32(first), 0).astype(np.int32))
        weights.append(np.asarray(bag.weights))
    return Bag(np.concatenate(codes, axis=1), np.concatenate(weights, axis=1)), int(firsts[-1])
