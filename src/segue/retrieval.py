"""Exact search: the best items for a hidden state, and the rank of a given one.

Scores are inner products with the output table, a block of queries at a time so that the
scores held never exceed ``SCORES_PER_BLOCK``.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Float32, Int32, Int64

from segue.axes import INDEX_DTYPE, N_SPECIALS, PAD, Ragged
from segue.ranking import Ranked

SCORES_PER_BLOCK = 1 << 25
"""Scores held at a time: 128 MiB of float32."""

QUERIES_PER_BLOCK = 256
"""Largest block of queries; more would not make the product any faster."""

GROUP = 256
"""Items a group in the first stage of ``top``; near the square root of large catalogues
divided by usual k, where both stages cost the least."""


def top(
    hidden: Float[Array | np.ndarray, "batch dim"],
    table: Float[Array, "table dim"],
    excluded: Ragged,
    k: int,
) -> Ranked:
    """The ``k`` items of the table with the largest inner products, exactly.

    Special tokens and ``excluded`` are never among them; places that cannot be filled hold
    ``PAD`` and -inf.
    """
    k_found = min(k, len(table))
    items = np.full((len(hidden), k), PAD, INDEX_DTYPE)
    scores = np.full((len(hidden), k), -np.inf, np.float32)
    for block, rows, barred in _blocks(hidden, len(table), excluded):
        found_scores, found = _top(rows, table, barred, k_found)
        n = block.stop - block.start
        scores[block, :k_found] = np.asarray(found_scores)[:n]
        items[block, :k_found] = np.asarray(found)[:n]
    items[np.isneginf(scores)] = PAD
    return Ranked(items, scores)


def ranks(
    hidden: Float[Array | np.ndarray, "batch dim"],
    table: Float[Array, "table dim"],
    excluded: Ragged,
    targets: Int32[np.ndarray, " batch"],
) -> Int64[np.ndarray, " batch"]:
    """The rank of one target a row, by the tie rule of ``Ranker.ranks``."""
    found = np.zeros(len(hidden), np.int64)
    for block, rows, barred in _blocks(hidden, len(table), excluded):
        n = block.stop - block.start
        wanted = np.pad(targets[block], (0, len(rows) - n))
        found[block] = np.asarray(_ranks(rows, table, barred, wanted))[:n]
    return found


def _blocks(
    hidden: Float[Array | np.ndarray, "batch dim"], table_size: int, excluded: Ragged
) -> Iterator[tuple[slice, Float[np.ndarray, "block dim"], Int32[np.ndarray, "block excluded"]]]:
    """Queries by blocks of one shape, so that nothing compiles twice.

    They are cut on the host: on the device each number of queries would compile anew.
    """
    states = np.asarray(hidden)
    largest = max(1, min(QUERIES_PER_BLOCK, SCORES_PER_BLOCK // table_size))
    # Few queries go in a block of the next power of two: few shapes, little wasted.
    size = min(largest, _power_of_two(len(hidden)))
    for begin in range(0, len(hidden), size):
        block = slice(begin, min(begin + size, len(hidden)))
        rows = np.pad(states[block], ((0, size - (block.stop - begin)), (0, 0)))
        yield block, rows, _padded(excluded, block, size)


def _padded(excluded: Ragged, block: slice, size: int) -> Int32[np.ndarray, "block excluded"]:
    """Excluded items as a rectangle filled up with PAD, its width a power of two."""
    offsets = excluded.offsets[block.start : block.stop + 1]
    lengths = np.diff(offsets)
    width = _power_of_two(int(lengths.max(initial=1)))
    padded = np.full((size, width), PAD, INDEX_DTYPE)
    inside = np.arange(width) < lengths[:, None]
    padded[: len(lengths)][inside] = excluded.values[offsets[0] : offsets[-1]]
    return padded


def _power_of_two(n: int) -> int:
    return 1 << max(n - 1, 0).bit_length()


def _scores(
    hidden: Float[Array, "batch dim"],
    table: Float[Array, "table dim"],
    excluded: Int32[Array, "batch excluded"],
) -> Float[Array, "batch table"]:
    # Accelerators would round float32 products to fewer bits unless told not to.
    scores = jnp.matmul(hidden, table.T, precision=jax.lax.Precision.HIGHEST)
    rows = jnp.arange(len(hidden))[:, None]
    scores = scores.at[rows, excluded].set(-jnp.inf, mode="drop")
    return scores.at[:, :N_SPECIALS].set(-jnp.inf)


@partial(jax.jit, static_argnames="k")
def _top(
    hidden: Float[Array, "batch dim"],
    table: Float[Array, "table dim"],
    excluded: Int32[Array, "batch excluded"],
    k: int,
) -> tuple[Float32[Array, "batch k"], Int32[Array, "batch k"]]:
    scores = _scores(hidden, table, excluded)
    scores = jnp.where(jnp.isnan(scores), -jnp.inf, scores)
    n_groups = -(-len(table) // GROUP)
    if n_groups <= k:
        best, found = jax.lax.top_k(scores, k)
        return best, found
    # The k best items lie in the k groups with the largest maxima: find those, then sort
    # only what is in them.
    padding = ((0, 0), (0, n_groups * GROUP - len(table)))
    groups = jnp.pad(scores, padding, constant_values=-jnp.inf).reshape(-1, n_groups, GROUP)
    _, best_groups = jax.lax.top_k(groups.max(axis=2), k)
    # In rising order of their numbers, so that ties go to the lower index here too.
    best_groups = jnp.sort(best_groups, axis=1)
    candidates = jnp.take_along_axis(groups, best_groups[:, :, None], axis=1)
    best, places = jax.lax.top_k(candidates.reshape(len(hidden), -1), k)
    group = jnp.take_along_axis(best_groups, places // GROUP, axis=1)
    return best, group * GROUP + places % GROUP


@jax.jit
def _ranks(
    hidden: Float[Array, "batch dim"],
    table: Float[Array, "table dim"],
    excluded: Int32[Array, "batch excluded"],
    targets: Int32[Array, " batch"],
) -> Int32[Array, " batch"]:
    scores = _scores(hidden, table, excluded)
    own = jnp.take_along_axis(scores, targets[:, None], axis=1)
    # What is not lower or equal, rather than what is higher: NaN compares as neither.
    higher = len(table) - _count(scores <= own)
    tied = _count(scores == own)
    return higher + (tied + 2) // 2


def _count(mask: Bool[Array, "batch table"]) -> Int32[Array, " batch"]:
    return mask.sum(axis=1, dtype=jnp.int32)
