"""The built-in world as a source: playlists whose next track has a known distribution.

A playlist is drawn by the laws of ``segue.sources.laws``. Playlists are drawn together in
blocks, one position at a time, and every block has random numbers of its own: a block is a
function of the options and its number.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Float64, Int, Int32, Int64

from segue.config import DemoConfig, SourceConfig
from segue.sources.discography import Discography, numbered
from segue.sources.laws import KERNELS, LAWS, OPENINGS, PRIOR, SWITCHES
from segue.sources.schema import NO_ITEMS, Chunk, Source, sequence_batch
from segue.sources.world import World

PLAYLISTS_PER_BLOCK = 20_000
TRACKS_PER_BLOCK = 100_000
SHORTEST = 5
LENGTH_DISPERSION = 2
"""Lengths are ``SHORTEST`` plus a negative binomial with so many successes."""
LARGEST_SHARE = 4
"""No playlist holds more than one in so many of the world's tracks."""
MOST_ATTEMPTS = 16
"""Draws that a playlist has in a round, of which the first free track counts."""


class Playlists(NamedTuple):
    """Playlists drawn together.

    Attributes:
        tracks: the tracks of each, -1 beyond its end.
        lengths: how many there are.
        intents: the hidden intent that each began with.
    """

    tracks: Int32[np.ndarray, "batch length"]
    lengths: Int64[np.ndarray, " batch"]
    intents: Int64[np.ndarray, " batch"]


class DemoSource(Source):
    """Playlists of invented tracks; needs no file.

    Sequences come in the order of their numbers, items in that of theirs.
    """

    format = "demo"
    sequences_are_users = False

    def __init__(self, config: SourceConfig) -> None:
        self._config = config.demo

    def chunks(self) -> Iterator[Chunk]:
        """First every track's description, then the playlists with their names."""
        config = self._config
        world = World.build(config)
        discography = Discography(world, config.seed)
        no_playlists = _sequences(discography, draw_playlists(world, config, 0, count=0), first=0)
        for first in range(0, config.items, TRACKS_PER_BLOCK):
            last = min(first + TRACKS_PER_BLOCK, config.items)
            yield Chunk(no_playlists, discography.describe(first, last))
        for block, first in enumerate(range(0, config.sequences, PLAYLISTS_PER_BLOCK)):
            count = min(PLAYLISTS_PER_BLOCK, config.sequences - first)
            playlists = draw_playlists(world, config, block, count)
            yield Chunk(_sequences(discography, playlists, first), NO_ITEMS)

    def fingerprint(self) -> dict[str, Any]:
        return {"format": self.format, "laws": LAWS, "options": self._config.model_dump()}


def draw_playlists(world: World, config: DemoConfig, block: int, count: int) -> Playlists:
    """Draw one block of playlists.

    Args:
        world: the world of ``config``.
        config: gives the seed and the mean length.
        block: the block's number; with the seed it decides everything that is random.
        count: how many playlists.
    """
    rng = np.random.default_rng([config.seed, 1, block])
    lengths = _lengths(rng, config, count)
    tracks = np.full((count, lengths.max(initial=0)), -1, dtype=np.int32)
    first_intents = _choose(rng, np.tile(PRIOR, (count, 1)))
    intents = first_intents.copy()
    for position in range(tracks.shape[1]):
        alive = np.flatnonzero(lengths > position)
        if position:
            intents[alive] = _choose(rng, SWITCHES[intents[alive]])
        kernels = KERNELS if position else OPENINGS
        so_far = tracks[alive, :position]
        tracks[alive, position] = draw_next(rng, world, so_far, kernels[intents[alive]])
    return Playlists(tracks, lengths, first_intents)


def draw_next(
    rng: np.random.Generator,
    world: World,
    so_far: Int32[np.ndarray, "batch length"],
    moves: Float64[np.ndarray, "batch moves"],
) -> Int32[np.ndarray, " batch"]:
    """Draw the next track of playlists of one length.

    Args:
        rng: gives the random numbers.
        world: the world that they lie in.
        so_far: their tracks; none of them is drawn again.
        moves: the probability of each move.
    """
    count, length = so_far.shape
    last = so_far[:, -1] if length else np.zeros(count, np.int32)
    stretches = world.stretches(last)
    drawn = np.empty(count, dtype=np.int32)
    waiting = np.arange(count)
    attempts = 1
    while len(waiting):
        rows = np.repeat(waiting, attempts)
        chosen = stretches[rows, _choose(rng, moves[rows])]
        tracks = _draw_within(rng, world, chosen).reshape(-1, attempts)
        held = (so_far[waiting, None, :] == tracks[:, :, None]).any(axis=2)
        first_free = held.argmin(axis=1)
        served = ~held.all(axis=1)
        drawn[waiting[served]] = tracks[served, first_free[served]]
        waiting = waiting[~served]
        # Few are left, and they may have to wait long: give them several draws a round.
        attempts = min(2 * attempts, MOST_ATTEMPTS)
    return drawn


def _draw_within(
    rng: np.random.Generator, world: World, stretches: Int32[np.ndarray, "batch 2"]
) -> Int32[np.ndarray, " batch"]:
    """Draw a track of each stretch by popularity."""
    depths = rng.random(len(stretches)) * world.masses(stretches)
    points = world.cumulative[stretches[:, 0]] + depths
    tracks = np.searchsorted(world.cumulative, points, side="right") - 1
    # Rounding may put a point on a stretch's very edge.
    return np.clip(tracks, stretches[:, 0], stretches[:, 1] - 1).astype(np.int32)


def _choose(
    rng: np.random.Generator, shares: Float64[np.ndarray, "batch choices"]
) -> Int64[np.ndarray, " batch"]:
    """Draw one choice a row by its shares, which sum to 1."""
    edges = np.cumsum(shares[:, :-1], axis=1)
    return np.count_nonzero(rng.random((len(shares), 1)) >= edges, axis=1)


def _lengths(rng: np.random.Generator, config: DemoConfig, count: int) -> Int64[np.ndarray, " n"]:
    mean = config.mean_length - SHORTEST
    success = LENGTH_DISPERSION / (LENGTH_DISPERSION + mean)
    lengths = SHORTEST + rng.negative_binomial(LENGTH_DISPERSION, success, count)
    return np.minimum(lengths, config.items // LARGEST_SHARE)


def _sequences(discography: Discography, playlists: Playlists, first: int) -> pa.RecordBatch:
    """One chunk's playlists; ``first`` is the number of the first one."""
    tracks, lengths, intents = playlists
    count = len(lengths)
    events = tracks[tracks >= 0]
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    openers = events[offsets[:-1]]
    return sequence_batch(
        numbered("playlist", np.arange(first, first + count)),
        pa.array(offsets),
        _encode(events, discography.n_tracks),
        attributes={"name": discography.playlist_names(first, openers, intents)},
    )


def _encode(events: Int[np.ndarray, " events"], n_tracks: int) -> pa.DictionaryArray:
    """Item ids of tracks; the dictionary holds only those that occur."""
    occurs = np.zeros(n_tracks, dtype=bool)
    occurs[events] = True
    codes = np.cumsum(occurs, dtype=np.int32) - np.int32(1)
    return pa.DictionaryArray.from_arrays(
        pa.array(codes[events]), numbered("track", np.flatnonzero(occurs))
    )
