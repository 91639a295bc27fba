"""Baseline rankers: popularity, co-occurrence, item-kNN, EASE, external lists, the oracle.

Baselines need no training run. Count-based and linear ones are fitted on the training events,
on the host, in bounded memory.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from segue.baselines.cooccurrence import CoOccurrence
from segue.baselines.ease import Ease
from segue.baselines.item_knn import ItemKNN
from segue.baselines.lists import ListRanker
from segue.baselines.popularity import Popularity
from segue.baselines.same_artist import SameArtist
from segue.baselines.top_rated import TopRated
from segue.config import nearest_hint
from segue.dataset import Dataset
from segue.errors import RequestError
from segue.ranking import Ranker, ScoringRanker
from segue.tokens import N_SPECIALS

__all__ = ["DEFAULTS", "NAMES", "ListRanker", "defaults_for", "fit"]

DEFAULTS: tuple[str, ...] = ("popularity", "recent-popularity", "last-item", "co-occurrence")
"""Baselines that a model is compared with by default."""

NAMES: tuple[str, ...] = (
    *DEFAULTS,
    "item-knn",
    "ease",
    "same-artist",
    "top-rated",
    "oracle",
)
"""All baselines that ``fit`` can build; ``oracle`` is for the built-in world only."""


def fit(name: str, dataset: Dataset, fit_on_validation: bool = False) -> Ranker:
    """Fit a baseline. Where its list is cut among equal scores, the more frequent item comes first.

    Args:
        name: one of ``NAMES``.
        dataset: the prepared dataset.
        fit_on_validation: whether to fit on validation events too.

    Raises:
        RequestError: no baseline has this name.
        DatasetError: the dataset lacks a column that the baseline needs.
    """
    if name not in NAMES:
        raise RequestError(f"unknown baseline {name!r}", nearest_hint(name, list(NAMES)))
    ranker = _FITTERS[name](dataset, fit_on_validation)
    ranker.data_fingerprint = dataset.fingerprint
    is_candidate = dataset.is_candidate[N_SPECIALS : dataset.vocabulary_size]
    ranker.left_out = N_SPECIALS + np.flatnonzero(~is_candidate)
    ranker.tie_order = dataset.popularity_order.tie_order
    return ranker


def defaults_for(dataset: Dataset) -> list[str]:
    """The default baselines for a dataset.

    Without times ``recent-popularity`` is left out; for the built-in world ``oracle`` is
    added.
    """
    names = list(DEFAULTS)
    if dataset.sequences.times is None:
        names.remove("recent-popularity")
    if dataset.manifest.source.get("format") == "demo":
        names.append("oracle")
    return names


def _oracle(dataset: Dataset, fit_on_validation: bool) -> ScoringRanker:
    from segue.baselines.oracle import Oracle

    oracle = Oracle(dataset)
    oracle.fit_on_validation = fit_on_validation  # not fitted, so comparable with both
    return oracle


_FITTERS: dict[str, Callable[[Dataset, bool], ScoringRanker]] = {
    "popularity": Popularity.fit,
    "recent-popularity": Popularity.fit_recent,
    "last-item": CoOccurrence.fit_last_item,
    "co-occurrence": CoOccurrence.fit,
    "item-knn": ItemKNN.fit,
    "ease": Ease.fit,
    "same-artist": SameArtist.fit,
    "top-rated": TopRated.fit,
    "oracle": _oracle,
}
