"""Exact search: the best items for a hidden state, and the rank of a given one.

Scores are inner products with the output table. The table is read once for a block of
queries, some thousand rows at a time, and of each part's scores only what the answer needs
is kept: memory is bounded whatever the size of the catalogue, and the scores of a part are
used while the processor's cache holds them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Float32, Int32, Int64, Real

from segue.axes import INDEX_DTYPE, N_SPECIALS, PAD, Ragged
from segue.bits import widened
from segue.ranking import Ranked

Index: TypeAlias = int | Int32[Array, ""]

QUERIES_PER_BLOCK = 256
"""Largest block of queries; more would not make the product any faster."""

GROUP = 64
"""Items that share one maximum in the first stage of ``top``. Fewer would mean more maxima
to keep and to search, more would mean more items to score again."""

CACHED = 1 << 20
"""Numbers in a part of the table, and scores of it, on a processor: 4 MiB of float32."""

BUFFERED = 1 << 26
"""The same on an accelerator, which is faster the more it is given at once: 256 MiB."""

MAXIMA_HELD = 1 << 25
"""Maxima of groups, or scores, held for a block of queries at most: 128 MiB of float32."""


def top(
    hidden: Float[Array | np.ndarray, "batch dim"],
    table: Real[Array, "table dim"],
    excluded: Ragged,
    k: int,
) -> Ranked:
    """The ``k`` items of the table with the largest inner products, exactly.

    Special tokens and ``excluded`` are never among them; places that cannot be filled hold
    ``PAD`` and -inf. Ties go to the lower index. Held at a time are a part of the table and
    its scores, a maximum for every ``GROUP`` items, and ``k`` groups of the table's rows; all
    scores where ``k`` groups are all of the table.
    """
    k_found = min(k, len(table))
    held = len(table) if _is_small(table, k_found) else -(-len(table) // GROUP)
    items = np.full((len(hidden), k), PAD, INDEX_DTYPE)
    scores = np.full((len(hidden), k), -np.inf, np.float32)
    largest = MAXIMA_HELD // held
    for block, states, barred in _blocks(hidden, excluded, largest):
        part = _rows_per_part(len(states), *table.shape)
        found_scores, found = _top(states, table, barred, k_found, part)
        n = block.stop - block.start
        scores[block, :k_found] = np.asarray(found_scores)[:n]
        items[block, :k_found] = np.asarray(found)[:n]
    items[np.isneginf(scores)] = PAD
    return Ranked(items, scores)


def ranks(
    hidden: Float[Array | np.ndarray, "batch dim"],
    table: Real[Array, "table dim"],
    excluded: Ragged,
    targets: Int32[np.ndarray, " batch"],
) -> Int64[np.ndarray, " batch"]:
    """The rank of one target a row, by the tie rule of ``Ranker.ranks``."""
    found = np.zeros(len(hidden), np.int64)
    for block, states, barred in _blocks(hidden, excluded, QUERIES_PER_BLOCK):
        n = block.stop - block.start
        wanted = np.pad(targets[block], (0, len(states) - n))
        part = _rows_per_part(len(states), *table.shape)
        found[block] = np.asarray(_ranks(states, table, barred, wanted, part))[:n]
    return found


def _is_small(table: Real[Array, "table dim"], k: int) -> bool:
    return len(table) <= k * GROUP


def _blocks(
    hidden: Float[Array | np.ndarray, "batch dim"], excluded: Ragged, largest: int
) -> Iterator[tuple[slice, Float[np.ndarray, "block dim"], Int32[np.ndarray, "block excluded"]]]:
    """Queries by blocks of one shape, so that nothing compiles twice.

    They are cut on the host: on the device each number of queries would compile anew.
    """
    states = np.asarray(hidden)
    # Few queries go in a block of the next power of two: few shapes, little wasted.
    size = min(max(1, largest), QUERIES_PER_BLOCK, _power_of_two(len(hidden)))
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


def _rows_per_part(n_queries: int, size: int, dim: int) -> int:
    """Rows of a table to be scored at a time: whole groups, and not fewer than queries."""
    wanted = min(size, max(1, _numbers_at_once() // max(dim, n_queries)))
    return -(-wanted // QUERIES_PER_BLOCK) * QUERIES_PER_BLOCK


def _numbers_at_once() -> int:
    return CACHED if jax.default_backend() == "cpu" else BUFFERED


@partial(jax.jit, static_argnames=("k", "part"))
def _top(
    hidden: Float[Array, "batch dim"],
    table: Real[Array, "table dim"],
    excluded: Int32[Array, "batch excluded"],
    k: int,
    part: int,
) -> tuple[Float32[Array, "batch k"], Int32[Array, "batch k"]]:
    """The k best lie in the k groups with the largest maxima: only those are scored again.

    Both times in float32, so that items which differ by its rounding may change places.
    """

    def maxima(scores: Float32[Array, "part batch"], _: Index) -> Float32[Array, "groups batch"]:
        return _without_nan(scores).reshape(-1, GROUP, len(hidden)).max(axis=1)

    if _is_small(table, k):  # every group is among the best: there is nothing to leave out
        scores = _over_parts(lambda scores, _: _without_nan(scores), hidden, table, excluded, part)
        best, items = jax.lax.top_k(scores.reshape(-1, len(hidden)).T, k)
        return best, items
    found = _over_parts(maxima, hidden, table, excluded, part).reshape(-1, len(hidden)).T
    n_groups = min(k, found.shape[1])
    # In rising order of their numbers, so that ties go to the lower index here too.
    groups = jnp.sort(jax.lax.top_k(found, n_groups)[1], axis=1)

    def search(
        query: tuple[Float[Array, " dim"], Int32[Array, " excluded"], Int32[Array, " groups"]],
    ) -> tuple[Float32[Array, " k"], Int32[Array, " k"]]:
        items, scores = _group_scores(table, *query)
        best, places = jax.lax.top_k(scores, k)
        return best, items[places]

    queries_at_once = _numbers_at_once() // (n_groups * GROUP * table.shape[1])
    return jax.lax.map(search, (hidden, excluded, groups), batch_size=max(1, queries_at_once))


def _group_scores(
    table: Real[Array, "table dim"],
    state: Float[Array, " dim"],
    excluded: Int32[Array, " excluded"],
    groups: Int32[Array, " groups"],
) -> tuple[Int32[Array, " items"], Float32[Array, " items"]]:
    """The items of some groups, given in rising order, and their scores for one query."""
    items = (groups[:, None] * GROUP + jnp.arange(GROUP)[None]).reshape(-1)
    rows = table.at[items].get(mode="fill")  # with no number, halved or not
    scores = jnp.where(items < N_SPECIALS, -jnp.inf, _products(state[None], rows)[:, 0])
    places = jnp.searchsorted(groups, excluded // GROUP)
    is_there = groups.at[places].get(mode="clip") == excluded // GROUP
    barred = jnp.where(is_there, places * GROUP + excluded % GROUP, len(items))
    return items, _without_nan(scores.at[barred].set(-jnp.inf, mode="drop"))


@partial(jax.jit, static_argnames="part")
def _ranks(
    hidden: Float[Array, "batch dim"],
    table: Real[Array, "table dim"],
    excluded: Int32[Array, "batch excluded"],
    targets: Int32[Array, " batch"],
    part: int,
) -> Int32[Array, " batch"]:
    # A product of the shape that the parts have rounds as theirs do: equal rows stay ties.
    batch = jnp.arange(len(hidden))
    rows = jnp.zeros((part, table.shape[1]), table.dtype).at[batch].set(table[targets])
    own = _products(hidden, rows)[batch, batch][None]

    def count(scores: Float32[Array, "part batch"], begin: Index) -> Int32[Array, "2 batch"]:
        scores = scores.at[_places(targets, begin, part), batch].set(own[0], mode="drop")
        # What is not lower or equal, rather than what is higher: NaN compares as neither.
        return jnp.stack([_count(scores <= own), _count(scores == own)])

    not_higher, tied = _over_parts(count, hidden, table, excluded, part).sum(axis=0)
    return len(table) - not_higher + (tied + 2) // 2


def _over_parts(
    read: Callable[[Float32[Array, "part batch"], Index], Array],
    hidden: Float[Array, "batch dim"],
    table: Real[Array, "table dim"],
    excluded: Int32[Array, "batch excluded"],
    part: int,
) -> Array:
    """What ``read`` makes of the scores of each part and its first index, stacked.

    Special tokens and excluded items score -inf; the rows that the last part has too many
    are no numbers.
    """

    def of_part(begin: Index, rows: Real[Array, "part dim"]) -> Array:
        scores, item = _products(hidden, rows), begin + jnp.arange(part)[:, None]
        places = _places(excluded, begin, part)
        scores = scores.at[places, jnp.arange(len(hidden))[:, None]].set(-jnp.inf, mode="drop")
        scores = jnp.where(item < N_SPECIALS, -jnp.inf, scores)
        return read(jnp.where(item < len(table), scores, jnp.nan), begin)

    def whole_part(begin: Int32[Array, ""]) -> Array:
        return of_part(begin, jax.lax.dynamic_slice_in_dim(table, begin, part))

    # The last part, full or not, stands apart: what it lacks of a whole one is filled up.
    n = (len(table) - 1) // part
    rest = jnp.pad(table[n * part :], ((0, (n + 1) * part - len(table)), (0, 0)))
    last = of_part(n * part, rest)[None]
    if n == 0:
        return last
    return jnp.concatenate([jax.lax.map(whole_part, part * jnp.arange(n)), last])


def _products(
    hidden: Float[Array, "batch dim"], rows: Real[Array, "rows dim"]
) -> Float32[Array, "rows batch"]:
    # Accelerators would round float32 products to fewer bits unless told not to.
    product = partial(
        jnp.matmul, precision=jax.lax.Precision.HIGHEST, preferred_element_type=jnp.float32
    )
    rows = widened(rows)
    if len(hidden) == 1:  # XLA has a slow path for one column, and none for one row
        return product(hidden, rows.T).reshape(-1, 1)
    return product(rows, hidden.T)


def _places(items: Int32[Array, "*shape"], begin: Index, part: int) -> Int32[Array, "*shape"]:
    """Where items are in a part that starts at ``begin``; beyond its end if they are not."""
    return jnp.where(items < begin, part, items - begin)


def _without_nan(scores: Float32[Array, "*shape"]) -> Float32[Array, "*shape"]:
    return jnp.where(jnp.isnan(scores), -jnp.inf, scores)


def _count(mask: Bool[Array, "part batch"]) -> Int32[Array, " batch"]:
    return mask.sum(axis=0, dtype=jnp.int32)
