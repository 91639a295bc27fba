"""The map of a served model: read from its run or computed and kept there, as bytes for a page."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np

from segue.errors import RunError, StorageError
from segue.item_map import ItemMap, build_map, read_map, write_map
from segue.item_map.groups import Groups, group_items
from segue.server.long_computation import Report
from segue.server.registry import ServedModel
from segue.tokens import N_SPECIALS, UNK

STEPS = 65_535
"""Steps of a coordinate on the wire: a tenth of a pixel at twenty times the size of a screen."""
MAX_POPULARITY = 255


class ServedMap(NamedTuple):
    """A map, ready to be sent.

    Attributes:
        points: little-endian arrays of all items, one after the other: x and y (uint16, the
            positions from -1 to 1), group (uint8, its place in ``groups.names``; 255 for none) and
            popularity (uint8, the logarithm of the training count).
        groups: what the colours mean.
        n_items: number of items.
        kept_neighbours: see ``ItemMap``.
    """

    points: bytes
    groups: Groups
    n_items: int
    kept_neighbours: float


def open_map(model: ServedModel, report: Report) -> ServedMap:
    """The map in the run of a model; if there is none, compute it and keep it there if possible."""
    recommender = model.recommender
    n_items = recommender.ensemble.vocabulary_size - N_SPECIALS
    item_map = None
    with suppress(RunError):  # a damaged file is replaced
        item_map = read_map(model.folder, recommender.fingerprint, n_items)
    if item_map is None:
        item_map = build_map(recommender, report)
        with suppress(StorageError):  # a folder that cannot be written: computed at every start
            write_map(model.folder, item_map, recommender.fingerprint)
    groups = group_items(recommender.items, n_items)
    points = _encoded(item_map, groups, model)
    return ServedMap(points, groups, n_items, item_map.kept_neighbours)


def describe_items(
    model: ServedModel, indices: Sequence[int], item_ids: Sequence[str]
) -> list[dict[str, Any]]:
    """Items with their number on the map, by number and by id; others are left out.

    Args:
        model: the model.
        indices: numbers on the map, from 0 for the most frequent item.
        item_ids: ids.
    """
    n_items = model.recommender.ensemble.vocabulary_size - N_SPECIALS
    item_indices = model.recommender.items.find(item_ids).tolist()
    numbers = [*indices, *(index - N_SPECIALS for index in item_indices if index != UNK)]
    on_map = dict.fromkeys(number for number in numbers if 0 <= number < n_items)
    return [
        {"index": number, **model.descriptions.describe(number + N_SPECIALS)} for number in on_map
    ]


def _encoded(item_map: ItemMap, groups: Groups, model: ServedModel) -> bytes:
    n_items = len(item_map.positions)
    scaled = np.clip((item_map.positions + 1) / 2, 0, 1) * STEPS
    steps = np.round(scaled).astype("<u2")
    counts = model.recommender.items.training_counts[N_SPECIALS:][:n_items]
    logarithms = np.log1p(counts)
    largest = max(float(logarithms.max(initial=0)), 1e-12)
    popularity = np.round(MAX_POPULARITY * logarithms / largest).astype(np.uint8)
    arrays = (steps[:, 0], steps[:, 1], groups.codes, popularity)
    return b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)
