"""Batched generation with a trained model, and the held-out playlists that it continues."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int, Int32, Int64

from segue.dataset import Dataset
from segue.dataset.targets import SplitPart, part_bounds
from segue.features import stored_features
from segue.ragged import Ragged
from segue.ranking import Query
from segue.recommender import Ensemble, Recommender
from segue.recommender.generation import generate
from segue.recommender.sampling import Sampling
from segue.tokens import N_SPECIALS

GREEDY = Sampling(temperature=0.0)


def top_50_sampling(seed: int, end_weight: float = 0.0) -> Sampling:
    """Sampling from the best 50 items at temperature 1, as in playlist-decoder (trecs)."""
    return Sampling(temperature=1.0, top_k=50, end_weight=end_weight, seed=seed)


@dataclass(frozen=True)
class Generator:
    """A model with the sequence features of every playlist of its dataset.

    Attributes:
        name: name of the run.
        ensemble: the model.
        data: the dataset that it was trained on.
    """

    name: str
    ensemble: Ensemble
    data: Dataset

    @classmethod
    def load(cls, run: Path, data: Dataset) -> Generator:
        """Load a run that was trained on the dataset.

        Raises:
            SystemExit: it was trained on another dataset.
        """
        model = Recommender.load(run)
        if model.ranker(data).data_fingerprint != data.fingerprint:
            raise SystemExit(f"error: {run} was not trained on {data.path}")
        return cls(model.name, model.ensemble, data)

    def generate(
        self,
        prompts: Ragged,
        length: int,
        sampling: Sampling,
        rows: Int64[np.ndarray, " playlists"] | None = None,
    ) -> Int32[np.ndarray, "playlists length"]:
        """Generate ``length`` tracks after each prompt.

        For a single prompt the tracks are those of ``segue generate`` with the same seed.

        Args:
            prompts: item indices of the given tracks, one row per playlist.
            length: number of tracks to generate.
            sampling: how tracks are selected.
            rows: rows of the dataset whose sequence features the model gets; no features when
                None.
        """
        # A seed per playlist, so that their noise is independent.
        seeds = [sampling.seed, *([sampling.seed, row] for row in range(1, prompts.n_rows))]
        return generate(self.ensemble, self.query(prompts, rows), length, sampling, seeds).items

    def hidden(self, prompts: Ragged) -> Float32[np.ndarray, "playlists dim"]:
        """The hidden state after each prompt, without sequence features."""
        return self.ensemble.states(self.query(prompts))

    def query(self, prompts: Ragged, rows: Int64[np.ndarray, " playlists"] | None = None) -> Query:
        """Requests for what follows each prompt; see ``generate``."""
        features = None if rows is None else stored_features(self.data.sequences, rows)
        unknown = np.full(prompts.n_rows, -1)
        return Query(prompts, seen=prompts, rows=unknown, sequence_features=features)


def held_out_playlists(
    data: Dataset, min_length: int, limit: int, seed: int, part: SplitPart = "test"
) -> Int64[np.ndarray, " playlists"]:
    """Rows of complete playlists of a part, with at least ``min_length`` events.

    Args:
        data: a dataset with the split ``holdout``.
        min_length: smallest number of events.
        limit: largest number of rows; more are reduced by a draw with the seed.
        seed: seed of the draw.
        part: ``test``, or ``validation`` while there is still something to choose.

    Raises:
        SystemExit: there is none, for example because the split holds out events.
    """
    starts, ends = part_bounds(data.sequences, part)
    rows = np.flatnonzero((starts == 0) & (ends >= min_length))
    if not len(rows):
        raise SystemExit(f"error: {data.path} has no {part} playlist of {min_length} tracks")
    if len(rows) <= limit:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, limit, replace=False))


def distinct_catalogue_prompts(
    data: Dataset, rows: Int64[np.ndarray, " playlists"], length: int
) -> Int32[np.ndarray, "prompts length"]:
    """The first ``length`` distinct catalogue tracks of each playlist.

    Playlists with fewer such tracks are left out.

    Raises:
        SystemExit: no playlist has enough.
    """
    prompts = []
    for row in rows.tolist():
        events = data.sequences.row(row)
        tracks = list(dict.fromkeys(events[events < data.vocabulary_size].tolist()))
        if len(tracks) >= length:
            prompts.append(tracks[:length])
    if not prompts:
        raise SystemExit(f"error: no playlist of {data.path} has {length} catalogue tracks")
    return np.array(prompts, np.int32)


def generated_lengths(
    items: Int[np.ndarray, "playlists length"],
) -> Int64[np.ndarray, " playlists"]:
    """The number of tracks of each generated list before its first special token."""
    return np.count_nonzero(np.cumprod(items >= N_SPECIALS, axis=1), axis=1)


def overlap(
    first: Int[np.ndarray, "playlists length"], second: Int[np.ndarray, "playlists length"]
) -> Int64[np.ndarray, " playlists"]:
    """The number of tracks that two lists of each playlist have in common, in any order."""
    shared = [np.intersect1d(a[a >= N_SPECIALS], b) for a, b in zip(first, second, strict=True)]
    return np.array([len(tracks) for tracks in shared], np.int64)
