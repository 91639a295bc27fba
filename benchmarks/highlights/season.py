"""One Christmas song: do the tracks that follow live in playlists named after the season?

A track *lives* there if at least half of its occurrences in the whole dataset are in
playlists with such a name, and *visits* if at least one is.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool

from highlights.generator import GREEDY, Generator, sampled
from segue.axes import N_SPECIALS, Ragged
from segue.dataset import Dataset

TITLE = "All I Want for Christmas Is You"
NAMES = r"christmas|x-?mas|holiday|navidad|\bno[eë]l\b|weihnacht|\bsanta\b"

ADDED = 10
TARGET = 8
"""Tracks of the ten that should live there."""
SEEDS = 20
SEARCHED = 1000
"""Items looked at for one with the very title."""


class Season(NamedTuple):
    """Which items belong to the season, by item index; special tokens do not."""

    lives: Bool[np.ndarray, " indices"]
    visits: Bool[np.ndarray, " indices"]


def season(data: Dataset, names: str) -> Season:
    """Find the items of playlists whose name matches a regular expression, in any case."""
    sequences = data.sequences
    size = N_SPECIALS + len(data.items)
    inside = np.zeros(size)
    if "name" in sequences.attributes.column_names:
        pattern = re.compile(names, re.IGNORECASE)
        said = sequences.attributes.column("name").to_pylist()
        matches = np.array([bool(pattern.search(name or "")) for name in said])
        in_season = np.repeat(matches, sequences.lengths)
        inside = np.bincount(sequences.items[in_season], minlength=size)
    total = np.bincount(sequences.items, minlength=size)
    return Season((inside > 0) & (2 * inside >= total), inside > 0)


def find_prompt(data: Dataset, title: str, found: Season) -> tuple[int, str] | None:
    """The most frequent item with a title, or else the most frequent one of the season.

    Returns:
        Its index and how it was found; None where the catalogue has neither.
    """
    hits = data.items.search(title, SEARCHED)
    titles = data.items.titles(hits)
    for index, shown in zip(hits.tolist(), titles, strict=True):
        if shown.casefold() == title.casefold() and index < data.table_size:
            return index, "title"
    residents = np.flatnonzero(found.lives[: data.table_size])
    return (int(residents[0]), "most frequent of the season") if len(residents) else None


def measure_season(
    model: Generator, data: Dataset, title: str = TITLE, names: str = NAMES
) -> list[dict[str, Any]]:
    """Continue the one track, greedily and with each seed; beside them chance.

    Chance is ten random events of the dataset. No row where nothing is of the season.
    """
    found = season(data, names)
    prompt = find_prompt(data, title, found)
    if prompt is None:
        return []
    index, how = prompt
    ways = [("greedy", [GREEDY]), ("sampled", [sampled(seed) for seed in range(SEEDS)])]
    rows = []
    for way, samplings in ways:
        prompts = Ragged.of([[index]])
        lists = [model.generate(prompts, ADDED, sampling)[0] for sampling in samplings]
        rows.append({"way": way, "prompt": how, **_described(np.stack(lists), found)})
    lives, visits = (ADDED * mask[data.sequences.items].mean() for mask in found)
    chance = {"way": "chance", "prompt": None, "lists": None, "lives": round(float(lives), 2)}
    chance |= {"fewest": None, "share_at_target": None, "visits": round(float(visits), 2)}
    return [*rows, chance]


def _described(lists: np.ndarray, found: Season) -> dict[str, Any]:
    living = found.lives[lists].sum(axis=1)
    return {
        "lists": len(lists),
        "lives": float(living.mean()),
        "fewest": int(living.min()),
        "share_at_target": float((living >= TARGET).mean()),
        "visits": float(found.visits[lists].sum(axis=1).mean()),
    }
