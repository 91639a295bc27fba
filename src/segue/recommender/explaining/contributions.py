"""Contributions of events to scores: the score minus the score of the history without the event.

All histories without one event of a block of requests are computed in one pass. The transformers
encode them as rows of one batch, and only those that differ within their context. PureSVD and the
count-based members subtract the event from their sums.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple, TypeAlias

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32, Int32, Int64, Real

from segue.baselines.item_item import ItemItemRanker
from segue.errors import NotFiniteError
from segue.ragged import Ragged
from segue.ranking import Query
from segue.recommender import search, shapes
from segue.recommender.device_vectors import NOT_FINITE
from segue.recommender.encoder import Encoder
from segue.recommender.ensemble import Ensemble
from segue.recommender.explaining.item_item_removals import item_item_contributions
from segue.recommender.members import ItemBias, PureSVD, SparseMember
from segue.recommender.removals import shares_prefixes
from segue.recommender.second_transformer import SecondTransformer
from segue.tokens import INDEX_DTYPE, UNK

REQUESTS_PER_BLOCK = 16
"""Requests whose shortened histories are in memory at a time."""

Contributions: TypeAlias = Float32[np.ndarray, "_items _events"]
"""One row per item and one column per event of the history, oldest first."""


def contributions(ensemble: Ensemble, query: Query, items: Ragged) -> list[Contributions]:
    """For each item, its score minus its score for the history without each event.

    Later events move up by one position, and so do earlier ones where older events now fit into
    the context. What the request leaves out stays as it is: an item that was seen stays seen.
    Nothing that a request adds to the scores of all histories alike has a contribution. Of an item
    that occurs several times in a history, each event has a contribution of its own. The times of
    the events are not used. The transformers read the last tokens of a history, also where a moving
    window is set, which would jump with the removal of an event.

    Args:
        query: the requests.
        items: the item indices to explain, one row per request.

    Returns:
        Contributions in nats, one array per request.

    Raises:
        NotFiniteError: the scores may not be finite.
    """
    if any(encoder.layout.step > 1 for encoder in ensemble.encoders):
        ensemble = ensemble.with_window("last")
    results: list[Contributions] = []
    for block, block_query in replace(query, times=None).blocks(REQUESTS_PER_BLOCK):
        results += _of_block(ensemble, block_query, items.slice(block.start, block.stop))
    return results


def _of_block(ensemble: Ensemble, query: Query, items: Ragged) -> list[Contributions]:
    shapes_of_requests = zip(np.diff(items.offsets), np.diff(query.histories.offsets), strict=True)
    totals = [np.zeros(shape, np.float32) for shape in shapes_of_requests]
    for member, vectors in zip(ensemble.dense, ensemble.vectors, strict=True):
        weight = ensemble.encoder_weight if member is ensemble.encoder else 1.0
        if isinstance(member, Encoder | SecondTransformer):
            _add_encoder(member, vectors, weight, query, items, totals)
        elif isinstance(member, PureSVD):
            for row in range(len(query)):
                totals[row] += _puresvd(member, query.histories.row(row), items.row(row))
        else:
            assert isinstance(member, ItemBias)  # the same with every history
    for member in ensemble.sparse:
        for row in range(len(query)):
            totals[row] += _sparse(member, query.slice(row, row + 1), items.row(row))
    if not all(np.isfinite(total).all() for total in totals):
        raise NotFiniteError(*NOT_FINITE)
    return totals


class _Rows(NamedTuple):
    """Histories, each followed by itself without one of its last events, for each of them.

    Attributes:
        histories: the histories, without events that cannot matter.
        requests: the request of each row.
        positions: the position of the removed event in the history of the request; -1 for none.
    """

    histories: Ragged
    requests: Int64[np.ndarray, " rows"]
    positions: Int64[np.ndarray, " rows"]


def _rows(histories: Ragged, reach: int) -> _Rows:
    """The histories without each of their last ``reach`` events.

    One event more is kept, which moves in. With it, a history is longer than the context.
    """
    rows, requests, positions = [], [], []
    for request in range(histories.n_rows):
        history = histories.row(request)
        n_removed = min(len(history), reach)
        kept = history[max(0, len(history) - reach - 1) :]
        removed = np.arange(len(kept) - n_removed, len(kept))
        is_left = np.arange(len(kept)) != removed[:, None]
        shortened = np.broadcast_to(kept, is_left.shape)[is_left]
        rows += [kept, *shortened.reshape(n_removed, max(0, len(kept) - 1))]
        requests.append(np.full(1 + n_removed, request))
        positions += [np.array([-1]), len(history) - n_removed + np.arange(n_removed)]
    return _Rows(Ragged.from_rows(rows), np.concatenate(requests), np.concatenate(positions))


def _query_of(query: Query, rows: _Rows) -> Query:
    """The requests of some rows, for members that read the history and the sequence features."""
    features = query.sequence_features
    if features is not None:
        features = [features[request] for request in rows.requests.tolist()]
    nothing = Ragged(np.zeros(len(rows.requests) + 1, np.int64), np.zeros(0, INDEX_DTYPE))
    return Query(rows.histories, nothing, query.rows[rows.requests], sequence_features=features)


def _add_encoder(
    member: Encoder | SecondTransformer,
    vectors: Real[Array, "vocabulary dim"],
    weight: float,
    query: Query,
    items: Ragged,
    totals: list[Contributions],
) -> None:
    """Add the contributions of a transformer to ``totals``.

    Events beyond its context have none.
    """
    encoder = member.encoder if isinstance(member, SecondTransformer) else member
    rows = _rows(query.histories, encoder.layout.context)
    states = _states(member, vectors.shape[1], query, rows)
    scores = weight * _scores(states, vectors, rows, items)
    first = 0
    for request, total in enumerate(totals):
        shape = int(np.count_nonzero(rows.requests == request)), len(total)
        end = first + shape[0] * shape[1]
        by_row = scores[first:end].reshape(shape)
        total[:, total.shape[1] - shape[0] + 1 :] += (by_row[0] - by_row[1:]).T
        first = end


def _states(
    member: Encoder | SecondTransformer, dim: int, query: Query, rows: _Rows
) -> Float32[np.ndarray, "rows dim"]:
    """The state of each row."""
    layout = (member.encoder if isinstance(member, SecondTransformer) else member).layout
    states = np.zeros((len(rows.requests), dim), np.float32)
    is_alone = np.ones(len(rows.requests), bool)
    if isinstance(member, Encoder):
        features = query.sequence_features
        for request, n_events in enumerate(np.diff(query.histories.offsets).tolist()):
            if shares_prefixes(layout, n_events):
                of_request = (rows.requests == request) & (rows.positions >= 0)
                states[of_request] = member.states_without_events(
                    query.histories.row(request), {} if features is None else features[request]
                )
                is_alone &= ~of_request
    alone, blocks = _query_of(query, rows).select(is_alone), []
    length = layout.context
    if not layout.left_padding:
        longest = int(np.diff(alone.histories.offsets).max(initial=0)) + int(layout.start)
        length = shapes.length_bucket(longest, layout.context)
    for _, block in alone.blocks(shapes.rows_to_encode(length)):
        block_states = member.states(block, shapes.row_bucket(len(block)))
        blocks.append(np.asarray(block_states)[: len(block)])
    states[is_alone] = np.concatenate(blocks)
    return states


def _scores(
    states: Float32[np.ndarray, "rows dim"],
    vectors: Real[Array, "vocabulary dim"],
    rows: _Rows,
    items: Ragged,
) -> Float32[np.ndarray, " pairs"]:
    """The scores of the items of the request of each row, row by row."""
    scores = [np.zeros(0, np.float32)]
    for start in range(0, len(states), shapes.MAX_ROWS):
        block = states[start : start + shapes.MAX_ROWS]
        requests = rows.requests[start : start + shapes.MAX_ROWS].tolist()
        listed = [items.row(request) for request in requests]
        pair_rows = np.repeat(np.arange(len(listed)), [len(row) for row in listed])
        padding = ((0, shapes.row_bucket(len(block)) - len(block)), (0, 0))
        padded = (jnp.asarray(np.pad(block, padding)),)
        scores.append(search.pair_scores(padded, (vectors,), pair_rows, np.concatenate(listed)))
    return np.concatenate(scores)


def _puresvd(
    member: PureSVD, history: Int32[np.ndarray, " events"], items: Int32[np.ndarray, " items"]
) -> Contributions:
    """The contributions to the scores of PureSVD: its sum of vectors without one of them."""
    vectors = member.vectors[np.where(history < len(member.vectors), history, UNK)]
    total = vectors.sum(axis=0, keepdims=True)
    sums = np.concatenate([total, total - vectors])
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    states = np.float32(member.weight) * sums / np.maximum(lengths, np.finfo(np.float32).tiny)
    scores = member.vectors[items] @ states.T
    return scores[:, :1] - scores[:, 1:]


def _sparse(
    member: SparseMember, query: Query, items: Int32[np.ndarray, " items"]
) -> Contributions:
    """The contributions to the bonus of a sparse member, for one request."""
    if isinstance(member.ranker, ItemItemRanker):
        return item_item_contributions(member, query.histories.row(0), query.seen.row(0), items)
    history = query.histories.row(0)
    rows = _rows(query.histories, len(history))
    shortened = replace(
        _query_of(query, rows), seen=Ragged.from_rows([query.seen.row(0)] * len(rows.requests))
    )
    blocks = [
        member.bonus(block)[:, items].toarray() for _, block in shortened.blocks(shapes.MAX_ROWS)
    ]
    scores = np.concatenate(blocks).T
    return scores[:, :1] - scores[:, 1:]
