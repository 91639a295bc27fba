"""Continuation of one Christmas song: how many of the generated tracks are seasonal.

A track is *seasonal* if at least half of its occurrences in the whole dataset are in playlists with
a seasonal name. It *occurs in the season* if at least one occurrence is.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool

from highlights.generator import GREEDY, Generator, top_50_sampling
from segue.catalogue_search import scan_items
from segue.dataset import Dataset
from segue.ragged import Ragged
from segue.tokens import N_SPECIALS

TITLE = "All I Want for Christmas Is You"
"""Title of the given track."""
NAMES = r"christmas|x-?mas|holiday|navidad|\bno[eë]l\b|weihnacht|\bsanta\b"
"""Regular expression of seasonal playlist names."""

ADDED = 10
TARGET = 8
"""Number of the ten generated tracks that should be seasonal."""
SEEDS = 20
SEARCH_LIMIT = 1000
"""Search results among which the exact title is looked up."""


class SeasonalItems(NamedTuple):
    """Masks over item indices, false for special tokens.

    Attributes:
        seasonal: at least half of the item's occurrences are in playlists of the season.
        in_season: at least one occurrence is.
    """

    seasonal: Bool[np.ndarray, " indices"]
    in_season: Bool[np.ndarray, " indices"]


def seasonal_items(data: Dataset, names: str) -> SeasonalItems:
    """Classify items by the playlists that they occur in.

    Args:
        data: the dataset.
        names: regular expression of seasonal playlist names; case is ignored.
    """
    sequences = data.sequences
    size = N_SPECIALS + len(data.items)
    seasonal_counts = np.zeros(size)
    if "name" in sequences.attributes.column_names:
        pattern = re.compile(names, re.IGNORECASE)
        playlist_names = sequences.attributes.column("name").to_pylist()
        matches = np.array([bool(pattern.search(name or "")) for name in playlist_names])
        is_seasonal_event = np.repeat(matches, sequences.lengths)
        seasonal_counts = np.bincount(sequences.items[is_seasonal_event], minlength=size)
    counts = np.bincount(sequences.items, minlength=size)
    in_season = seasonal_counts > 0
    return SeasonalItems(in_season & (2 * seasonal_counts >= counts), in_season)


def find_prompt(data: Dataset, title: str, items: SeasonalItems) -> tuple[int, str] | None:
    """The most frequent track with a title, or else the most frequent seasonal track.

    Returns:
        The item index, and how it was found: ``title`` or ``most frequent of the season``. None
        if the catalogue has neither.
    """
    matches = scan_items(data.items, title, SEARCH_LIMIT, "title")
    for index, item_title in zip(matches.tolist(), data.items.titles(matches), strict=True):
        if item_title.casefold() == title.casefold() and index < data.vocabulary_size:
            return index, "title"
    seasonal = np.flatnonzero(items.seasonal[: data.vocabulary_size])
    if not len(seasonal):
        return None
    most_frequent = seasonal[np.argmax(data.items.training_counts[seasonal])]
    return int(most_frequent), "most frequent of the season"


def measure_season(
    model: Generator, data: Dataset, title: str = TITLE, names: str = NAMES
) -> list[dict[str, Any]]:
    """Continue one track, greedily and with each seed, and count seasonal tracks.

    The last row is the expectation for ten random events of the dataset.

    Args:
        model: the model.
        data: its dataset.
        title: title of the given track.
        names: regular expression of seasonal playlist names.

    Returns:
        One row per kind of generation; none if the catalogue has no seasonal track.
    """
    items = seasonal_items(data, names)
    prompt = find_prompt(data, title, items)
    if prompt is None:
        return []
    index, how = prompt
    samplings = {
        "greedy": [GREEDY],
        "sampled": [top_50_sampling(seed) for seed in range(SEEDS)],
    }
    rows = []
    for name, options in samplings.items():
        prompts = Ragged.from_rows([[index]])
        lists = [model.generate(prompts, ADDED, sampling)[0] for sampling in options]
        rows.append({"sampling": name, "prompt": how, **_describe_lists(np.stack(lists), items)})
    seasonal, in_season = (ADDED * mask[data.sequences.items].mean() for mask in items)
    chance = {
        "sampling": "chance",
        "prompt": None,
        "lists": None,
        "seasonal": round(float(seasonal), 2),
        "fewest": None,
        "share_at_target": None,
        "in_season": round(float(in_season), 2),
    }
    return [*rows, chance]


def _describe_lists(lists: np.ndarray, items: SeasonalItems) -> dict[str, Any]:
    seasonal = items.seasonal[lists].sum(axis=1)
    return {
        "lists": len(lists),
        "seasonal": float(seasonal.mean()),
        "fewest": int(seasonal.min()),
        "share_at_target": float((seasonal >= TARGET).mean()),
        "in_season": float(items.in_season[lists].sum(axis=1).mean()),
    }
