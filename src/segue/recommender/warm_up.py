"""Warm-up: compile every shape of a request before the first one arrives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from segue.controls import Controls
from segue.ragged import Ragged
from segue.ranking import Query
from segue.recommender import reranking, search, shapes
from segue.recommender.encoder import Encoder
from segue.recommender.ensemble import Ensemble
from segue.tokens import INDEX_DTYPE, N_SPECIALS

VARIANTS = (
    None,
    Controls(popularity=0.5),
    Controls(liked=np.full(1, N_SPECIALS, INDEX_DTYPE)),
)
"""Controls that add vectors to a search, which is compiled for each number of them."""


def warm_up(
    ensemble: Ensemble, max_rows: int, max_k: int, *, controls: bool = False
) -> list[dict[str, int]]:
    """Compile ``next_items`` for up to ``max_rows`` requests of up to ``max_k`` items.

    Args:
        controls: whether to compile what dials, examples, caps and diversity need, too.

    Returns:
        The shapes: rows, input tokens and results of each.
    """
    layout, vocabulary_size = ensemble.encoder.layout, ensemble.vocabulary_size
    end_temperature = 1.0 if layout.end else None
    results = {shapes.result_bucket(k, vocabulary_size) for k in range(1, max_k + 1)}
    if controls:
        pools = {reranking.pool_size(k, vocabulary_size) for k in range(1, max_k + 1)}
        results |= {shapes.result_bucket(pool, vocabulary_size) for pool in pools}
        for n_items in pools:
            ensemble.content.unit_rows(np.full(n_items, N_SPECIALS, INDEX_DTYPE))
    lengths = {length for encoder in ensemble.encoders for length in _lengths(encoder)}
    largest = shapes.row_bucket(min(max_rows, shapes.MAX_ROWS))
    features = known_features(ensemble)
    compiled = []
    for rows in [size for size in shapes.ROW_BUCKETS if size <= largest]:
        for length in sorted(lengths):
            query = _query(rows, max(0, length - int(layout.start)), features)
            for k in sorted(results):
                if rows <= ensemble.rows_per_block(k):
                    for variant in VARIANTS if controls else VARIANTS[:1]:
                        steered = replace(query.with_k(k), controls=variant and [variant] * rows)
                        ensemble.next_items(steered, end_temperature=end_temperature)
                    compiled.append({"rows": rows, "length": length, "k": k})
        # Those of locked items, and of the support, whose size differs between requests.
        n_sizes = len(shapes.PAIR_BUCKETS) if ensemble.has_sparse_bonus else 1
        _compile_pair_scores(ensemble, rows, shapes.PAIR_BUCKETS[:n_sizes])
        if rows <= ensemble.rows_per_caching_block(1):
            _compile_caches(ensemble, rows)
    return compiled


def known_features(ensemble: Ensemble) -> dict[str, str]:
    """A known value of each sequence feature.

    A second transformer that reads the user is not computed without a user that it knows.
    """
    return {name: values[0] for name, values in ensemble.vocabulary.values.items() if values}


def _lengths(encoder: Encoder) -> set[int]:
    """The lengths of the inputs of an encoder."""
    layout = encoder.layout
    if layout.left_padding:
        return {layout.context}
    return {shapes.length_bucket(n, layout.context) for n in range(1, layout.context + 1)}


def _query(n_rows: int, length: int, features: Mapping[str, str]) -> Query:
    """Requests with histories of ``length`` events, and with sequence features."""
    history = np.full(length, N_SPECIALS, INDEX_DTYPE)
    seen = Ragged.from_rows([history[:0]] * n_rows)
    return Query(
        Ragged.from_rows([history] * n_rows),
        seen,
        np.full(n_rows, -1),
        sequence_features=[features] * n_rows,
    )


def _compile_pair_scores(ensemble: Ensemble, n_rows: int, sizes: Sequence[int]) -> None:
    """Compile the scores of pairs of a request and an item."""
    states = ensemble.encode(_query(n_rows, 1, {})).states
    for n_pairs in sizes:
        zeros = np.zeros(n_pairs, np.int64)
        search.pair_scores(states, ensemble.vectors, zeros, zeros)


def _compile_caches(ensemble: Ensemble, n_rows: int) -> None:
    """Compile what histories that grow take: new ones, one more event, and some that move."""
    lengths = np.zeros(n_rows, int)
    for encoder in ensemble.caching().encoders:
        if not encoder.keeps_positions:
            continue
        few = shapes.moved_row_bucket(1, n_rows)
        full = encoder.layout.context - int(encoder.layout.start)
        # All are new; all have one more event; all go beyond the context; some are new again, then
        # all; some go beyond the context.
        for n_events, n_changed in (
            (full - 1, n_rows),
            (full, n_rows),
            (full + 1, n_rows),
            (full - 2, 1),
            (full - 2, few + 1),
            (full, n_rows),
            (full + 1, 1),
            (full + 1, few + 1),
        ):
            lengths[:n_changed] = max(0, n_events)
            rows = [np.full(length, N_SPECIALS, INDEX_DTYPE) for length in lengths]
            histories = Ragged.from_rows(rows)
            encoder.states(Query(histories, histories, np.full(n_rows, -1)), n_rows)
