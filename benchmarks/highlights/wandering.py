"""Does generation wander into popular areas? Tracks by the place at which they were generated.

Forty tracks follow the first five of a playlist. Of each is measured how popular it is and
how near to the five: by artist, and by the training playlists that hold both. The same of
the playlist's own tracks at these places, of which those count that training saw; and of
another playlist's, which are what they are whatever the prompt was.
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
from highlights.generator import Generator, sampled
from segue.axes import N_SPECIALS, Ragged
from segue.baselines.sets import item_sets
from segue.dataset import Dataset

GIVEN = 5
EDGES = (0, 1, 5, 10, 20, 40)
"""Places are taken together between these: 1, 2 to 5, 6 to 10, ..."""

PLAYLIST, ANOTHER = "the playlist itself", "another playlist"

Lists = Int32[np.ndarray, "playlists places"]
PerPlace = Float64[np.ndarray, "playlists places"]


@dataclass(frozen=True)
class Surroundings:
    """What training says of the tracks of the catalogue.

    Attributes:
        counts: training events by item index.
        percentiles: share of the training events whose track is less popular, in percent,
            ties counting half: 50 in the mean over all training events.
        artists: a number for each item's artist, -1 for none; None without artists.
        held: (training playlists, table), 1 where a playlist holds a track.
    """

    counts: Int64[np.ndarray, " table"]
    percentiles: Float64[np.ndarray, " table"]
    artists: Int32[np.ndarray, " indices"] | None
    held: sparse.csc_matrix

    @classmethod
    def of(cls, data: Dataset) -> Surroundings:
        """Count over the training events of a dataset."""
        counts = data.items.training_counts[: data.table_size]
        held = sparse.csc_matrix(sparse.vstack(list(item_sets(data))))
        return cls(counts, percentiles_of(counts), data.items.codes("artist"), held)

    def figures(self, lists: Lists, prompts: Lists) -> dict[str, PerPlace]:
        """Every figure of every place; NaN for tracks outside the catalogue."""
        known = (lists >= N_SPECIALS) & (lists < len(self.counts))
        items = np.where(known, lists, 0)
        found = {
            "log_popularity": np.log1p(self.counts[items]),
            "percentile": self.percentiles[items],
        }
        if self.artists is not None:
            found["same_artist"] = same_artist(items, prompts, self.artists)
        cosine, together = self._together(items, prompts)
        found |= {"cosine": cosine, "ever_together": together}
        return {name: np.where(known, values, np.nan) for name, values in found.items()}

    def _together(self, items: Lists, prompts: Lists) -> tuple[PerPlace, PerPlace]:
        """The mean cosine of a track with the prompt's, and the share it ever stood beside.

        The cosine of two tracks is the number of training playlists with both over the root
        of the product of their numbers; NaN where training saw nothing of the prompt.
        """
        cosine, together = np.full((2, *items.shape), np.nan)
        for i, (tracks, prompt) in enumerate(zip(items, prompts, strict=True)):
            given = prompt[prompt < len(self.counts)]
            if not len(given):
                continue
            left, right = self.held[:, given], self.held[:, tracks]
            both = (left.T @ right).toarray()
            sizes = np.outer(left.sum(axis=0), right.sum(axis=0))
            cosine[i] = (both / np.sqrt(np.maximum(sizes, 1))).mean(axis=0)
            together[i] = (both > 0).mean(axis=0)
        return cosine, together


def percentiles_of(counts: Int64[np.ndarray, " table"]) -> Float64[np.ndarray, " table"]:
    """Share of all events whose item has a lower count, in percent; ties count half."""
    levels, of_item = np.unique(counts, return_inverse=True)
    events = np.bincount(of_item, weights=counts, minlength=len(levels))
    below = np.cumsum(events) - events / 2
    return 100 * below[of_item] / max(events.sum(), 1)


def same_artist(items: Lists, prompts: Lists, artists: Int32[np.ndarray, " indices"]) -> PerPlace:
    """1 where a track's artist is among those of the prompt."""
    found, given = artists[items], artists[prompts]
    return ((found[:, :, None] == given[:, None, :]) & (found >= 0)[:, :, None]).any(axis=2) * 1.0


def measure_wandering(
    models: Mapping[str, tuple[Generator, bool]],
    data: Dataset,
    rows: Int64[np.ndarray, " playlists"],
    length: int,
    seed: int,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Figures by place, and how they drift from the first five places to the last ones.

    Args:
        models: by what to call them, with whether each is told of the playlists.
        rows: playlists of at least ``GIVEN + length`` events.
        length: tracks to generate.
    """
    events = np.stack([data.sequences.row(row)[: GIVEN + length] for row in rows.tolist()])
    prompts, own = events[:, :GIVEN], events[:, GIVEN:]
    lists = {PLAYLIST: own, ANOTHER: np.roll(own, 1, axis=0)}
    for name, (model, is_told) in models.items():
        told = rows if is_told else None
        lists[name] = model.generate(Ragged.of(list(prompts)), length, sampled(seed), told)
    surroundings = Surroundings.of(data)
    edges = sorted({min(edge, length) for edge in EDGES})
    by_place, drift = [], []
    for name, tracks in lists.items():
        figures = surroundings.figures(tracks, prompts)
        for begin, end in pairwise(edges):
            said = str(end) if end == begin + 1 else f"{begin + 1} to {end}"
            row: dict[str, Any] = {"tracks": name, "playlists": len(rows), "places": said}
            row |= {key: estimate(of[:, begin:end], seed) for key, of in figures.items()}
            by_place.append(row)
        for key, of in figures.items():
            moved = difference(of[:, edges[-2] :], of[:, : EDGES[2]], seed)
            drift.append({"tracks": name, "figure": key, "last_less_first": moved})
    return by_place, drift
