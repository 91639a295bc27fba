"""Warm-up of a server: each shape that its requests can have is computed once."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from segue.recommender import Recommender, shapes
from segue.recommender.warm_up import known_features
from segue.server.computations import STEERED_ROWS
from segue.server.settings import ServerSettings

CANDIDATES = (1, 300)
"""Numbers of scored candidates in all, one per usual size of ``shapes.PAIR_BUCKETS``."""


def warm_up(model: Recommender, settings: ServerSettings) -> None:
    """Compile what requests within the limits of a server need.

    Not compiled are rare shapes: ranks of several items by member, more than eight examples, more
    than 4,096 scored candidates in a batch, and caps that leave too little of a pool.
    """
    max_k = min(settings.max_k, model.ensemble.n_candidates)
    model.warm_up(settings.max_batch, max_k)
    if not settings.warms_controls:
        return
    history = model.item_ids[:1]
    sizes = [rows for rows in shapes.ROW_BUCKETS if rows <= settings.max_batch]
    for rows in sizes:
        for n_candidates in CANDIDATES:
            ids = model.item_ids[:n_candidates]
            model.score([history] * rows, [ids] + [ids[:1]] * (rows - 1))
    counts = _result_counts(model, max_k)
    _explain(model, counts)
    for k in counts:
        for rows in sizes:
            model.recommend([history] * rows, k, probabilities=True)
        if k < model.ensemble.n_candidates:
            model.similar_items(history[0], k)
        for controls in _controls(history):
            for rows in (1, STEERED_ROWS):
                model.recommend([history] * rows, k, **controls)
                if "diversity" not in controls:
                    locked = [{1: history[0]}] * rows
                    model.generate([history] * rows, 2, top_k=k, locked=locked, **controls)


def _explain(model: Recommender, counts: list[int]) -> None:
    """Explain histories of each number of events that has shapes of its own, with a known user."""
    features = known_features(model.ensemble)
    contexts = [encoder.layout.context for encoder in model.ensemble.encoders]
    lengths = {length for context in contexts for length in shapes.suffix_lengths(context)}
    # A history and those without one of its events are scored together: the least and the most of
    # each number of rows, since the number of pairs with items is rounded up, too.
    for rows in shapes.ROW_BUCKETS:
        if 1 < rows <= max(contexts):
            lengths |= {rows // 2, rows - 1}
    for n_events in sorted({*lengths, max(contexts) + 1}):
        history = list(itertools.islice(itertools.cycle(model.item_ids), n_events))
        for k in counts:
            model.explain(history, k, sequence_features=features)
            model.explain(history, k)
        model.explain(history, candidates=history[:1], sequence_features=features, members=True)


def _result_counts(model: Recommender, max_k: int) -> list[int]:
    """A number of items per compiled number of results."""
    largest_k: dict[int, int] = {}
    for k in range(1, max_k + 1):
        largest_k[shapes.result_bucket(k, model.ensemble.vocabulary_size)] = k
    return list(largest_k.values())


def _controls(examples: list[str]) -> Iterator[dict[str, Any]]:
    """Every combination of controls that has shapes of its own: examples come with the dial."""
    for steering in ({}, {"popularity": 0.5}, {"like": examples}):
        for diversity in ({}, {"diversity": 0.5}):
            if controls := steering | diversity:
                yield controls
