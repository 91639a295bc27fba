"""The item map: items at positions in the plane, so that similar items are near each other.

    lay_out    positions from item vectors
    ItemMap    positions with their quality, read from and written to ``map.parquet`` of a run

Reading order: ``neighbours`` (nearest items by cosine), ``repulsion`` and ``layout`` (t-SNE on
the graph of neighbours), ``quality`` (share of neighbours kept), ``stored`` (the file), ``build``
(the map of a loaded model).
"""

from segue.item_map.build import build_map
from segue.item_map.layout import lay_out
from segue.item_map.stored import ItemMap, read_map, write_map

__all__ = ["ItemMap", "build_map", "lay_out", "read_map", "write_map"]
