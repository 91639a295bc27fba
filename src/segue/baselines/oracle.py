"""Oracle baseline: the Bayes-optimal predictor of the built-in world.

It uses the generative model (``segue.synthetic.generative_model``) and the history, but no
hidden state. A playlist is a hidden Markov model whose state is its intent. The forward
algorithm (Rabiner, 1989, "A tutorial on hidden Markov models") gives the exact posterior of the
intent; the distribution of the next track is the mixture of the distributions per intent,
weighted by that posterior.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow.compute as pc
from jaxtyping import Bool, Float64, Int32, Int64

from segue.config import DemoConfig, validated
from segue.dataset import Dataset
from segue.errors import ConfigError, DatasetError
from segue.ranking import Query, ScoringRanker
from segue.synthetic.discography import numbered_ids
from segue.synthetic.generative_model import (
    FIRST_MOVE_PROBABILITIES,
    INTENT_PRIOR,
    INTENT_TRANSITIONS,
    MOVE_PROBABILITIES,
    WORLD_VERSION,
)
from segue.synthetic.world import World
from segue.tokens import N_SPECIALS


class Histories(NamedTuple):
    """The tracks of playlists so far, in order and without repeats; padded with -1."""

    tracks: Int32[np.ndarray, "batch length"]
    lengths: Int64[np.ndarray, " batch"]


class Oracle(ScoringRanker):
    """Scores each item by its exact probability of being the next track.

    History items outside the catalogue are used. History items that are not tracks of the world
    (unknown ones, or added by an items file) and repeats, which the world never generates, are
    ignored. Candidates that are not tracks of the world score 0.
    """

    name = "oracle"

    def __init__(self, dataset: Dataset) -> None:
        """Build the world that the dataset was drawn from.

        Raises:
            DatasetError: the dataset is not from the built-in world, or from another version of
                it.
        """
        self._world = World.build(_options(dataset))
        self._track_of_item = _track_of_item_index(dataset, self._world)
        self.vocabulary_size = dataset.vocabulary_size
        self._non_tracks = np.flatnonzero(self._track_of_item[: self.vocabulary_size] < 0)

    def scores(self, query: Query) -> Float64[np.ndarray, "batch vocabulary"]:
        probabilities = next_track_probabilities(self._world, self._histories(query))
        scores = np.zeros((len(query), self.vocabulary_size))
        np.take(
            probabilities,
            self._track_of_item[N_SPECIALS : self.vocabulary_size],
            axis=1,
            out=scores[:, N_SPECIALS:],
        )
        scores[:, self._non_tracks] = 0
        return scores

    def _histories(self, query: Query) -> Histories:
        """Histories as tracks of the world, each track at its first position only."""
        n_queries = len(query)
        rows = np.repeat(np.arange(n_queries), np.diff(query.histories.offsets))
        tracks = self._track_of_item[query.histories.values]
        rows, tracks = rows[tracks >= 0], tracks[tracks >= 0]
        _, first_positions = np.unique(rows * self._world.n_tracks + tracks, return_index=True)
        first_positions.sort()
        lengths = np.bincount(rows[first_positions], minlength=n_queries)
        padded = np.full((n_queries, lengths.max(initial=0)), -1, dtype=np.int32)
        padded[np.arange(padded.shape[1]) < lengths[:, None]] = tracks[first_positions]
        return Histories(padded, lengths)


class MoveDensities(NamedTuple):
    """The distribution of the next track under each intent, in factored form.

    Under an intent, the probability of a track that the playlist does not contain yet is its
    popularity times the sum of the densities of all moves whose track range includes it.

    Attributes:
        track_ranges: first track and end (exclusive) of the range of each move.
        densities: probability per unit of popularity in the range of each move.
    """

    track_ranges: Int32[np.ndarray, "batch moves 2"]
    densities: Float64[np.ndarray, "batch intents moves"]


def next_track_probabilities(
    world: World, histories: Histories
) -> Float64[np.ndarray, "batch tracks"]:
    """Distribution of the next track of each playlist; 0 for tracks that it contains."""
    track_ranges, densities = _move_densities(world, histories)
    intent_probabilities = filter_intents(world, histories) @ INTENT_TRANSITIONS
    mixed = np.einsum("bi,bim->bm", intent_probabilities, densities)
    # A density is constant on its range: add it at the start of the range, subtract it at the
    # end, then take the cumulative sum. The column after the last track is for ranges that end
    # there and for the padding (-1) of the histories.
    sums = np.zeros((len(mixed), world.n_tracks + 1))
    rows = np.arange(len(mixed))[:, None]
    np.add.at(sums, (rows, track_ranges[..., 0]), mixed)
    np.subtract.at(sums, (rows, track_ranges[..., 1]), mixed)
    np.cumsum(sums, axis=1, out=sums)
    np.put_along_axis(sums, histories.tracks.astype(np.int64), 0, axis=1)
    # For tracks in no range the sum may be a rounding error instead of 0.
    return np.maximum(sums[:, :-1], 0) * world.popularity


def filter_intents(world: World, histories: Histories) -> Float64[np.ndarray, "batch intents"]:
    """Posterior of the intent of each playlist at its last track, given all its tracks.

    An empty playlist has the prior. A track that is impossible under every intent, which the
    world never generates, is ignored.
    """
    tracks, lengths = histories
    posteriors = np.tile(INTENT_PRIOR, (len(tracks), 1))
    for position in range(tracks.shape[1]):
        active = np.flatnonzero(lengths > position)
        before = Histories(tracks[active, :position], np.full(len(active), position))
        track_ranges, densities = _move_densities(world, before)
        is_in_range = _is_in_range(tracks[active, position, None], track_ranges)
        predicted = posteriors[active] @ INTENT_TRANSITIONS
        joint = predicted * np.einsum("bm,bim->bi", is_in_range, densities)
        evidence = joint.sum(axis=1, keepdims=True)
        is_possible = evidence > 0
        posteriors[active] = np.where(
            is_possible, joint / np.where(is_possible, evidence, 1), predicted
        )
    return posteriors


def _move_densities(world: World, histories: Histories) -> MoveDensities:
    """Densities of the moves under each intent, normalised over the tracks not yet used."""
    tracks, lengths = histories
    has_tracks = lengths > 0
    last = np.zeros(len(tracks), np.int32)
    last[has_tracks] = tracks[has_tracks, lengths[has_tracks] - 1]
    track_ranges = world.track_ranges(last)
    move_probabilities = np.where(
        has_tracks[:, None, None], MOVE_PROBABILITIES, FIRST_MOVE_PROBABILITIES
    )
    range_popularity = world.total_popularity(track_ranges)
    is_used = _is_in_range(tracks[:, None, :], track_ranges[:, :, None, :])
    used_popularity = np.einsum("bml,bl->bm", is_used, world.popularity[tracks])
    # Redrawing used tracks renormalises: divide by the probability of an unused track.
    unused_shares = np.maximum(1 - used_popularity / range_popularity, 0)
    unused_by_intent = np.einsum("bim,bm->bi", move_probabilities, unused_shares)
    return MoveDensities(
        track_ranges,
        move_probabilities / (range_popularity[:, None, :] * unused_by_intent[:, :, None]),
    )


def _is_in_range(
    tracks: Int32[np.ndarray, "..."], track_ranges: Int32[np.ndarray, "... 2"]
) -> Bool[np.ndarray, "..."]:
    """Whether tracks are in track ranges, with broadcasting; False for the padding -1."""
    return (tracks >= track_ranges[..., 0]) & (tracks < track_ranges[..., 1])


def _track_of_item_index(dataset: Dataset, world: World) -> Int32[np.ndarray, " indices"]:
    """Track number of each item index; -1 for special tokens and items that are not tracks."""
    options = pc.SetLookupOptions(numbered_ids("track", np.arange(world.n_tracks)))
    ids = dataset.items.table.column("item_id")
    tracks = np.full(N_SPECIALS + len(ids), -1, np.int32)
    tracks[N_SPECIALS:] = pc.call_function("index_in", [ids], options).fill_null(-1).to_numpy()
    return tracks


def _options(dataset: Dataset) -> DemoConfig:
    """The options of the built-in world that the dataset was drawn from."""
    source = dataset.manifest.source
    fingerprint = source.get("fingerprint", {})
    if source.get("format") != "demo":
        message = f"dataset {dataset.name} is of format {source.get('format')!r}, expected 'demo'"
        raise DatasetError(message, "the oracle exists for the built-in world only")
    if fingerprint.get("laws") != WORLD_VERSION:
        message = (
            f"dataset {dataset.name} was drawn from version {fingerprint.get('laws')!r} of the "
            f"built-in world, expected version {WORLD_VERSION}"
        )
        raise DatasetError(message, "prepare the built-in world again")
    try:
        return validated(DemoConfig, fingerprint["options"])
    except (KeyError, ConfigError) as error:
        message = f"dataset {dataset.name} does not have the options of its built-in world: {error}"
        raise DatasetError(message, "prepare the built-in world again") from None
