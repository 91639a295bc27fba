"""Baseline rankers: popularity, co-occurrence, item-kNN, linear models, factors, lists, the oracle.

Baselines need no training run. Count-based and linear ones are fitted on the training events,
on the host, in bounded memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from segue.baselines.cooccurrence import CoOccurrence, CoOccurrenceParameters, LastItemParameters
from segue.baselines.ease import Ease, EaseParameters
from segue.baselines.ials import Ials, IalsParameters
from segue.baselines.item_knn import ItemKNN, ItemKnnParameters
from segue.baselines.lists import ListRanker
from segue.baselines.parameters import Parameters, parameters_of
from segue.baselines.popularity import Popularity, RecentPopularityParameters
from segue.baselines.puresvd import PureSvd, PureSvdParameters
from segue.baselines.same_artist import SameArtist
from segue.baselines.tale import Tale, TaleParameters
from segue.baselines.top_rated import TopRated
from segue.config import nearest_hint
from segue.dataset import Dataset
from segue.errors import RequestError
from segue.ranking import ScoringRanker
from segue.tokens import N_SPECIALS

__all__ = ["DEFAULTS", "NAMES", "ListRanker", "default_params", "defaults_for", "fit"]

DEFAULTS: tuple[str, ...] = ("popularity", "recent-popularity", "last-item", "co-occurrence")
"""Baselines that a model is compared with by default."""

NAMES: tuple[str, ...] = (
    *DEFAULTS,
    "item-knn",
    "ease",
    "tale",
    "puresvd",
    "ials",
    "same-artist",
    "top-rated",
    "oracle",
)
"""All baselines that ``fit`` can build; ``oracle`` is for the built-in world only."""


def fit(
    name: str,
    dataset: Dataset,
    fit_on_validation: bool = False,
    params: Mapping[str, Any] | None = None,
) -> ScoringRanker:
    """Fit a baseline. Where its list is cut among equal scores, the more frequent item comes first.

    Args:
        name: one of ``NAMES``.
        dataset: the prepared dataset.
        fit_on_validation: whether to fit on validation events too.
        params: parameters by name that differ from the defaults, as in ``{"window": 3,
            "history.half_life": 4.0}``; see ``default_params``.

    Raises:
        RequestError: no baseline has this name.
        ConfigError: the baseline has no such parameter, or it cannot have this value.
        DatasetError: the dataset lacks a column that the baseline needs.
    """
    entry = _entry(name)
    parameters = parameters_of(name, entry.parameters, params)
    ranker = entry.fit(dataset, fit_on_validation, parameters)
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


def default_params(name: str) -> dict[str, Any]:
    """The parameters of a baseline with their defaults, in sections.

    Those of the section ``history`` weigh the events of a history and need no new fit.

    Raises:
        RequestError: no baseline has this name.
    """
    return _entry(name).parameters().model_dump()


def _entry(name: str) -> _Baseline:
    if name not in NAMES:
        raise RequestError(f"unknown baseline {name!r}", nearest_hint(name, list(NAMES)))
    return _BASELINES[name]


def _fit_oracle(dataset: Dataset, fit_on_validation: bool) -> ScoringRanker:
    from segue.baselines.oracle import Oracle

    oracle = Oracle(dataset)
    oracle.fit_on_validation = fit_on_validation  # not fitted, so comparable with both
    return oracle


class _Baseline(NamedTuple):
    """A baseline: the class of its parameters, and its fit (dataset, fit_on_validation, them)."""

    parameters: type[Parameters]
    fit: Callable[[Dataset, bool, Any], ScoringRanker]


def _without_parameters(fit: Callable[[Dataset, bool], ScoringRanker]) -> _Baseline:
    return _Baseline(Parameters, lambda dataset, on_validation, _: fit(dataset, on_validation))


_BASELINES: dict[str, _Baseline] = {
    "popularity": _without_parameters(Popularity.fit),
    "recent-popularity": _Baseline(RecentPopularityParameters, Popularity.fit_recent),
    "last-item": _Baseline(LastItemParameters, CoOccurrence.fit_last_item),
    "co-occurrence": _Baseline(CoOccurrenceParameters, CoOccurrence.fit),
    "item-knn": _Baseline(ItemKnnParameters, ItemKNN.fit),
    "ease": _Baseline(EaseParameters, Ease.fit),
    "tale": _Baseline(TaleParameters, Tale.fit),
    "puresvd": _Baseline(PureSvdParameters, PureSvd.fit),
    "ials": _Baseline(IalsParameters, Ials.fit),
    "same-artist": _without_parameters(SameArtist.fit),
    "top-rated": _without_parameters(TopRated.fit),
    "oracle": _without_parameters(_fit_oracle),
}
