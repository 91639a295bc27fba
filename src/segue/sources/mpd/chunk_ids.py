"""The rule for ids on a chunk whose ids were read as text, as in the Million Playlist Dataset."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from segue.ids import id_array
from segue.sources.schema import Chunk, sequence_batch


def with_rule_for_ids(chunk: Chunk) -> tuple[Chunk, list[str]]:
    """Apply the rule for ids to the items of a chunk; its sequences and their order stay.

    Events and item rows with a missing id are left out.

    Returns:
        The chunk, and the ids of the sequences of which events were left out.
    """
    events = chunk.sequences.column("items")
    dictionary = events.values.dictionary
    ids = id_array(dictionary)
    if ids.equals(dictionary):
        return chunk, []
    item_ids = id_array(chunk.items.column("item_id"))
    items = chunk.items.set_column(0, "item_id", item_ids).filter(item_ids.is_valid())
    values = ids.take(events.flatten().indices)
    is_valid = values.is_valid().to_numpy(zero_copy_only=False)
    offsets = events.offsets.to_numpy() - events.offsets[0].as_py()
    n_before = np.append(0, np.cumsum(is_valid))
    changed = np.diff(n_before[offsets]) < np.diff(offsets)
    sequence_ids = chunk.sequences.column("sequence_id")
    attributes = {
        name: chunk.sequences.column(name)
        for name in chunk.sequences.schema.names
        if name not in ("sequence_id", "items")
    }
    sequences = sequence_batch(
        sequence_ids,
        pa.array(n_before[offsets]),
        values.drop_null().dictionary_encode(),
        attributes=attributes,
    )
    return Chunk(sequences, items), sequence_ids.filter(pa.array(changed)).to_pylist()
