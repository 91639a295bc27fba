"""What every model must beat: rankers without a training run.

Each is fitted by counting over the training events alone, on the host, in bounded memory.
"""

from __future__ import annotations

from collections.abc import Callable

from segue.baselines.cooccurrence import CoOccurrence
from segue.baselines.ease import Ease
from segue.baselines.item_knn import ItemKNN
from segue.baselines.lists import ListRanker
from segue.baselines.popularity import Popularity
from segue.baselines.same_artist import SameArtist
from segue.baselines.top_rated import TopRated
from segue.config import nearest
from segue.dataset import Dataset
from segue.errors import RequestError
from segue.ranking import Ranker

__all__ = ["DEFAULTS", "NAMES", "ListRanker", "defaults_for", "fit"]

DEFAULTS: tuple[str, ...] = ("popularity", "recent-popularity", "last-item", "co-occurrence")
"""What stands beside a model unless told otherwise."""

NAMES: tuple[str, ...] = (
    *DEFAULTS,
    "item-knn",
    "ease",
    "same-artist",
    "top-rated",
    "oracle",
)
"""Everything that ``fit`` knows; the oracle knows the laws of the built-in world only."""


def fit(name: str, dataset: Dataset, refit: bool = False) -> Ranker:
    """Fit a baseline.

    Args:
        name: one of ``NAMES``.
        refit: whether to fit on validation events too.

    Raises:
        RequestError: no baseline has this name.
        DatasetError: the baseline needs something that the dataset lacks.
    """
    if name not in NAMES:
        raise RequestError(f"unknown baseline {name!r}", nearest(name, list(NAMES)))
    ranker = _FITTERS[name](dataset, refit)
    ranker.data_fingerprint = dataset.fingerprint
    return ranker


def defaults_for(dataset: Dataset) -> list[str]:
    """The defaults that a dataset allows: no recent popularity without times, and the oracle
    beside the rest in the built-in world."""
    names = list(DEFAULTS)
    if dataset.sequences.times is None:
        names.remove("recent-popularity")
    if dataset.manifest.source.get("format") == "demo":
        names.append("oracle")
    return names


def _oracle(dataset: Dataset, refit: bool) -> Ranker:
    from segue.baselines.oracle import Oracle

    oracle = Oracle(dataset)
    oracle.refit = refit  # nothing is fitted, so it stands beside either
    return oracle


_FITTERS: dict[str, Callable[[Dataset, bool], Ranker]] = {
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
