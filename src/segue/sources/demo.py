"""The format ``demo``: the built-in world of ``segue.synthetic`` as a source.

Playlists are drawn in blocks. Each block has its own random numbers, so it depends only on the
options and on its number.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Int

from segue.config import SourceConfig
from segue.sources.schema import NO_ITEMS, Chunk, Source, sequence_batch
from segue.synthetic.discography import Discography, numbered_ids
from segue.synthetic.generative_model import WORLD_VERSION
from segue.synthetic.playlists import PLAYLISTS_PER_BLOCK, Playlists, draw_playlists
from segue.synthetic.world import World

TRACKS_PER_BLOCK = 100_000


class DemoSource(Source):
    """Playlists of invented tracks, generated without any file.

    Sequences and items come in the order of their numbers.
    """

    format = "demo"
    sequences_are_users = False

    def __init__(self, config: SourceConfig) -> None:
        self._config = config.demo

    def chunks(self) -> Iterator[Chunk]:
        """Yield the descriptions of all tracks, then the playlists with their names."""
        config = self._config
        world = World.build(config)
        discography = Discography(world, config.seed)
        no_playlists = _sequences(discography, draw_playlists(world, config, 0, count=0), start=0)
        for start in range(0, config.items, TRACKS_PER_BLOCK):
            stop = min(start + TRACKS_PER_BLOCK, config.items)
            yield Chunk(no_playlists, discography.track_descriptions(start, stop))
        for block, start in enumerate(range(0, config.sequences, PLAYLISTS_PER_BLOCK)):
            count = min(PLAYLISTS_PER_BLOCK, config.sequences - start)
            playlists = draw_playlists(world, config, block, count)
            yield Chunk(_sequences(discography, playlists, start), NO_ITEMS)

    def fingerprint(self) -> dict[str, Any]:
        return {
            "format": self.format,
            "laws": WORLD_VERSION,
            "options": self._config.model_dump(),
        }


def _sequences(discography: Discography, playlists: Playlists, start: int) -> pa.RecordBatch:
    """The ``sequences`` of a chunk; ``start`` is the number of the first playlist."""
    tracks, lengths, first_intents = playlists
    count = len(lengths)
    events = tracks[tracks >= 0]
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    first_tracks = events[offsets[:-1]]
    return sequence_batch(
        numbered_ids("playlist", np.arange(start, start + count)),
        pa.array(offsets),
        _item_ids(events, discography.n_tracks),
        attributes={"name": discography.playlist_names(start, first_tracks, first_intents)},
    )


def _item_ids(events: Int[np.ndarray, " events"], n_tracks: int) -> pa.DictionaryArray:
    """Item ids of all events; the dictionary contains only tracks that occur."""
    occurs = np.zeros(n_tracks, dtype=bool)
    occurs[events] = True
    indices = np.cumsum(occurs, dtype=np.int32) - np.int32(1)
    return pa.DictionaryArray.from_arrays(
        pa.array(indices[events]), numbered_ids("track", np.flatnonzero(occurs))
    )
