"""``map.parquet`` of a run: the position of each item of the catalogue, and the map's quality."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float32

from segue.errors import RunError
from segue.runs import RunFolder
from segue.storage.arrow_files import read_table
from segue.storage.atomic import replace_file
from segue.storage.reading import Problems, decode_object, exists, typed

FORMAT_VERSION = 1
MAP_PROBLEMS = Problems(RunError, "remove the file; the map is then computed again")
_METADATA = b"segue"
_COLUMNS = ("x", "y")


class MapMetadata(msgspec.Struct):
    """What a map is of.

    Attributes:
        fingerprint: that of the run's files.
        kept_neighbours: see ``segue.item_map.quality``.
        format_version: of the file.
    """

    fingerprint: str
    kept_neighbours: Annotated[float, msgspec.Meta(ge=0, le=1)]
    format_version: Annotated[int, msgspec.Meta(ge=FORMAT_VERSION, le=FORMAT_VERSION)] = (
        FORMAT_VERSION
    )


@dataclass(frozen=True)
class ItemMap:
    """Items at positions in the plane.

    Attributes:
        positions: between -1 and 1, one per item of the catalogue, in the order of the indices.
        kept_neighbours: share of the 10 nearest items by cosine that are among the 50 nearest on
            the map.
    """

    positions: Float32[np.ndarray, "items 2"]
    kept_neighbours: float


def read_map(folder: RunFolder, fingerprint: str, n_items: int) -> ItemMap | None:
    """Read the map of a run; None if it has none, or one of other weights or items.

    Args:
        folder: the run.
        fingerprint: of the files of the loaded model.
        n_items: number of items of its catalogue.

    Raises:
        RunError: the file is damaged.
    """
    if not exists(folder.item_map):
        return None
    table = read_table(folder.item_map, MAP_PROBLEMS)
    content = (table.schema.metadata or {}).get(_METADATA, b"")
    metadata: MapMetadata = typed(
        decode_object(content, folder.item_map, MAP_PROBLEMS),
        MapMetadata,
        folder.item_map,
        MAP_PROBLEMS,
    )
    if metadata.fingerprint != fingerprint:
        return None
    types = {name: table.schema.field(name).type for name in table.column_names}
    if types != dict.fromkeys(_COLUMNS, pa.float32()) or len(table) != n_items:
        raise MAP_PROBLEMS.damaged(folder.item_map, f"expected x and y of {n_items:,} items")
    columns = [table.column(name).to_numpy() for name in _COLUMNS]
    positions = np.stack(columns, axis=1).astype(np.float32)
    if not (np.abs(positions) <= 1.001).all():
        raise MAP_PROBLEMS.damaged(folder.item_map, "a position is not between -1 and 1")
    return ItemMap(positions, metadata.kept_neighbours)


def write_map(folder: RunFolder, item_map: ItemMap, fingerprint: str) -> None:
    """Write the map of a run; it replaces the one before.

    Raises:
        StorageError: no space or no permission.
    """
    metadata = MapMetadata(fingerprint, item_map.kept_neighbours)
    columns = [pa.array(item_map.positions[:, axis]) for axis in range(2)]
    table = pa.table(columns, names=list(_COLUMNS))
    table = table.replace_schema_metadata({_METADATA: msgspec.json.encode(metadata)})
    replace_file(folder.item_map, lambda partial: pq.write_table(table, partial))
