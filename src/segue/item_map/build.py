"""The map of a loaded model: its item vectors, laid out in the plane."""

from __future__ import annotations

import numpy as np

from segue.item_map.layout import Watch, lay_out
from segue.item_map.quality import kept_neighbours
from segue.item_map.stored import ItemMap
from segue.recommender import Recommender
from segue.tokens import INDEX_DTYPE, N_SPECIALS

ROWS_PER_BLOCK = 4_096


def build_map(model: Recommender, watch: Watch | None = None) -> ItemMap:
    """Lay out the catalogue of a model by the vectors with which ``similar_items`` compares items.

    Args:
        model: the model.
        watch: called now and then with the share of the work that is done.
    """
    items = np.arange(N_SPECIALS, model.ensemble.vocabulary_size, dtype=INDEX_DTYPE)
    blocks = [
        model.ensemble.content.unit_rows(items[start : start + ROWS_PER_BLOCK])
        for start in range(0, len(items), ROWS_PER_BLOCK)
    ]
    vectors = np.concatenate(blocks)
    positions = lay_out(vectors, watch=watch)
    return ItemMap(positions, kept_neighbours(vectors, positions))
