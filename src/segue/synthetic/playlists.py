"""Sampling playlists of the built-in world from its generative model."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int32, Int64

from segue.config import DemoConfig
from segue.synthetic.generative_model import (
    FIRST_MOVE_PROBABILITIES,
    INTENT_PRIOR,
    INTENT_TRANSITIONS,
    MOVE_PROBABILITIES,
)
from segue.synthetic.world import World

PLAYLISTS_PER_BLOCK = 20_000

MIN_LENGTH = 5
LENGTH_DISPERSION = 2
"""A length is ``MIN_LENGTH`` plus a negative binomial with this number of successes."""
MAX_LENGTH_DIVISOR = 4
"""A playlist contains at most the number of tracks of the world divided by this."""

MAX_DRAWS_PER_ROUND = 16
"""Most draws that a playlist gets in one round of rejection sampling."""


class Playlists(NamedTuple):
    """A batch of sampled playlists.

    Attributes:
        tracks: the track numbers of each playlist, padded with -1.
        lengths: number of tracks in each playlist.
        first_intents: the hidden intent at the first track of each playlist.
    """

    tracks: Int32[np.ndarray, "batch length"]
    lengths: Int64[np.ndarray, " batch"]
    first_intents: Int64[np.ndarray, " batch"]


def draw_playlists(world: World, config: DemoConfig, block: int, count: int) -> Playlists:
    """Sample one block of playlists, all of them together, position by position.

    Args:
        world: the world of ``config``.
        config: gives the seed and the mean length.
        block: the block's number. The random numbers depend only on it and the seed.
        count: number of playlists.
    """
    rng = np.random.default_rng([config.seed, 1, block])
    lengths = _draw_lengths(rng, config, count)
    tracks = np.full((count, lengths.max(initial=0)), -1, dtype=np.int32)
    first_intents = _draw_categories(rng, np.tile(INTENT_PRIOR, (count, 1)))
    intents = first_intents.copy()
    for position in range(tracks.shape[1]):
        unfinished = np.flatnonzero(lengths > position)
        if position:
            intents[unfinished] = _draw_categories(rng, INTENT_TRANSITIONS[intents[unfinished]])
        probabilities = MOVE_PROBABILITIES if position else FIRST_MOVE_PROBABILITIES
        histories = tracks[unfinished, :position]
        tracks[unfinished, position] = draw_next_tracks(
            rng, world, histories, probabilities[intents[unfinished]]
        )
    return Playlists(tracks, lengths, first_intents)


def draw_next_tracks(
    rng: np.random.Generator,
    world: World,
    histories: Int32[np.ndarray, "batch length"],
    move_probabilities: Float64[np.ndarray, "batch moves"],
) -> Int32[np.ndarray, " batch"]:
    """Draw the next track of playlists of equal length, by rejection sampling.

    Args:
        rng: source of the random numbers.
        world: the world of the tracks.
        histories: the tracks of each playlist so far; none of them is drawn again.
        move_probabilities: probability of each move, by playlist.
    """
    count, length = histories.shape
    last_tracks = histories[:, -1] if length else np.zeros(count, np.int32)
    track_ranges = world.track_ranges(last_tracks)
    next_tracks = np.empty(count, dtype=np.int32)
    pending = np.arange(count)
    n_draws = 1
    while len(pending):
        rows = np.repeat(pending, n_draws)
        drawn_ranges = track_ranges[rows, _draw_categories(rng, move_probabilities[rows])]
        drawn = _draw_tracks(rng, world, drawn_ranges).reshape(-1, n_draws)
        repeated = (histories[pending, None, :] == drawn[:, :, None]).any(axis=2)
        first_new = repeated.argmin(axis=1)
        accepted = ~repeated.all(axis=1)
        next_tracks[pending[accepted]] = drawn[accepted, first_new[accepted]]
        pending = pending[~accepted]
        # The few remaining playlists may need many draws: give them several per round.
        n_draws = min(2 * n_draws, MAX_DRAWS_PER_ROUND)
    return next_tracks


def _draw_tracks(
    rng: np.random.Generator, world: World, track_ranges: Int32[np.ndarray, "batch 2"]
) -> Int32[np.ndarray, " batch"]:
    """Draw one track from each range, in proportion to popularity."""
    offsets = rng.random(len(track_ranges)) * world.total_popularity(track_ranges)
    quantiles = world.cumulative_popularity[track_ranges[:, 0]] + offsets
    tracks = np.searchsorted(world.cumulative_popularity, quantiles, side="right") - 1
    # Rounding may move a quantile to the edge of its range.
    return np.clip(tracks, track_ranges[:, 0], track_ranges[:, 1] - 1).astype(np.int32)


def _draw_categories(
    rng: np.random.Generator, probabilities: Float64[np.ndarray, "batch categories"]
) -> Int64[np.ndarray, " batch"]:
    """Draw one category per row; the probabilities of a row sum to 1."""
    edges = np.cumsum(probabilities[:, :-1], axis=1)
    return np.count_nonzero(rng.random((len(probabilities), 1)) >= edges, axis=1)


def _draw_lengths(
    rng: np.random.Generator, config: DemoConfig, count: int
) -> Int64[np.ndarray, " n"]:
    mean = config.mean_length - MIN_LENGTH
    success_probability = LENGTH_DISPERSION / (LENGTH_DISPERSION + mean)
    lengths = MIN_LENGTH + rng.negative_binomial(LENGTH_DISPERSION, success_probability, count)
    return np.minimum(lengths, config.items // MAX_LENGTH_DIVISOR)
