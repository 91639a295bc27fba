"""Compiled functions of the search: dense scores in blocks of items, reduced as they are computed.

The scores of some thousand items are reduced, while they are in the cache of the processor, to
maxima of groups of items, to counts or to sums.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Float32, Int32, Real, UInt8

from segue.bfloat16 import to_float32
from segue.recommender import shapes
from segue.recommender.shapes import GROUP_SIZE

Index: TypeAlias = int | Int32[Array, ""]
States: TypeAlias = tuple[Float[Array, "rows _"], ...]
"""For each dense member its state per request, padding rows included."""
Vectors: TypeAlias = tuple[Real[Array, "vocabulary _"], ...]
"""For each dense member its vector per item index, special tokens included."""
DenseBonus: TypeAlias = Float32[Array, "rows vocabulary"]
"""What the sparse members add to the score of each item, per request."""


@jax.jit
def scaled(
    states: Float[Array, "rows dim"], weights: Float32[Array, "*rows_1"]
) -> Float[Array, "rows dim"]:
    """The states times one weight, or one per row."""
    return states * weights


@jax.jit
def largest_score(
    states: States, largest_of_vectors: Float32[Array, " members"]
) -> Float32[Array, ""]:
    """A bound of the absolute value of every dense score, from the largest factors.

    It is not finite if a score may overflow, or if a state or a vector is not finite.

    Args:
        states: of a block of requests.
        largest_of_vectors: the largest absolute value of the vectors of each dense member.
    """
    largest_of_states = jnp.stack([jnp.abs(member).max(initial=0) for member in states])
    dims = jnp.array([member.shape[1] for member in states], jnp.float32)
    return (dims * largest_of_states * largest_of_vectors).sum()


@partial(jax.jit, static_argnames=("k", "block_size", "is_direct"))
def top_by_groups(
    states: States,
    vectors: Vectors,
    masks: UInt8[Array, "bytes rows"],
    k: int,
    block_size: int,
    bonus: DenseBonus | None = None,
    is_direct: bool = False,
) -> tuple[Float32[Array, "rows k"], Int32[Array, "rows k"]]:
    """The ``k`` best items by score, in two passes over groups of items or directly.

    The k best items are in the k groups with the largest maxima, so only those are scored again.
    Both passes compute in float32; items whose scores differ by rounding only may swap ranks.
    """
    n_rows, n_items = masks.shape[1], len(vectors[0])

    def group_maxima(
        scores: Float32[Array, "items rows"], _: Index
    ) -> Float32[Array, "groups rows"]:
        return _without_nan(scores).reshape(-1, GROUP_SIZE, n_rows).max(axis=1)

    if is_direct:
        best, items = jax.lax.top_k(_scores_of_all(states, vectors, masks, bonus), k)
        return best, items
    if shapes.is_small(n_items, k):  # every group would be scored again
        scores = _over_blocks(
            lambda scores, _: _without_nan(scores), states, vectors, masks, bonus, block_size
        )
        best, items = jax.lax.top_k(scores.reshape(-1, n_rows).T, k)
        return best, items
    maxima = _over_blocks(group_maxima, states, vectors, masks, bonus, block_size)
    maxima = maxima.reshape(-1, n_rows).T
    # In ascending order, so that ties go to the lower item index.
    groups = jnp.sort(jax.lax.top_k(maxima, k)[1], axis=1)
    first_bytes = groups[:, :, None] * (GROUP_SIZE // 8)
    bytes_of_groups = first_bytes + jnp.arange(GROUP_SIZE // 8)[None, None, :]
    group_masks = masks.at[bytes_of_groups, jnp.arange(n_rows)[:, None, None]].get(
        mode="fill", fill_value=255
    )

    def search_groups(
        request: tuple[
            tuple[Float[Array, " _"], ...],
            UInt8[Array, " bytes"],
            Int32[Array, " groups"],
            Float32[Array, " vocabulary"] | None,
        ],
    ) -> tuple[Float32[Array, " k"], Int32[Array, " k"]]:
        state, mask, its_groups, its_bonus = request
        items = (its_groups[:, None] * GROUP_SIZE + jnp.arange(GROUP_SIZE)[None]).reshape(-1)
        rows = tuple(member.at[items].get(mode="clip") for member in vectors)
        scores = _products(tuple(member[None] for member in state), rows)[:, 0]
        if its_bonus is not None:
            scores += its_bonus.at[items].get(mode="clip")
        scores = _without_nan(jnp.where(_bits(mask[:, None])[:, 0], -jnp.inf, scores))
        best, positions = jax.lax.top_k(scores, k)
        return best, items[positions]

    dim = sum(member.shape[1] for member in vectors)
    n_parallel = shapes.block_elements() // (k * GROUP_SIZE * dim)
    return jax.lax.map(
        search_groups,
        (
            states,
            group_masks.reshape(n_rows, -1),
            groups,
            bonus,
        ),
        batch_size=max(1, n_parallel),
    )


def _scores_of_all(
    states: States,
    vectors: Vectors,
    masks: UInt8[Array, "bytes rows"],
    bonus: DenseBonus | None,
) -> Float32[Array, "rows items"]:
    """The scores of a small catalogue at once, -inf for items that are left out and for NaN."""
    scores = _products(states, vectors, by_row=True)
    if bonus is not None:
        scores += bonus
    is_left_out = _bits(masks)[: len(vectors[0])].T
    return _without_nan(jnp.where(is_left_out, -jnp.inf, scores))


@partial(jax.jit, static_argnames="block_size")
def count_against_targets(
    states: States,
    vectors: Vectors,
    masks: UInt8[Array, "bytes rows"],
    targets: Int32[Array, " rows"],
    target_bonus: Float32[Array, " rows"],
    block_size: int,
    bonus: DenseBonus | None = None,
) -> tuple[Int32[Array, " rows"], Int32[Array, " rows"]]:
    """How many items have a higher score than the target, and how many the same.

    The target counts as one of the same score. One pass over all item blocks. The target scores
    come from a matrix product of the same shape as those of the item blocks, so that they are
    rounded alike and items with equal vectors tie.

    Args:
        target_bonus: what is added to the dense score of each target.
    """
    batch = jnp.arange(len(targets))

    def target_rows(member: Real[Array, "vocabulary dim"]) -> Real[Array, "block dim"]:
        rows = jnp.zeros((block_size, member.shape[1]), member.dtype)
        return rows.at[batch].set(member[targets])

    products = _products(states, tuple(map(target_rows, vectors)))
    target_scores = (products[batch, batch] + target_bonus)[None]

    def count(scores: Float32[Array, "items rows"], start: Index) -> Int32[Array, "2 rows"]:
        positions = jnp.where(targets < start, block_size, targets - start)
        scores = scores.at[positions, batch].set(target_scores[0], mode="drop")
        # "Not lower or equal" instead of "higher", so that NaN counts as higher.
        return jnp.stack([_count(~(scores <= target_scores)), _count(scores == target_scores)])

    higher, tied = _over_blocks(count, states, vectors, masks, bonus, block_size).sum(axis=0)
    return higher, tied


@partial(jax.jit, static_argnames="block_size")
def log_sums(
    states: States,
    vectors: Vectors,
    masks: UInt8[Array, "bytes rows"],
    temperatures: Float32[Array, " temperatures"],
    block_size: int,
    bonus: DenseBonus | None = None,
) -> Float32[Array, "temperatures rows"]:
    """The log of the sum of exp(score / temperature) over the unmasked items."""

    def block_log_sum(
        scores: Float32[Array, "items rows"], _: Index
    ) -> Float32[Array, "temperatures rows"]:
        return jax.lax.map(
            lambda temperature: jax.nn.logsumexp(scores / temperature, axis=0), temperatures
        )

    log_sums = _over_blocks(block_log_sum, states, vectors, masks, bonus, block_size)
    return jax.nn.logsumexp(log_sums, axis=0)


@jax.jit
def score_pairs(
    states: States,
    vectors: Vectors,
    rows: Int32[Array, " pairs"],
    items: Int32[Array, " pairs"],
) -> Float32[Array, " pairs"]:
    """The dense score of each pair of a row and an item."""
    products = [
        jnp.sum(to_float32(member_states[rows]) * to_float32(member[items]), axis=1)
        for member_states, member in zip(states, vectors, strict=True)
    ]
    return sum(products[1:], start=products[0])


def _over_blocks(
    reduce: Callable[[Float32[Array, "items rows"], Index], Array],
    states: States,
    vectors: Vectors,
    masks: UInt8[Array, "bytes rows"],
    bonus: DenseBonus | None,
    block_size: int,
) -> Array:
    """Apply ``reduce`` to the scores of each item block and stack the results.

    ``reduce`` gets the scores (items, rows) of a block and the index of its first item. Items
    that are left out, which include the padding rows of the last block, have the score -inf.
    """
    n_items = len(vectors[0])
    arrays = vectors if bonus is None else (*vectors, bonus.T)

    def reduce_block(start: Index, block: list[Array]) -> Array:
        bits = jax.lax.dynamic_slice_in_dim(masks, start // 8, block_size // 8)
        scores = _products(states, tuple(block[: len(vectors)]))
        for block_bonus in block[len(vectors) :]:
            scores += block_bonus
        return reduce(jnp.where(_bits(bits), -jnp.inf, scores), start)

    def reduce_full_block(start: Int32[Array, ""]) -> Array:
        slices = [jax.lax.dynamic_slice_in_dim(array, start, block_size) for array in arrays]
        return reduce_block(start, slices)

    # The last block is padded to the block size, and computed separately even if it is full.
    n = (n_items - 1) // block_size
    n_padding = (n + 1) * block_size - n_items
    masks = jnp.pad(
        masks, ((0, (n + 1) * block_size // 8 - len(masks)), (0, 0)), constant_values=255
    )
    last_rows = [jnp.pad(array[n * block_size :], ((0, n_padding), (0, 0))) for array in arrays]
    last = reduce_block(n * block_size, last_rows)[None]
    if n == 0:
        return last
    return jnp.concatenate([jax.lax.map(reduce_full_block, block_size * jnp.arange(n)), last])


def _products(
    states: States, rows: Vectors, *, by_row: bool = False
) -> Float32[Array, "items rows"] | Float32[Array, "rows items"]:
    """Sums of inner products in float32, whatever the storage dtype of the vectors.

    Args:
        by_row: whether the result has a row per state instead of a column.
    """
    # HIGHEST, since accelerators compute float32 products with fewer bits by default.
    product = partial(
        jnp.matmul, precision=jax.lax.Precision.HIGHEST, preferred_element_type=jnp.float32
    )
    is_single = len(states[0]) == 1
    products = []
    for member_states, member in zip(states, rows, strict=True):
        vectors = to_float32(member)
        if is_single:
            # XLA is slow for a product with one column, and ten times as slow for a product that
            # it fuses with the sum below, which the barrier prevents.
            products.append(jax.lax.optimization_barrier(product(member_states, vectors.T)))
        elif by_row:
            products.append(product(member_states, vectors.T))
        else:
            products.append(product(vectors, member_states.T))
    scores = sum(products[1:], start=products[0])
    return scores.reshape(-1, 1) if is_single and not by_row else scores


def _bits(masks: UInt8[Array, "bytes rows"]) -> Bool[Array, "items rows"]:
    """Unpack the bits of a mask, one row per item."""
    bits = (masks[:, None, :] >> jnp.arange(8, dtype=jnp.uint8)[None, :, None]) & 1
    return bits.reshape(-1, masks.shape[1]).astype(bool)


def _without_nan(scores: Float32[Array, "*shape"]) -> Float32[Array, "*shape"]:
    """Replace NaN by -inf."""
    return jnp.where(jnp.isnan(scores), -jnp.inf, scores)


def _count(mask: Bool[Array, "items rows"]) -> Int32[Array, " rows"]:
    """Number of True values per request."""
    return mask.sum(axis=0, dtype=jnp.int32)
