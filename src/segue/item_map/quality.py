"""How many neighbours a map keeps: those by cosine that are also near in the plane."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32
from scipy.spatial import KDTree

TRUE_NEIGHBOURS, NEAR_ON_MAP = 10, 50
SAMPLED_ITEMS = 1_000


def kept_neighbours(
    vectors: Float32[np.ndarray, "items dim"],
    positions: Float32[np.ndarray, "items 2"],
    seed: int = 0,
) -> float:
    """The mean share of the 10 nearest items by cosine among the 50 nearest on the map.

    It is measured on at most ``SAMPLED_ITEMS`` randomly drawn items. By chance it is 50 divided
    by the number of items.

    Args:
        vectors: of length 1.
        positions: of the same items.
        seed: of the sample.
    """
    n = len(vectors)
    k, near = min(TRUE_NEIGHBOURS, n - 1), min(NEAR_ON_MAP, n - 1)
    if k < 1:
        return 1.0
    sample = np.random.default_rng(seed).permutation(n)[:SAMPLED_ITEMS]
    _, on_map = KDTree(positions).query(positions[sample], near + 1)
    shares = []
    for item, nearby in zip(sample.tolist(), np.atleast_2d(on_map), strict=True):
        cosines = vectors @ vectors[item]
        cosines[item] = -np.inf
        nearest = np.argpartition(-cosines, k - 1)[:k]
        shares.append(np.isin(nearest, nearby[nearby != item][:near]).mean())
    return float(np.mean(shares))
