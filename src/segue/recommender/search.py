"""Exact top-k search, exact ranks and normalisers over an ensemble's scores, in bounded memory.

The score of an item is a sum: for each dense member of the ensemble the inner product of a state
with the item's vector, and for each sparse member a bonus, which is never negative and is zero
for all but some items (its support). Dense scores are computed in blocks of some thousand items
and reduced, while they are in the cache of the processor, to maxima of groups of items or to
counts. So memory is bounded for any catalogue size.

In a small catalogue, most items are in the support. There the bonuses are an array of all items,
whose blocks are added to those of the dense scores. In a large one they are added afterwards,
exactly: the k best items are among the k best by dense score and the support; the rank by dense
score is corrected over the support.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32, Int, Int32, Int64, UInt8

from segue.controls import Controls
from segue.ragged import Ragged
from segue.ranking import Ranked
from segue.recommender import search_kernels as kernels
from segue.recommender import shapes
from segue.recommender.masks import is_masked, request_masks
from segue.recommender.search_kernels import States, Vectors
from segue.tokens import INDEX_DTYPE, PAD


class SparseBonus(NamedTuple):
    """Scores of some items that are added to the dense ones, above 0, by request and then by item.

    Attributes:
        rows: the request of each entry.
        items: the item index of each entry; an item occurs once per request.
        values: what is added to the score.
    """

    rows: Int64[np.ndarray, " entries"]
    items: Int64[np.ndarray, " entries"]
    values: Float32[np.ndarray, " entries"]


@dataclass(frozen=True)
class EncodedQuery:
    """A block of requests as the search needs them.

    Attributes:
        n: number of requests; the rows of ``states`` and ``masks`` beyond are padding.
        states: for each dense member its state per row; they stay on the device.
        masks: items that are left out, as in ``masks``.
        sparse_bonus: the sum of the bonuses of the sparse members in a large catalogue.
        dense_bonus: the same for every item in a small catalogue.
    """

    n: int
    states: States
    masks: UInt8[np.ndarray, "bytes rows"]
    sparse_bonus: SparseBonus | None = None
    dense_bonus: Float32[np.ndarray, "rows vocabulary"] | None = None


def query_of_states(
    states: States,
    catalogue: UInt8[np.ndarray, " bytes"],
    left_out: Sequence[Ragged] = (),
    controls: Sequence[Controls] | None = None,
) -> EncodedQuery:
    """A block of requests that are given by their states, without bonus.

    Args:
        states: for each dense member its state per request; at most ``shapes.MAX_ROWS`` requests.
        catalogue: the mask of the items that are never recommended.
        left_out: item indices to leave out, one row per request each.
        controls: of each request; what they do not allow is left out.
    """
    n = len(states[0])
    n_rows = shapes.row_bucket(n)
    padded = tuple(
        jnp.asarray(np.pad(np.asarray(member), ((0, n_rows - n), (0, 0)))) for member in states
    )
    return EncodedQuery(n, padded, request_masks(catalogue, left_out, n_rows, controls))


def top(encoded: EncodedQuery, vectors: Vectors, k: int) -> Ranked:
    """The ``k`` items with the highest scores per request, exactly; ties go to the lower index.

    Memory: one bit per item and request, an item block and its scores, one maximum per group of
    items, and the vectors of ``k`` groups; for small catalogues, where ``k`` groups contain all
    items, all scores. Sparse members add their support.

    Returns:
        The items, best first, and their scores. Missing entries are ``PAD`` with the score -inf.
    """
    n_items = len(vectors[0])
    n_results = shapes.result_bucket(k, n_items)
    best = kernels.top_by_groups(
        encoded.states,
        vectors,
        encoded.masks,
        n_results,
        _block_size(encoded, vectors),
        encoded.dense_bonus,
        is_direct=n_items <= shapes.SMALL_CATALOGUE,
    )
    scores, items = (np.asarray(array)[: encoded.n] for array in best)
    if encoded.sparse_bonus is not None:
        items, scores = _merge_bonus(encoded, vectors, items, scores)
    items, scores = items[:, :k], scores[:, :k]
    items = np.where(np.isneginf(scores), PAD, items).astype(INDEX_DTYPE)
    n_missing = k - items.shape[1]
    if not n_missing:
        return Ranked(items, scores)
    padding = ((0, 0), (0, n_missing))
    return Ranked(
        np.pad(items, padding, constant_values=PAD),
        np.pad(scores, padding, constant_values=-np.inf),
    )


def ranks(
    encoded: EncodedQuery, vectors: Vectors, targets: Int32[np.ndarray, " batch"]
) -> Int64[np.ndarray, " batch"]:
    """The rank of one target item per request, exactly, by the tie rule of ``Ranker.ranks``."""
    n_rows, n_items = encoded.masks.shape[1], len(vectors[0])
    padded_targets = np.pad(targets, (0, n_rows - encoded.n)).astype(INDEX_DTYPE)
    target_bonus = np.zeros(n_rows, np.float32)
    if encoded.dense_bonus is not None:
        target_bonus = encoded.dense_bonus[np.arange(n_rows), padded_targets]
    if encoded.sparse_bonus is not None:
        rows, items, values = encoded.sparse_bonus
        is_target = items == padded_targets[rows]
        target_bonus[rows[is_target]] = values[is_target]
    counts = kernels.count_against_targets(
        encoded.states,
        vectors,
        encoded.masks,
        padded_targets,
        target_bonus,
        _block_size(encoded, vectors),
        encoded.dense_bonus,
    )
    higher, tied = (np.asarray(array)[: encoded.n] for array in counts)
    higher, tied = higher.astype(np.int64), tied.astype(np.int64)
    if encoded.sparse_bonus is not None:
        more_higher, more_tied = _count_bonus(encoded, vectors, targets, target_bonus)
        higher, tied = higher + more_higher, tied + more_tied
    # The tied ranks are higher + 1 .. higher + tied; their mean, rounded up. A target whose score
    # is NaN ranks behind everything, padding not counted.
    return np.minimum(higher, n_items) + (tied + 2) // 2


def pair_scores(
    states: States,
    vectors: Vectors,
    rows: Int[np.ndarray, " pairs"],
    items: Int[np.ndarray, " pairs"],
) -> Float32[np.ndarray, " pairs"]:
    """The dense score of each pair of a request and an item, without bonus and masks."""
    scores = []
    step = shapes.PAIR_BUCKETS[-1]
    for start in range(0, len(rows), step):
        n = min(step, len(rows) - start)
        padding = (0, shapes.pair_bucket(n) - n)
        block_rows = np.pad(rows[start : start + n], padding).astype(INDEX_DTYPE)
        block_items = np.pad(items[start : start + n], padding).astype(INDEX_DTYPE)
        scores.append(np.asarray(kernels.score_pairs(states, vectors, block_rows, block_items))[:n])
    return np.concatenate([np.zeros(0, np.float32), *scores])


def log_normalisers(
    encoded: EncodedQuery,
    vectors: Vectors,
    catalogue: UInt8[np.ndarray, " bytes"],
    temperature: float,
) -> Float32[np.ndarray, " batch"]:
    """The log of the sum of exp(score / temperature) over the catalogue, per request.

    Seen and excluded items are part of the sum.

    Args:
        catalogue: the mask of the items that are never recommended.
        temperature: above 0.
    """
    masks = np.broadcast_to(catalogue[:, None], encoded.masks.shape)
    return log_sums(encoded, vectors, masks, np.array([temperature], np.float32))[0]


def log_sums(
    encoded: EncodedQuery,
    vectors: Vectors,
    masks: UInt8[np.ndarray, "bytes rows"],
    temperatures: Float32[np.ndarray, " temperatures"],
) -> Float32[np.ndarray, "temperatures batch"]:
    """The log of the sum of exp(score / temperature) over the unmasked items, per request.

    Args:
        masks: the items that are left out of the sums.
        temperatures: above 0.
    """
    block_size = _block_size(encoded, vectors)
    sums = kernels.log_sums(
        encoded.states, vectors, masks, temperatures, block_size, encoded.dense_bonus
    )
    logs = np.array(sums)[:, : encoded.n]
    if encoded.sparse_bonus is not None:
        rows, items, values = _unmasked(encoded.sparse_bonus, masks)
        scores = pair_scores(encoded.states, vectors, rows, items)
        for i, temperature in enumerate(temperatures):
            # exp(a + b) - exp(a) = exp(a) (exp(b) - 1), and log(exp(b) - 1) = b + log(1 - exp(-b)).
            bonus = values / temperature
            added = scores / temperature + bonus + np.log(-np.expm1(-bonus))
            np.logaddexp.at(logs[i], rows, added)
    return logs


def scores_of(
    encoded: EncodedQuery,
    vectors: Vectors,
    rows: Int[np.ndarray, " pairs"],
    items: Int[np.ndarray, " pairs"],
) -> Float32[np.ndarray, " pairs"]:
    """The score of each pair of a request and an item, with bonus, whether it is masked or not."""
    scores = pair_scores(encoded.states, vectors, rows, items)
    if encoded.dense_bonus is not None:
        scores += encoded.dense_bonus[rows, items]
    if encoded.sparse_bonus is not None:
        scores += bonus_at(encoded.sparse_bonus, rows, items, len(vectors[0]))
    return scores


def bonus_at(
    bonus: SparseBonus,
    rows: Int[np.ndarray, " pairs"],
    items: Int[np.ndarray, " pairs"],
    vocabulary_size: int,
) -> Float32[np.ndarray, " pairs"]:
    """The bonus of each pair of a request and an item; 0 outside the support."""
    keys, pairs = (
        row * vocabulary_size + item.astype(np.int64)
        for row, item in ((bonus.rows, bonus.items), (rows, items))
    )
    order = np.argsort(keys)
    positions = np.searchsorted(keys[order], pairs)
    # One more entry, so that positions beyond the last key are valid.
    sorted_keys, values = np.append(keys[order], -1), np.append(bonus.values[order], 0)
    return np.where(sorted_keys[positions] == pairs, values[positions], 0).astype(np.float32)


def _block_size(encoded: EncodedQuery, vectors: Vectors) -> int:
    dim = sum(member.shape[1] for member in vectors)
    return shapes.items_per_block(encoded.masks.shape[1], len(vectors[0]), dim)


def _merge_bonus(
    encoded: EncodedQuery,
    vectors: Vectors,
    items: Int32[np.ndarray, "batch k"],
    scores: Float32[np.ndarray, "batch k"],
) -> tuple[Int32[np.ndarray, "batch k"], Float32[np.ndarray, "batch k"]]:
    """Merge the k best items by dense score with the support of the bonus.

    A bonus is never negative, so an item without one is among the k best only if it is among the
    k best by dense score.
    """
    k, n_items = items.shape[1], len(vectors[0])
    rows, support, bonus = _unmasked_support(encoded)
    support_scores = pair_scores(encoded.states, vectors, rows, support) + bonus
    list_rows = np.repeat(np.arange(encoded.n), k)
    keys = list_rows * n_items + items.ravel()
    is_without_bonus = ~np.isin(keys, rows * n_items + support)
    all_rows = np.concatenate([list_rows[is_without_bonus], rows])
    all_items = np.concatenate([items.ravel()[is_without_bonus], support])
    all_scores = np.concatenate([scores.ravel()[is_without_bonus], support_scores])
    all_scores[np.isnan(all_scores)] = -np.inf
    order = np.lexsort((all_items, -all_scores, all_rows))
    counts = np.bincount(all_rows, minlength=encoded.n)
    firsts = np.cumsum(counts) - counts
    selected = order[firsts[:, None] + np.arange(k)]
    return all_items[selected].astype(INDEX_DTYPE), all_scores[selected]


def _count_bonus(
    encoded: EncodedQuery,
    vectors: Vectors,
    targets: Int32[np.ndarray, " batch"],
    target_bonus: Float32[np.ndarray, " rows"],
) -> tuple[Int64[np.ndarray, " batch"], Int64[np.ndarray, " batch"]]:
    """How many more items score higher than the target, and equal to it, with the bonus added."""
    rows, support, bonus = _unmasked_support(encoded)
    is_different = support != targets[rows]
    rows, support, bonus = rows[is_different], support[is_different], bonus[is_different]
    # Targets and support in one call, so that they are rounded alike and equal vectors tie.
    scores = pair_scores(
        encoded.states,
        vectors,
        np.concatenate([np.arange(encoded.n), rows]),
        np.concatenate([targets, support]),
    )
    dense = scores[encoded.n :]
    bounds = (scores[: encoded.n] + target_bonus[: encoded.n])[rows]

    def changes(compare: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
        change = compare(dense + bonus, bounds).astype(np.int64) - compare(dense, bounds)
        return np.bincount(rows, change, minlength=encoded.n).astype(np.int64)

    # "Not lower or equal" instead of "higher", so that NaN counts as higher.
    return changes(lambda scores, bound: ~(scores <= bound)), changes(np.equal)


def _unmasked_support(encoded: EncodedQuery) -> SparseBonus:
    """The entries of the bonus whose items are not left out."""
    assert encoded.sparse_bonus is not None
    return _unmasked(encoded.sparse_bonus, encoded.masks)


def _unmasked(bonus: SparseBonus, masks: UInt8[np.ndarray, "bytes rows"]) -> SparseBonus:
    is_included = ~is_masked(masks, bonus.rows, bonus.items)
    return SparseBonus(*(values[is_included] for values in bonus))
