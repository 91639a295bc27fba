"""Drift of generated playlists: popularity and closeness to the prompt, by position.

Forty tracks are generated after the first five of a playlist. For each position the popularity of
the track is measured, and its closeness to the five: by artist, and by the training playlists that
contain both. There are two references. One is the playlist's own tracks at these positions, of
which only those in the catalogue count. The other is the tracks of another playlist, which do not
depend on the prompt.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Float64, Int32, Int64
from scipy import sparse

from highlights.estimates import difference, estimate
from highlights.generator import Generator, top_50_sampling
from segue.baselines.interaction_matrix import interaction_matrices
from segue.dataset import Dataset
from segue.ragged import Ragged
from segue.tokens import N_SPECIALS

GIVEN = 5
EDGES = (0, 1, 5, 10, 20, 40)
"""Bounds of the groups of positions: 1, 2 to 5, 6 to 10, ..."""

PLAYLIST, ANOTHER = "the playlist itself", "another playlist"

Lists = Int32[np.ndarray, "playlists positions"]
PerPosition = Float64[np.ndarray, "playlists positions"]


@dataclass(frozen=True)
class TrackStatistics:
    """Statistics of the catalogue tracks over the training events of a dataset.

    Attributes:
        counts: training events by item index.
        percentiles: the share of training events whose track is less popular, in percent, by
            item index; ties count half, so the mean over all training events is 50.
        artists: a code of each item's artist, -1 for none; None if items have no artist.
        interactions: (training playlists, vocabulary) matrix, 1 where a playlist contains a
            track.
    """

    counts: Int64[np.ndarray, " vocabulary"]
    percentiles: Float64[np.ndarray, " vocabulary"]
    artists: Int32[np.ndarray, " indices"] | None
    interactions: sparse.csc_matrix

    @classmethod
    def of(cls, data: Dataset) -> TrackStatistics:
        """Compute the statistics of a dataset."""
        counts = data.items.training_counts[: data.vocabulary_size]
        interactions = sparse.csc_matrix(sparse.vstack(list(interaction_matrices(data))))
        artists = data.items.category_codes("artist")
        return cls(counts, popularity_percentiles(counts), artists, interactions)

    def figures(self, lists: Lists, prompts: Lists) -> dict[str, PerPosition]:
        """Every figure of every position by name; NaN for tracks outside the catalogue."""
        in_catalogue = (lists >= N_SPECIALS) & (lists < len(self.counts))
        items = np.where(in_catalogue, lists, 0)
        figures = {
            "log_popularity": np.log1p(self.counts[items]),
            "percentile": self.percentiles[items],
        }
        if self.artists is not None:
            figures["same_artist"] = same_artist(items, prompts, self.artists)
        cosine, together = self._co_occurrence(items, prompts)
        figures |= {"cosine": cosine, "ever_together": together}
        return {name: np.where(in_catalogue, values, np.nan) for name, values in figures.items()}

    def _co_occurrence(self, items: Lists, prompts: Lists) -> tuple[PerPosition, PerPosition]:
        """Co-occurrence of each track with the tracks of its prompt, in training playlists.

        Returns:
            The mean cosine with the tracks of the prompt, and the share of these tracks that occur
            with it in at least one playlist. The cosine of two tracks is the number of playlists
            that contain both, divided by the root of the product of their numbers. NaN if no track
            of the prompt is in the catalogue.
        """
        cosine, together = np.full((2, *items.shape), np.nan)
        for i, (tracks, prompt) in enumerate(zip(items, prompts, strict=True)):
            given = prompt[prompt < len(self.counts)]
            if not len(given):
                continue
            given_columns = self.interactions[:, given]
            track_columns = self.interactions[:, tracks]
            both = (given_columns.T @ track_columns).toarray()
            sizes = np.outer(given_columns.sum(axis=0), track_columns.sum(axis=0))
            cosine[i] = (both / np.sqrt(np.maximum(sizes, 1))).mean(axis=0)
            together[i] = (both > 0).mean(axis=0)
        return cosine, together


def popularity_percentiles(
    counts: Int64[np.ndarray, " vocabulary"],
) -> Float64[np.ndarray, " vocabulary"]:
    """The share of all events whose item has a lower count, in percent; ties count half."""
    levels, level_of_item = np.unique(counts, return_inverse=True)
    events = np.bincount(level_of_item, weights=counts, minlength=len(levels))
    below = np.cumsum(events) - events / 2
    return 100 * below[level_of_item] / max(events.sum(), 1)


def same_artist(
    items: Lists, prompts: Lists, artists: Int32[np.ndarray, " indices"]
) -> PerPosition:
    """1 where the artist of a track is among those of the prompt, else 0."""
    codes, given = artists[items], artists[prompts]
    return ((codes[:, :, None] == given[:, None, :]) & (codes >= 0)[:, :, None]).any(axis=2) * 1.0


def measure_wandering(
    models: Mapping[str, tuple[Generator, bool]],
    data: Dataset,
    rows: Int64[np.ndarray, " playlists"],
    length: int,
    seed: int,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Figures by position, and their drift.

    Args:
        models: models by name in the table, each with whether it gets the sequence features of
            the playlists.
        data: the dataset.
        rows: rows of playlists of at least ``GIVEN + length`` events.
        length: number of tracks to generate.
        seed: seed of sampling and bootstrap.

    Returns:
        One row per list of tracks and group of positions; and one row per list of tracks and
        figure, with the mean of the last group of positions minus that of the first five.
    """
    events = np.stack([data.sequences.row(row)[: GIVEN + length] for row in rows.tolist()])
    prompts, rests = events[:, :GIVEN], events[:, GIVEN:]
    lists = {PLAYLIST: rests, ANOTHER: np.roll(rests, 1, axis=0)}
    for name, (model, use_sequence_features) in models.items():
        feature_rows = rows if use_sequence_features else None
        lists[name] = model.generate(
            Ragged.from_rows(list(prompts)), length, top_50_sampling(seed), feature_rows
        )
    statistics = TrackStatistics.of(data)
    edges = sorted({min(edge, length) for edge in EDGES})
    by_position, drift = [], []
    for name, tracks in lists.items():
        figures = statistics.figures(tracks, prompts)
        for start, end in pairwise(edges):
            positions = str(end) if end == start + 1 else f"{start + 1} to {end}"
            row: dict[str, Any] = {"tracks": name, "playlists": len(rows), "positions": positions}
            row |= {key: estimate(values[:, start:end], seed) for key, values in figures.items()}
            by_position.append(row)
        for key, values in figures.items():
            last_less_first = difference(values[:, edges[-2] :], values[:, : EDGES[2]], seed)
            drift.append({"tracks": name, "figure": key, "last_less_first": last_less_first})
    return by_position, drift
