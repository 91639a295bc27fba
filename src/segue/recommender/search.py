"""Exact top-k search and exact ranks over output embeddings, in bounded memory.

Scores are inner products of hidden states with output embeddings. For each block of queries the
embeddings are read once, in blocks of some thousand items. The scores of a block are reduced,
while they are in the cache of the processor, to maxima of groups of items or to counts. So memory
is bounded for any catalogue size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Float32, Int32, Int64, Real

from segue.bfloat16 import to_float32
from segue.ragged import Ragged
from segue.ranking import Ranked
from segue.tokens import INDEX_DTYPE, N_SPECIALS, PAD

Index: TypeAlias = int | Int32[Array, ""]

QUERIES_PER_BLOCK = 256
"""Largest number of queries per block; larger blocks do not make the matrix product faster."""

GROUP_SIZE = 64
"""Items per group, for which the first stage of ``top`` stores one maximum. Smaller groups give
more maxima to store and search, larger ones more items to score again."""

CPU_BLOCK_ELEMENTS = 1 << 20
"""Largest number of embedding values, and of scores, per item block on a CPU: 4 MiB of float32,
so that they stay in the cache."""

ACCELERATOR_BLOCK_ELEMENTS = 1 << 26
"""The same limit on an accelerator, where larger blocks are faster: 256 MiB of float32."""

MAX_STORED_SCORES = 1 << 25
"""Largest number of group maxima, or scores, stored per block of queries: 128 MiB of float32."""


def top(
    hidden: Float[Array | np.ndarray, "batch dim"],
    embeddings: Real[Array, "vocabulary dim"],
    excluded: Ragged,
    k: int,
) -> Ranked:
    """The ``k`` items with the highest scores per query, exactly.

    Ties go to the lower index. Memory: an item block and its scores, one maximum per
    ``GROUP_SIZE`` items, and the embeddings of ``k`` groups; for small catalogues, where ``k``
    groups contain all items, all scores.

    Args:
        hidden: hidden states, one row per query.
        embeddings: output embeddings by item index, special tokens included.
        excluded: indices of items that must not be returned, per query.
        k: number of items per query.

    Returns:
        The items, best first, and their scores. Special tokens and excluded items are never
        returned; missing entries are ``PAD`` with the score -inf.
    """
    n_items = len(embeddings)
    n_results = min(k, n_items)
    n_stored = n_items if _is_small(embeddings, n_results) else -(-n_items // GROUP_SIZE)
    items = np.full((len(hidden), k), PAD, INDEX_DTYPE)
    scores = np.full((len(hidden), k), -np.inf, np.float32)
    max_queries = MAX_STORED_SCORES // n_stored
    for block, states, excluded_items in _query_blocks(hidden, excluded, max_queries):
        block_size = _items_per_block(len(states), *embeddings.shape)
        best_scores, best_items = _top(states, embeddings, excluded_items, n_results, block_size)
        n = block.stop - block.start
        scores[block, :n_results] = np.asarray(best_scores)[:n]
        items[block, :n_results] = np.asarray(best_items)[:n]
    items[np.isneginf(scores)] = PAD
    return Ranked(items, scores)


def ranks(
    hidden: Float[Array | np.ndarray, "batch dim"],
    embeddings: Real[Array, "vocabulary dim"],
    excluded: Ragged,
    targets: Int32[np.ndarray, " batch"],
) -> Int64[np.ndarray, " batch"]:
    """The rank of one target item per query, exactly, by the tie rule of ``Ranker.ranks``.

    Args:
        targets: one item index per query; the other arguments are those of ``top``.
    """
    target_ranks = np.zeros(len(hidden), np.int64)
    for block, states, excluded_items in _query_blocks(hidden, excluded, QUERIES_PER_BLOCK):
        n = block.stop - block.start
        block_targets = np.pad(targets[block], (0, len(states) - n))
        block_size = _items_per_block(len(states), *embeddings.shape)
        in_block = _ranks(states, embeddings, excluded_items, block_targets, block_size)
        target_ranks[block] = np.asarray(in_block)[:n]
    return target_ranks


def _is_small(embeddings: Real[Array, "vocabulary dim"], k: int) -> bool:
    """Whether ``k`` groups contain all items."""
    return len(embeddings) <= k * GROUP_SIZE


def _query_blocks(
    hidden: Float[Array | np.ndarray, "batch dim"], excluded: Ragged, max_queries: int
) -> Iterator[tuple[slice, Float[np.ndarray, "block dim"], Int32[np.ndarray, "block excluded"]]]:
    """Blocks of queries, all padded to one size so that they compile once.

    Slices are taken on the host: on the device each number of queries would be compiled.
    """
    states = np.asarray(hidden)
    # A power of two for few queries: few shapes to compile, little padding.
    size = min(max(1, max_queries), QUERIES_PER_BLOCK, _power_of_two(len(hidden)))
    for start in range(0, len(hidden), size):
        block = slice(start, min(start + size, len(hidden)))
        padded = np.pad(states[block], ((0, size - (block.stop - start)), (0, 0)))
        yield block, padded, _padded_excluded(excluded, block, size)


def _padded_excluded(
    excluded: Ragged, block: slice, size: int
) -> Int32[np.ndarray, "block excluded"]:
    """Excluded items of a block, padded with PAD to a width that is a power of two."""
    offsets = excluded.offsets[block.start : block.stop + 1]
    lengths = np.diff(offsets)
    width = _power_of_two(int(lengths.max(initial=1)))
    padded = np.full((size, width), PAD, INDEX_DTYPE)
    is_filled = np.arange(width) < lengths[:, None]
    padded[: len(lengths)][is_filled] = excluded.values[offsets[0] : offsets[-1]]
    return padded


def _power_of_two(n: int) -> int:
    """The smallest power of two that is at least ``n``."""
    return 1 << max(n - 1, 0).bit_length()


def _items_per_block(n_queries: int, vocabulary_size: int, dim: int) -> int:
    """Items per block: a multiple of ``QUERIES_PER_BLOCK``, hence of ``GROUP_SIZE``.

    It is therefore never smaller than the number of queries, on which ``_ranks`` relies.
    """
    n_items = min(vocabulary_size, max(1, _block_elements() // max(dim, n_queries)))
    return -(-n_items // QUERIES_PER_BLOCK) * QUERIES_PER_BLOCK


def _block_elements() -> int:
    """Largest number of embedding values or scores per item block on this device."""
    return CPU_BLOCK_ELEMENTS if jax.default_backend() == "cpu" else ACCELERATOR_BLOCK_ELEMENTS


@partial(jax.jit, static_argnames=("k", "block_size"))
def _top(
    hidden: Float[Array, "batch dim"],
    embeddings: Real[Array, "vocabulary dim"],
    excluded: Int32[Array, "batch excluded"],
    k: int,
    block_size: int,
) -> tuple[Float32[Array, "batch k"], Int32[Array, "batch k"]]:
    """The ``k`` best items and their scores in two passes over groups of items.

    The k best items are in the k groups with the largest maxima, so only those are scored again.
    Both passes compute in float32; items whose scores differ by rounding only may swap ranks.
    """

    def group_maxima(
        scores: Float32[Array, "items batch"], _: Index
    ) -> Float32[Array, "groups batch"]:
        return _without_nan(scores).reshape(-1, GROUP_SIZE, len(hidden)).max(axis=1)

    if _is_small(embeddings, k):  # every group would be scored again
        scores = _over_blocks(
            lambda scores, _: _without_nan(scores), hidden, embeddings, excluded, block_size
        )
        best, items = jax.lax.top_k(scores.reshape(-1, len(hidden)).T, k)
        return best, items
    maxima = _over_blocks(group_maxima, hidden, embeddings, excluded, block_size)
    maxima = maxima.reshape(-1, len(hidden)).T
    n_groups = min(k, maxima.shape[1])
    # In ascending order, so that ties go to the lower item index.
    groups = jnp.sort(jax.lax.top_k(maxima, n_groups)[1], axis=1)

    def search_groups(
        query: tuple[Float[Array, " dim"], Int32[Array, " excluded"], Int32[Array, " groups"]],
    ) -> tuple[Float32[Array, " k"], Int32[Array, " k"]]:
        items, scores = _group_scores(embeddings, *query)
        best, positions = jax.lax.top_k(scores, k)
        return best, items[positions]

    n_parallel = _block_elements() // (n_groups * GROUP_SIZE * embeddings.shape[1])
    return jax.lax.map(search_groups, (hidden, excluded, groups), batch_size=max(1, n_parallel))


def _group_scores(
    embeddings: Real[Array, "vocabulary dim"],
    state: Float[Array, " dim"],
    excluded: Int32[Array, " excluded"],
    groups: Int32[Array, " groups"],
) -> tuple[Int32[Array, " items"], Float32[Array, " items"]]:
    """The items of the given groups (in ascending order) and their scores for one query."""
    items = (groups[:, None] * GROUP_SIZE + jnp.arange(GROUP_SIZE)[None]).reshape(-1)
    rows = embeddings.at[items].get(mode="fill")  # NaN beyond the end (uint16: 0xFFFF)
    scores = jnp.where(items < N_SPECIALS, -jnp.inf, _products(state[None], rows)[:, 0])
    group_positions = jnp.searchsorted(groups, excluded // GROUP_SIZE)
    in_groups = groups.at[group_positions].get(mode="clip") == excluded // GROUP_SIZE
    excluded_positions = jnp.where(
        in_groups, group_positions * GROUP_SIZE + excluded % GROUP_SIZE, len(items)
    )
    return items, _without_nan(scores.at[excluded_positions].set(-jnp.inf, mode="drop"))


@partial(jax.jit, static_argnames="block_size")
def _ranks(
    hidden: Float[Array, "batch dim"],
    embeddings: Real[Array, "vocabulary dim"],
    excluded: Int32[Array, "batch excluded"],
    targets: Int32[Array, " batch"],
    block_size: int,
) -> Int32[Array, " batch"]:
    """Ranks of the targets: one pass over all item blocks that counts scores.

    The target scores come from a matrix product of the same shape as those of the item blocks,
    so that they are rounded alike and items with equal embeddings tie.
    """
    batch = jnp.arange(len(hidden))
    rows = jnp.zeros((block_size, embeddings.shape[1]), embeddings.dtype)
    rows = rows.at[batch].set(embeddings[targets])
    target_scores = _products(hidden, rows)[batch, batch][None]

    def count(scores: Float32[Array, "items batch"], start: Index) -> Int32[Array, "2 batch"]:
        target_positions = _positions(targets, start, block_size)
        scores = scores.at[target_positions, batch].set(target_scores[0], mode="drop")
        # "Not lower or equal" instead of "higher", so that NaN counts as higher.
        return jnp.stack([_count(scores <= target_scores), _count(scores == target_scores)])

    not_higher, tied = _over_blocks(count, hidden, embeddings, excluded, block_size).sum(axis=0)
    return len(embeddings) - not_higher + (tied + 2) // 2


def _over_blocks(
    reduce: Callable[[Float32[Array, "items batch"], Index], Array],
    hidden: Float[Array, "batch dim"],
    embeddings: Real[Array, "vocabulary dim"],
    excluded: Int32[Array, "batch excluded"],
    block_size: int,
) -> Array:
    """Apply ``reduce`` to the scores of each item block and stack the results.

    ``reduce`` gets the scores (items, batch) of a block and the index of its first item. Special
    tokens and excluded items have the score -inf, the padding rows of the last block NaN.
    """

    def reduce_block(start: Index, rows: Real[Array, "items dim"]) -> Array:
        scores, item = _products(hidden, rows), start + jnp.arange(block_size)[:, None]
        positions = _positions(excluded, start, block_size)
        scores = scores.at[positions, jnp.arange(len(hidden))[:, None]].set(-jnp.inf, mode="drop")
        scores = jnp.where(item < N_SPECIALS, -jnp.inf, scores)
        return reduce(jnp.where(item < len(embeddings), scores, jnp.nan), start)

    def reduce_full_block(start: Int32[Array, ""]) -> Array:
        return reduce_block(start, jax.lax.dynamic_slice_in_dim(embeddings, start, block_size))

    # The last block is padded to the block size, and computed separately even if it is full.
    n = (len(embeddings) - 1) // block_size
    last_rows = jnp.pad(
        embeddings[n * block_size :], ((0, (n + 1) * block_size - len(embeddings)), (0, 0))
    )
    last = reduce_block(n * block_size, last_rows)[None]
    if n == 0:
        return last
    return jnp.concatenate([jax.lax.map(reduce_full_block, block_size * jnp.arange(n)), last])


def _products(
    hidden: Float[Array, "batch dim"], rows: Real[Array, "rows dim"]
) -> Float32[Array, "rows batch"]:
    """Inner products in float32, whatever the storage dtype of the embeddings."""
    # HIGHEST, since accelerators compute float32 products with fewer bits by default.
    product = partial(
        jnp.matmul, precision=jax.lax.Precision.HIGHEST, preferred_element_type=jnp.float32
    )
    rows = to_float32(rows)
    if len(hidden) == 1:  # XLA is slow for a product with one column, but not with one row
        return product(hidden, rows.T).reshape(-1, 1)
    return product(rows, hidden.T)


def _positions(
    items: Int32[Array, "*shape"], start: Index, block_size: int
) -> Int32[Array, "*shape"]:
    """Positions of items in a block that starts at ``start``; beyond its end if not in it."""
    return jnp.where(items < start, block_size, items - start)


def _without_nan(scores: Float32[Array, "*shape"]) -> Float32[Array, "*shape"]:
    """Replace NaN by -inf."""
    return jnp.where(jnp.isnan(scores), -jnp.inf, scores)


def _count(mask: Bool[Array, "items batch"]) -> Int32[Array, " batch"]:
    """Number of True values per query."""
    return mask.sum(axis=0, dtype=jnp.int32)
