"""Warm-up of a server: each shape that its requests can have is computed once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from segue.recommender import Recommender, shapes
from segue.server.computations import STEERED_ROWS
from segue.server.settings import ServerSettings

CANDIDATES = (1, 300)
"""Numbers of scored candidates in all, one per usual size of ``shapes.PAIR_BUCKETS``."""


def warm_up(model: Recommender, settings: ServerSettings) -> None:
    """Compile what requests within the limits of a server need.

    Not compiled are rare shapes: more than eight examples, more than 4,096 scored candidates in a
    batch, and caps that leave too little of a pool.
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
    for k in _result_counts(model, max_k):
        for rows in sizes:
            model.recommend([history] * rows, k, probabilities=True)
        if k < model.ensemble.n_candidates:
            model.similar_items(history[0], k)
        for controls in _controls(history):
            for rows in (1, STEERED_ROWS):
                model.recommend([history] * rows, k, **controls)


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
