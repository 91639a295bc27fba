"""Search spaces of the baselines' parameters, and the estimated time of a fit."""

from __future__ import annotations

from typing import Any

import numpy as np

from segue.baselines.head_ranker import HEAD_ITEMS
from segue.dataset import Dataset
from segue.dataset.training_events import readable_lengths

Changes = dict[str, Any]
"""New values of some parameters, by dotted name."""

DAY_S = 86_400.0


def _values(name: str, *values: int | float | None) -> list[Changes]:
    return [{name: value} for value in values]


HISTORY_DECAY: list[Changes] = [
    {"history.half_life": None, "history.power": 0.0},
    *({"history.half_life": half_life, "history.power": 0.0} for half_life in (1.0, 2.0, 3.0)),
    *({"history.half_life": half_life, "history.power": 0.0} for half_life in (4.0, 8.0, 20.0)),
    *({"history.half_life": None, "history.power": power} for power in (0.5, 0.7, 1.0, 1.3)),
]
HISTORY_LENGTH = _values("history.length", 3, 10, 50, None)
HISTORY_DECAY_S = _values("history.half_life_s", None, DAY_S / 24, DAY_S, 7 * DAY_S, 60 * DAY_S)
"""Of a decay by time, beside that by position; only for a log with times."""
HISTORY = [HISTORY_DECAY, HISTORY_LENGTH, HISTORY_DECAY_S]

SPACES: dict[str, list[list[Changes]]] = {
    "recent-popularity": [
        _values("share", 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0),
        _values("half_life", None, 0.01, 0.03, 0.1, 0.3),
    ],
    "last-item": [_values("source_power", 0.85, 1.0, 1.15)],
    "co-occurrence": [
        HISTORY_DECAY,
        _values("window", 2, 3, 5, 8, 12, 20),
        _values("distance_power", 0.0, 0.5, 1.0, 1.5),
        _values("shrinkage", 0.0, 3.0, 10.0, 30.0, 100.0),
        _values("source_power", 0.85, 1.0, 1.15),
        *HISTORY,
    ],
    "item-knn": [
        HISTORY_DECAY,
        _values("neighbours", 20, 50, 100, 300),
        _values("shrinkage", 0.0, 5.0, 20.0, 100.0),
        _values("source_power", 0.3, 0.5, 0.7),
        *HISTORY,
    ],
    "ease": [
        HISTORY_DECAY,
        _values("regularisation", 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0),
        *HISTORY,
    ],
    "tale": [
        HISTORY_DECAY,
        _values("regularisation", 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0),
        _values("decay", 3.0, 6.0, 12.0, 25.0, 50.0),
        _values("decay_s", None, DAY_S, 7 * DAY_S, 60 * DAY_S),
        _values("floor", 0.0, 0.05, 0.2),
        *HISTORY,
    ],
    "puresvd": [
        HISTORY_DECAY,
        _values("factors", 32, 64, 128, 256),
        _values("popularity_exponent", 0.0, 0.2, 0.4),
        *HISTORY,
    ],
    "ials": [
        HISTORY_DECAY,
        _values("unobserved_weight", 0.02, 0.1, 0.5),
        _values("regularisation", 0.001, 0.003, 0.01),
        _values("factors", 32, 64, 128),
        *HISTORY,
    ],
}
"""By baseline, the steps of the search in their order: the alternatives of one or two parameters
that are tried together."""

HISTORY_HALF_LIFE_S = "history.half_life_s"
NEED_TIMES = {HISTORY_HALF_LIFE_S, "decay_s"}
"""Parameters that have no effect in a log without times, or need them."""


def search_space(name: str, dataset: Dataset, *, request_times: bool = True) -> list[list[Changes]]:
    """The steps of the search for the parameters of a baseline; none if it has no parameters.

    Args:
        name: of the baseline.
        dataset: the dataset; without times, no parameter of times is searched.
        request_times: whether the times of the histories will be known in requests, too.
    """
    steps = SPACES.get(name, [])
    excluded = set() if dataset.sequences.times is not None else NEED_TIMES
    if not request_times:
        excluded = excluded | {HISTORY_HALF_LIFE_S}
    return [step for step in steps if not excluded & set(step[0])]


def fit_seconds(name: str, dataset: Dataset) -> float:
    """A rough estimate of the core-seconds of a fit with usual parameters, from counts alone."""
    lengths = readable_lengths(dataset.sequences).astype(np.float64)
    n_events, n_pairs = lengths.sum(), np.square(lengths).sum()
    n_close_pairs = (lengths * np.minimum(lengths, 100)).sum()
    n_head = min(HEAD_ITEMS, dataset.n_catalogue)
    seconds = {
        "recent-popularity": 5e-8 * n_events,
        "last-item": 6e-8 * n_events,
        "co-occurrence": 5e-7 * n_events,
        "item-knn": 5e-9 * n_pairs,
        "ease": 5e-9 * n_pairs + 3e-11 * n_head**3,
        "tale": 4e-8 * n_close_pairs + 4e-11 * n_head**3,
        "puresvd": 1.5e-6 * n_events,
        "ials": 3e-6 * n_events + 1e-3 * (len(lengths) + dataset.n_catalogue),
    }
    return float(seconds.get(name, 0.0))
