"""Nearest neighbours by cosine: exact for small catalogues, by inverted lists for large ones."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Int32, Int64

EXACT_ITEMS = 20_000
"""Up to so many items every pair is compared."""
PROBED_LISTS = 8
"""Inverted lists that are searched per item, of about as many lists as the root of the items."""
CLUSTERING_STEPS = 6
BLOCK_SCORES = 1 << 23
"""Largest block of cosines, 32 MiB."""


def nearest_neighbours(
    vectors: Float32[np.ndarray, "items dim"], k: int, seed: int = 0
) -> Int32[np.ndarray, "items k"]:
    """The ``k`` items with the largest cosine to each item, without itself, in any order.

    Above ``EXACT_ITEMS`` items, they are searched among the ``PROBED_LISTS`` nearest clusters of
    spherical k-means, which finds nearly all of them (inverted lists, as in Sivic and Zisserman,
    2003).

    Args:
        vectors: of length 1.
        k: below the number of items.
        seed: of the first centroids.
    """
    everything = np.arange(len(vectors), dtype=np.int32)
    if len(vectors) <= EXACT_ITEMS:
        return _search(vectors, everything, everything, k)
    return _search_lists(vectors, k, seed)


def _search_lists(
    vectors: Float32[np.ndarray, "items dim"], k: int, seed: int
) -> Int32[np.ndarray, "items k"]:
    centroids = _centroids(vectors, round(len(vectors) ** 0.5), seed)
    labels = _nearest_centroid(vectors, centroids)
    order = np.argsort(labels, kind="stable").astype(np.int32)
    bounds = np.searchsorted(labels[order], np.arange(len(centroids) + 1))
    members = [order[bounds[i] : bounds[i + 1]] for i in range(len(centroids))]
    near = np.argsort(-(centroids @ centroids.T), axis=1)
    nearest = np.empty((len(vectors), k), np.int32)
    for label, own in enumerate(members):
        if not len(own):
            continue
        n_lists = PROBED_LISTS
        candidates = np.concatenate([members[neighbour] for neighbour in near[label, :n_lists]])
        while len(candidates) <= k:  # clusters may be tiny
            n_lists *= 2
            candidates = np.concatenate([members[neighbour] for neighbour in near[label, :n_lists]])
        nearest[own] = _search(vectors, own, candidates, k)
    return nearest


def _search(
    vectors: Float32[np.ndarray, "items dim"],
    items: Int32[np.ndarray, " searched"],
    candidates: Int32[np.ndarray, " candidates"],
    k: int,
) -> Int32[np.ndarray, "searched k"]:
    """The nearest of some candidates to each of some items."""
    nearest = np.empty((len(items), k), np.int32)
    among = np.ascontiguousarray(vectors[candidates].T)
    size = max(1, BLOCK_SCORES // len(candidates))
    for start in range(0, len(items), size):
        block = items[start : start + size]
        cosines = vectors[block] @ among
        cosines[block[:, None] == candidates[None, :]] = -np.inf
        best = np.argpartition(-cosines, k - 1, axis=1)[:, :k]
        nearest[start : start + size] = candidates[best]
    return nearest


def _centroids(
    vectors: Float32[np.ndarray, "items dim"], n: int, seed: int
) -> Float32[np.ndarray, "lists dim"]:
    """Spherical k-means from randomly drawn items; a cluster without items keeps its centroid."""
    random = np.random.default_rng(seed)
    centroids = vectors[random.choice(len(vectors), n, replace=False)].copy()
    sample = vectors[random.choice(len(vectors), min(len(vectors), 64 * n), replace=False)]
    for _ in range(CLUSTERING_STEPS):
        labels = _nearest_centroid(sample, centroids)
        order = np.argsort(labels, kind="stable")
        used, starts = np.unique(labels[order], return_index=True)
        sums = np.add.reduceat(sample[order], starts, axis=0)
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        centroids[used] = sums / np.maximum(lengths, np.finfo(np.float32).tiny)
    return centroids


def _nearest_centroid(
    vectors: Float32[np.ndarray, "items dim"], centroids: Float32[np.ndarray, "lists dim"]
) -> Int64[np.ndarray, " items"]:
    size = max(1, BLOCK_SCORES // len(centroids))
    blocks = [
        np.argmax(vectors[start : start + size] @ centroids.T, axis=1)
        for start in range(0, len(vectors), size)
    ]
    return np.concatenate(blocks)
