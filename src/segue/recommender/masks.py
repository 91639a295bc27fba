"""Bit masks of the items that must not be recommended, one column per request.

A mask has one bit per item index, 1 for an item that is left out, packed into bytes (bit ``i % 8``
of byte ``i // 8``). Its shape depends on the vocabulary only, whatever is left out. It covers
whole groups of items (see ``shapes``), so indices beyond the vocabulary are left out too.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int, UInt8

from segue.controls import Controls
from segue.ragged import Ragged
from segue.recommender.shapes import ITEM_MULTIPLE
from segue.tokens import N_SPECIALS


def allowed_bits(is_allowed: Bool[np.ndarray, " vocabulary"]) -> UInt8[np.ndarray, " bytes"]:
    """The reverse of a mask: packed bits that are 1 for an item that may be recommended."""
    n_bits = -(-len(is_allowed) // ITEM_MULTIPLE) * ITEM_MULTIPLE
    bits = np.zeros(n_bits, bool)
    bits[: len(is_allowed)] = is_allowed
    return np.packbits(bits, bitorder="little")


def catalogue_mask(is_candidate: Bool[np.ndarray, " vocabulary"]) -> UInt8[np.ndarray, " bytes"]:
    """The mask of the items that are never recommended: special tokens and non-candidates.

    Args:
        is_candidate: by item index, whether an item may be recommended.
    """
    is_item = np.arange(len(is_candidate)) >= N_SPECIALS
    return ~allowed_bits(is_candidate & is_item)


def request_masks(
    catalogue: UInt8[np.ndarray, " bytes"],
    left_out: Sequence[Ragged],
    n_rows: int,
    controls: Sequence[Controls] | None = None,
) -> UInt8[np.ndarray, "bytes rows"]:
    """The masks of a block of requests.

    Args:
        catalogue: the mask that applies to all requests.
        left_out: item indices to leave out, one row per request each. Indices beyond the
            vocabulary have no effect.
        n_rows: number of columns; at least the number of requests.
        controls: of each request; what is not in its ``allowed`` is left out.
    """
    masks = _controlled_masks(catalogue, n_rows, controls or ())
    for items in left_out:
        rows = np.repeat(np.arange(items.n_rows), np.diff(items.offsets))
        is_inside = items.values < 8 * len(catalogue)
        values = items.values[is_inside]
        bits = np.left_shift(1, values & 7).astype(np.uint8)
        np.bitwise_or.at(masks, (values >> 3, rows[is_inside]), bits)
    return masks


def _controlled_masks(
    catalogue: UInt8[np.ndarray, " bytes"], n_rows: int, controls: Sequence[Controls]
) -> UInt8[np.ndarray, "bytes rows"]:
    """The masks of the catalogue and of what the controls of each request do not allow."""
    allowed = [row.allowed for row in controls]
    if not allowed or all(bits is allowed[0] for bits in allowed):
        shared = catalogue if not allowed else _without(catalogue, allowed[0])
        return np.repeat(shared[:, None], n_rows, axis=1)
    # By row first, since columns of a wide array are slow to write.
    rows = np.repeat(catalogue[None], n_rows, axis=0)
    for row, bits in enumerate(allowed):
        rows[row] = _without(catalogue, bits)
    return np.ascontiguousarray(rows.T)


def _without(
    catalogue: UInt8[np.ndarray, " bytes"], allowed: UInt8[np.ndarray, " bytes"] | None
) -> UInt8[np.ndarray, " bytes"]:
    if allowed is None:
        return catalogue
    return catalogue | ~np.pad(allowed, (0, len(catalogue) - len(allowed)))


def is_masked(
    masks: UInt8[np.ndarray, "bytes rows"],
    rows: Int[np.ndarray, " pairs"],
    items: Int[np.ndarray, " pairs"],
) -> Bool[np.ndarray, " pairs"]:
    """Whether the item of each pair is left out for the request of the pair."""
    return ((masks[items >> 3, rows] >> (items & 7).astype(np.uint8)) & 1).astype(bool)
