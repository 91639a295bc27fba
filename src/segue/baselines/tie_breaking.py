"""Scores whose ties are ordered by popularity, exactly: two keys in one float64.

A score and a small multiple of the popularity cannot simply be added: in float32 the sum loses the
popularity where the score is large, and where the score is small popularity decides too much. Here
the score is rounded to float32, whose neighbours are at least 2^-24 apart (relative to it), and a
number below 2^-25 is added (relative to it). float64 has room for both.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64, Int64, Real
from scipy import sparse

from segue.tokens import N_SPECIALS

RELATIVE_STEP = 2.0**-25
"""The tie-breaker of a score is below this multiple of its magnitude."""
STEP_AT_ZERO = 2.0**-160
"""The tie-breaker of a score of 0 is below this, hence below every positive float32."""
MAX_DISTINCT = 2.0**26
"""Number of popularities that stay distinct: more than any log has different counts."""


def tie_breakers(counts: Int64[np.ndarray, " vocabulary"]) -> Float64[np.ndarray, " vocabulary"]:
    """A number in [0, 1) per item that rises with its count, by steps that float64 can add.

    Special tokens get 0.
    """
    _, ranks = np.unique(counts, return_inverse=True)
    breakers = ranks / MAX_DISTINCT
    breakers[:N_SPECIALS] = 0
    return breakers


def break_ties(
    scores: Real[np.ndarray, "*batch items"], breakers: Float64[np.ndarray, " items"]
) -> Float64[np.ndarray, "*batch items"]:
    """Scores that are ordered by ``scores``, rounded to float32, and where equal by ``breakers``.

    They are equal only where both are.
    """
    rounded = scores.astype(np.float32).astype(np.float64)
    return rounded + (np.abs(rounded) * RELATIVE_STEP + STEP_AT_ZERO) * breakers


def break_ties_of_sparse(
    scores: sparse.csr_matrix, breakers: Float64[np.ndarray, " vocabulary"]
) -> Float64[np.ndarray, "batch vocabulary"]:
    """``break_ties`` of sparse scores (batch, vocabulary), as a dense array; the others are 0."""
    lengths = np.diff(scores.indptr)
    dense = np.tile(STEP_AT_ZERO * breakers, (len(lengths), 1))
    rows = np.repeat(np.arange(len(lengths)), lengths)
    dense[rows, scores.indices] = break_ties(scores.data, breakers[scores.indices])
    return dense
