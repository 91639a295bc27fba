"""The best that anyone can do in the built-in world: the Bayes predictor.

It knows the laws of the world (``segue.sources.laws``) and sees the history, nothing
hidden. A playlist is a hidden Markov model whose state is its intent, so the forward
algorithm (Rabiner, 1989, "A tutorial on hidden Markov models") gives the exact posterior of
the intent, and the next track's distribution is the intents' own ones mixed by it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow.compute as pc
from jaxtyping import Bool, Float64, Int32, Int64

from segue.axes import N_SPECIALS
from segue.config import DemoConfig, validated
from segue.dataset import Dataset
from segue.errors import ConfigError, DatasetError
from segue.ranking import Queries, ScoringRanker
from segue.sources.discography import numbered
from segue.sources.laws import KERNELS, LAWS, OPENINGS, PRIOR, SWITCHES
from segue.sources.world import World


class Histories(NamedTuple):
    """What is known of playlists: different tracks in order, -1 beyond the last."""

    tracks: Int32[np.ndarray, "batch length"]
    lengths: Int64[np.ndarray, " batch"]


class Oracle(ScoringRanker):
    """Scores are exact probabilities of being the next track.

    Items outside the catalogue count as history like any other. Unknown items, those that an
    items file added, and repeats, which the world does not have, are passed over; what is no
    track of the world scores 0.
    """

    name = "oracle"

    def __init__(self, dataset: Dataset) -> None:
        """Build the world that a dataset was drawn from.

        Raises:
            DatasetError: it is none of the built-in world's, or one of other laws.
        """
        self._world = World.build(_options(dataset))
        self._track_of = _tracks(dataset, self._world)
        self.table_size = dataset.table_size
        self._strangers = np.flatnonzero(self._track_of[: self.table_size] < 0)

    def scores(self, queries: Queries) -> Float64[np.ndarray, "batch table"]:
        probabilities = predict(self._world, self._histories(queries))
        scores = np.zeros((len(queries), self.table_size))
        np.take(
            probabilities,
            self._track_of[N_SPECIALS : self.table_size],
            axis=1,
            out=scores[:, N_SPECIALS:],
        )
        scores[:, self._strangers] = 0
        return scores

    def _histories(self, queries: Queries) -> Histories:
        """Tracks of the world instead of item indices, each at its first place only."""
        count = len(queries)
        rows = np.repeat(np.arange(count), np.diff(queries.histories.offsets))
        tracks = self._track_of[queries.histories.values]
        rows, tracks = rows[tracks >= 0], tracks[tracks >= 0]
        _, first_places = np.unique(rows * self._world.n_tracks + tracks, return_index=True)
        first_places.sort()
        lengths = np.bincount(rows[first_places], minlength=count)
        padded = np.full((count, lengths.max(initial=0)), -1, dtype=np.int32)
        padded[np.arange(padded.shape[1]) < lengths[:, None]] = tracks[first_places]
        return Histories(padded, lengths)


class Laws(NamedTuple):
    """How playlists choose their next track, each intent by a law of its own.

    Under an intent a track that is not held yet has, for every move whose stretch it lies
    in, its popularity times that move's density as probability.
    """

    stretches: Int32[np.ndarray, "batch moves 2"]
    densities: Float64[np.ndarray, "batch intents moves"]


def predict(world: World, histories: Histories) -> Float64[np.ndarray, "batch tracks"]:
    """The distribution of each playlist's next track; 0 for those that it holds."""
    stretches, densities = _laws(world, histories)
    beliefs = filter_intents(world, histories) @ SWITCHES
    mixed = np.einsum("bi,bim->bm", beliefs, densities)
    # A density is constant on its stretch: mark where each begins and ends, and sum up. The
    # column beyond the last track takes what ends there, and the padding of the histories.
    found = np.zeros((len(mixed), world.n_tracks + 1))
    rows = np.arange(len(mixed))[:, None]
    np.add.at(found, (rows, stretches[..., 0]), mixed)
    np.subtract.at(found, (rows, stretches[..., 1]), mixed)
    np.cumsum(found, axis=1, out=found)
    np.put_along_axis(found, histories.tracks.astype(np.int64), 0, axis=1)
    # Where no move leads, the sum may leave a rounding error instead of 0.
    return np.maximum(found[:, :-1], 0) * world.weights


def filter_intents(world: World, histories: Histories) -> Float64[np.ndarray, "batch intents"]:
    """The posterior of the intent behind each playlist's last track, given all its tracks.

    Without a track it is the prior. A track that no intent explains changes nothing: the
    world has no such playlist.
    """
    tracks, lengths = histories
    beliefs = np.tile(PRIOR, (len(tracks), 1))
    for position in range(tracks.shape[1]):
        alive = np.flatnonzero(lengths > position)
        before = Histories(tracks[alive, :position], np.full(len(alive), position))
        stretches, densities = _laws(world, before)
        within = _within(tracks[alive, position, None], stretches)
        expected = beliefs[alive] @ SWITCHES
        joint = expected * np.einsum("bm,bim->bi", within, densities)
        evidence = joint.sum(axis=1, keepdims=True)
        possible = evidence > 0
        beliefs[alive] = np.where(possible, joint / np.where(possible, evidence, 1), expected)
    return beliefs


def _laws(world: World, histories: Histories) -> Laws:
    """The laws of the next track; each is the intent's kernel on what is not held yet."""
    tracks, lengths = histories
    started = lengths > 0
    last = np.zeros(len(tracks), np.int32)
    last[started] = tracks[started, lengths[started] - 1]
    stretches = world.stretches(last)
    kernels = np.where(started[:, None, None], KERNELS, OPENINGS)
    masses = world.masses(stretches)
    held = _within(tracks[:, None, :], stretches[:, :, None, :])
    taken = np.einsum("bml,bl->bm", held, world.weights[tracks])
    # To draw again what is held already is to divide by the share that is free.
    free_shares = np.maximum(1 - taken / masses, 0)
    free_of_intents = np.einsum("bim,bm->bi", kernels, free_shares)
    return Laws(stretches, kernels / (masses[:, None, :] * free_of_intents[:, :, None]))


def _within(
    tracks: Int32[np.ndarray, "..."], stretches: Int32[np.ndarray, "... 2"]
) -> Bool[np.ndarray, "..."]:
    """Whether stretches hold tracks, broadcast; none holds -1."""
    return (tracks >= stretches[..., 0]) & (tracks < stretches[..., 1])


def _tracks(dataset: Dataset, world: World) -> Int32[np.ndarray, " indices"]:
    """The world's track of each item index; -1 for special tokens, and for what is none."""
    options = pc.SetLookupOptions(numbered("track", np.arange(world.n_tracks)))
    ids = dataset.items.table.column("item_id")
    tracks = np.full(N_SPECIALS + len(ids), -1, np.int32)
    tracks[N_SPECIALS:] = pc.call_function("index_in", [ids], options).fill_null(-1).to_numpy()
    return tracks


def _options(dataset: Dataset) -> DemoConfig:
    source = dataset.manifest.source
    fingerprint = source.get("fingerprint", {})
    if source.get("format") != "demo":
        message = f"dataset {dataset.name} is of format {source.get('format')!r}, expected 'demo'"
        raise DatasetError(message, "there is an oracle for the built-in world only")
    if fingerprint.get("laws") != LAWS:
        message = f"dataset {dataset.name} has laws {fingerprint.get('laws')!r}, expected {LAWS}"
        raise DatasetError(message, "prepare the built-in world again")
    try:
        return validated(DemoConfig, fingerprint["options"])
    except (KeyError, ConfigError) as error:
        message = f"dataset {dataset.name} does not say which built-in world it is: {error}"
        raise DatasetError(message, "prepare the built-in world again") from None
