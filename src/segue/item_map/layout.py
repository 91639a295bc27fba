"""Positions of items in the plane: t-SNE on the graph of nearest neighbours."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int32, Int64
from scipy import sparse

from segue.item_map.neighbours import nearest_neighbours
from segue.item_map.repulsion import RepulsionGrid, pairwise_forces

NEIGHBOURS = 15
"""Neighbours that attract each item, all with the same weight: Böhm, Berens and Kobak,
"Attraction-repulsion spectrum" (2022), find the same maps as with fitted Gaussian weights."""
EARLY_STEPS, EARLY_EXAGGERATION = 200, 12.0
STEPS = 600
"""All steps. In the first ones the attraction is exaggerated, which gathers the clusters."""
MIN_GAIN = 0.01
PAIRWISE_ITEMS = 400
"""Up to so many items the repulsion is summed over all pairs."""
MIN_CELLS, MAX_CELLS, CELLS_PER_ROOT = 64, 512, 2.5
"""Cells per side of the grid: in proportion to the root of the number of items, as their room."""

Watch = Callable[[float], None]
"""Called with the share of the work that is done; an exception ends the work."""


class _Edges(NamedTuple):
    """The symmetric graph of neighbours, row after row, with weights that sum to 1."""

    bounds: Int64[np.ndarray, " items"]
    rows: Int32[np.ndarray, " edges"]
    columns: Int32[np.ndarray, " edges"]
    weights: Float32[np.ndarray, " edges"]


def lay_out(
    vectors: Float32[np.ndarray, "items dim"], *, seed: int = 0, watch: Watch | None = None
) -> Float32[np.ndarray, "items 2"]:
    """Positions between -1 and 1, such that items with similar vectors are near each other.

    It minimises the objective of t-SNE (van der Maaten and Hinton, 2008) on the graph of the
    nearest neighbours by cosine, from the two principal components, with the learning rate of
    Belkina et al. (2019). The same vectors and seed give the same positions on one machine. It
    takes about a second per thousand items.

    Args:
        vectors: one per item; only their directions count.
        seed: of the search for neighbours.
        watch: called now and then with the share of the work that is done.
    """
    watch = watch or (lambda _: None)
    unit = _unit(vectors)
    start = _principal_components(unit)
    if len(vectors) > 3:
        watch(0.0)
        edges = _edges(nearest_neighbours(unit, min(NEIGHBOURS, len(unit) - 1), seed))
        watch(0.1)
        start = _descend(start, edges, watch)
    centred = start - (start.min(axis=0) + start.max(axis=0)) / 2
    return centred / max(float(np.abs(centred).max(initial=0)), 1e-12)


def _descend(
    start: Float32[np.ndarray, "items 2"], edges: _Edges, watch: Watch
) -> Float32[np.ndarray, "items 2"]:
    """Gradient descent with momentum and a gain per coordinate."""
    n = len(start)
    repulsion = pairwise_forces if n <= PAIRWISE_ITEMS else RepulsionGrid(_cells(n)).forces
    points, velocity, gains = start, np.zeros_like(start), np.ones_like(start)
    rate = np.float32(max(n / EARLY_EXAGGERATION, 50.0))
    for step in range(STEPS):
        is_early = step < EARLY_STEPS
        pull = _pulls(points, edges)
        push = repulsion(points)
        exaggeration = np.float32(EARLY_EXAGGERATION if is_early else 1.0)
        gradient = exaggeration * pull - push.pushes / np.float32(push.normaliser)
        same = (gradient > 0) == (velocity > 0)
        gains = np.maximum(
            np.where(same, gains * np.float32(0.8), gains + np.float32(0.2)), MIN_GAIN
        )
        velocity *= np.float32(0.5 if is_early else 0.8)
        velocity -= rate * gains * gradient
        points = points + velocity
        points -= points.mean(axis=0)
        watch(0.1 + 0.9 * (step + 1) / STEPS)
    return points


def _cells(n_items: int) -> int:
    return max(MIN_CELLS, min(MAX_CELLS, round(CELLS_PER_ROOT * n_items**0.5)))


def _pulls(points: Float32[np.ndarray, "items 2"], edges: _Edges) -> Float32[np.ndarray, "items 2"]:
    """The attraction of the neighbours of each point."""
    x, y = np.ascontiguousarray(points.T)
    right = x[edges.rows] - x[edges.columns]
    down = y[edges.rows] - y[edges.columns]
    weights = edges.weights / (1 + right * right + down * down)
    sums = [np.add.reduceat(weights * d, edges.bounds) for d in (right, down)]
    return np.stack(sums, axis=1)


def _edges(neighbours: Int32[np.ndarray, "items k"]) -> _Edges:
    n, k = neighbours.shape
    rows = np.repeat(np.arange(n, dtype=np.int32), k)
    ones = np.ones(n * k, np.float32)
    directed = sparse.csr_matrix((ones, (rows, neighbours.ravel())), shape=(n, n))
    graph = sparse.csr_matrix(directed + directed.T)
    all_rows = np.repeat(np.arange(n, dtype=np.int32), np.diff(graph.indptr))
    weights = (graph.data / graph.data.sum()).astype(np.float32)
    return _Edges(
        graph.indptr[:-1].astype(np.int64), all_rows, graph.indices.astype(np.int32), weights
    )


def _principal_components(
    unit: Float32[np.ndarray, "items dim"],
) -> Float32[np.ndarray, "items 2"]:
    """The first two, with the standard deviation 1e-4 that t-SNE begins with."""
    centred = unit - unit.mean(axis=0)
    values, axes = np.linalg.eigh(centred.T @ centred)
    components = np.zeros((len(unit), 2), np.float32)
    first = axes[:, np.argsort(-values)[:2]]
    first = first * np.where(
        first[np.abs(first).argmax(axis=0), [*range(first.shape[1])]] < 0, -1, 1
    )
    components[:, : first.shape[1]] = centred @ first
    return components / np.float32(max(float(components[:, 0].std()), 1e-12)) * np.float32(1e-4)


def _unit(vectors: Float32[np.ndarray, "items dim"]) -> Float32[np.ndarray, "items dim"]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(lengths, np.finfo(np.float32).tiny)
