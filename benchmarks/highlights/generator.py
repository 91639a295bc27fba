"""A trained model that lengthens many playlists at once, and the playlists that it is given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int, Int32, Int64

from segue.axes import N_SPECIALS, Ragged
from segue.dataset import Dataset
from segue.dataset.parts import part_bounds
from segue.features import Bag
from segue.generation import Sampling, continue_sequences
from segue.ranking import Ranked
from segue.recommender import Network, Recommender

GREEDY = Sampling(temperature=0.0)


def sampled(seed: int, end_weight: float = 0.0) -> Sampling:
    """Among the best 50 at temperature 1, as the document generates."""
    return Sampling(temperature=1.0, top_k=50, end_weight=end_weight, seed=seed)


@dataclass(frozen=True)
class Generator:
    """A model and what it may be told of each playlist.

    Attributes:
        name: the run's.
        told: by row of the dataset.
    """

    name: str
    network: Network
    told: Bag

    @classmethod
    def load(cls, run: Path, data: Dataset) -> Generator:
        """Open a run that was trained on this very dataset.

        Raises:
            SystemExit: it was trained on another.
        """
        model = Recommender.load(run)
        if model.ranker(data).data_fingerprint != data.fingerprint:
            raise SystemExit(f"error: {run} was not trained on {data.path}")
        told = model.network.vocabulary.encode_rows(data.sequences)
        return cls(model.name, model.network, told)

    def generate(
        self,
        prompts: Ragged,
        length: int,
        sampling: Sampling,
        rows: Int64[np.ndarray, " playlists"] | None = None,
    ) -> Int32[np.ndarray, "playlists length"]:
        """Lengthen prompts by ``length`` tracks.

        One prompt alone gets the tracks of ``segue continue`` with the same seed.

        Args:
            rows: of the dataset, whose names and other attributes the model is told; it is
                told nothing when absent.
        """
        told = self._told(prompts, rows)

        def next_items(histories: Ragged, k: int) -> tuple[Ranked, Float32[np.ndarray, " batch"]]:
            return self.network.next_items(histories, told, histories, k)

        return continue_sequences(next_items, prompts, length, sampling).items

    def hidden(self, prompts: Ragged) -> Float32[np.ndarray, "playlists dim"]:
        """The state after each prompt, told nothing."""
        return self.network.hidden(prompts, self._told(prompts, None))

    def _told(self, prompts: Ragged, rows: Int64[np.ndarray, " playlists"] | None) -> Bag:
        if rows is None:
            return self.network.vocabulary.encode([{}] * prompts.n_rows)
        return self.told.take(rows)


def held_out(
    data: Dataset, shortest: int, limit: int, seed: int
) -> Int64[np.ndarray, " playlists"]:
    """Rows of test playlists with at least ``shortest`` events; a seeded draw of ``limit``.

    Raises:
        SystemExit: there is none, as where the split holds out events instead of playlists.
    """
    begins, ends = part_bounds(data.sequences, "test")
    rows = np.flatnonzero((begins == 0) & (ends >= shortest))
    if not len(rows):
        raise SystemExit(f"error: {data.path} has no test playlist of {shortest} tracks")
    if len(rows) <= limit:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, limit, replace=False))


def known_beginnings(
    data: Dataset, rows: Int64[np.ndarray, " playlists"], length: int
) -> Int32[np.ndarray, "found length"]:
    """The first different tracks of playlists that training saw too.

    A playlist with fewer of them is left out.

    Raises:
        SystemExit: none has as many.
    """
    found = []
    for row in rows.tolist():
        events = data.sequences.row(row)
        known = list(dict.fromkeys(events[events < data.table_size].tolist()))
        if len(known) >= length:
            found.append(known[:length])
    if not found:
        raise SystemExit(f"error: no test playlist of {data.path} has {length} known tracks")
    return np.array(found, np.int32)


def added(items: Int[np.ndarray, "playlists length"]) -> Int64[np.ndarray, " playlists"]:
    """How many tracks were generated before the end of each."""
    return np.count_nonzero(np.cumprod(items >= N_SPECIALS, axis=1), axis=1)


def overlap(
    first: Int[np.ndarray, "playlists length"], second: Int[np.ndarray, "playlists length"]
) -> Int64[np.ndarray, " playlists"]:
    """How many tracks two generations of each playlist share, in whatever order."""
    shared = [np.intersect1d(a[a >= N_SPECIALS], b) for a, b in zip(first, second, strict=True)]
    return np.array([len(tracks) for tracks in shared], np.int64)
