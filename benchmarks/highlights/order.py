"""Sensitivity to the order of the given tracks: the same tracks in several orders.

The first ten tracks of a playlist are given in the playlist's own order, shuffled, and shuffled
except for the last, because the last track alone may decide what follows. If items have a year,
they are given in chronological order too.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Float64, Int, Int32, Int64

from highlights.estimates import difference, estimate, row_means
from highlights.generator import GREEDY, Generator, overlap, top_50_sampling
from segue.dataset import Dataset
from segue.losses.softmax import softmax_cross_entropy
from segue.metrics import ListHits, ndcg_lists
from segue.ragged import Ragged
from segue.tokens import N_SPECIALS

GIVEN = 10
MIN_REST = 10
"""Smallest number of tracks of a playlist after the given ones."""
LIST_LENGTH = 100
"""Length of the ranked lists of which NDCG is computed."""
ADDED = 10
"""Generated tracks."""

OWN = "own"
"""Name of the playlist's own order."""
Prompts = Int32[np.ndarray, "playlists given"]
Lists = Int32[np.ndarray, "playlists added"]
PerPlaylist = Float64[np.ndarray, " playlists"]


class OrderOutcome(NamedTuple):
    """Metrics and continuations for one order of the given tracks.

    Attributes:
        figures: values per playlist by name, NaN where there is none.
        greedy: ``ADDED`` tracks of greedy generation.
        sampled: ``ADDED`` tracks of sampling.
    """

    figures: dict[str, PerPlaylist]
    greedy: Lists
    sampled: Lists


def orders_of(
    prompts: Prompts, years: Float64[np.ndarray, " indices"] | None, seed: int
) -> dict[str, Prompts]:
    """The same tracks in several orders, by name; the playlist's own order is first.

    Args:
        prompts: tracks in the playlist's own order.
        years: year by item index; a track with NaN is last in chronological order. None if items
            have no year.
        seed: seed of the shuffles.
    """
    random = np.random.default_rng(seed)
    shuffled = random.permuted(prompts, axis=1)
    last_kept = np.concatenate([random.permuted(prompts[:, :-1], axis=1), prompts[:, -1:]], axis=1)
    orders = {OWN: prompts, "shuffled": shuffled, "shuffled, last kept": last_kept}
    if years is not None:
        by_year = np.argsort(years[prompts], axis=1, kind="stable")
        orders["chronological"] = np.take_along_axis(prompts, by_year, axis=1)
    return orders


def measure_order(
    model: Generator, data: Dataset, rows: Int64[np.ndarray, " playlists"], seed: int
) -> list[dict[str, Any]]:
    """Metrics of each order of the given tracks, and their difference from the own order.

    Overlaps are with the lists generated after the own order. For the own order itself, the
    overlap of samples is that of two seeds, which shows the effect of sampling alone.

    Args:
        model: the model.
        data: its dataset.
        rows: rows of playlists of at least ``GIVEN + MIN_REST`` events.
        seed: seed of shuffles, sampling and bootstrap.
    """
    years = years_of(data)
    prompts = np.stack([data.sequences.row(row)[:GIVEN] for row in rows.tolist()])
    rests = [data.sequences.row(row)[GIVEN:] for row in rows.tolist()]
    outcomes = {
        name: _outcome(model, ordered, rests, years, seed + (name != OWN))
        for name, ordered in orders_of(prompts, years, seed).items()
    }
    own = outcomes[OWN]
    resampled = model.generate(Ragged.from_rows(list(prompts)), ADDED, top_50_sampling(seed + 1))
    table = []
    for name, outcome in outcomes.items():
        sampled = resampled if name == OWN else outcome.sampled
        overlaps = {
            "greedy_overlap": overlap(own.greedy, outcome.greedy),
            "sampled_overlap": overlap(own.sampled, sampled),
        }
        for figure, values in (outcome.figures | overlaps).items():
            row = {"order": name, "playlists": len(rows), "figure": figure}
            row["mean"], row["less_own"] = estimate(values, seed), None
            if name != OWN and figure in own.figures:
                row["less_own"] = difference(values, own.figures[figure], seed)
            table.append(row)
    return table


def _outcome(
    model: Generator,
    prompts: Prompts,
    rests: list[np.ndarray],
    years: Float64[np.ndarray, " indices"] | None,
    seed: int,
) -> OrderOutcome:
    given = Ragged.from_rows(list(prompts))
    hidden, embeddings = model.hidden(given), model.ensemble.item_vectors()
    n_catalogue = len(embeddings) - N_SPECIALS
    best = model.ensemble.top(model.query(given).with_k(min(LIST_LENGTH, n_catalogue)))
    next_tracks = np.array([rest[0] for rest in rests], np.int32)
    labels = _labels(next_tracks, prompts, len(embeddings))
    greedy = model.generate(given, ADDED, GREEDY)
    figures = {
        "log_p_next": log_probabilities(hidden, jnp.asarray(embeddings), labels),
        f"ndcg@{LIST_LENGTH}": ndcg_of_rest(best.items, prompts, rests),
    }
    if years is not None:
        figures["years_later"] = _years_later(greedy, prompts, years)
    return OrderOutcome(figures, greedy, model.generate(given, ADDED, top_50_sampling(seed)))


def _labels(
    next_tracks: Int32[np.ndarray, " playlists"], prompts: Prompts, vocabulary_size: int
) -> Int32[np.ndarray, " playlists"]:
    """The next tracks; -1 for tracks outside the catalogue and repeats of a given track."""
    is_repeat = (prompts == next_tracks[:, None]).any(axis=1)
    return np.where(is_repeat | (next_tracks >= vocabulary_size), np.int32(-1), next_tracks)


def log_probabilities(
    hidden: Float[np.ndarray, "playlists dim"],
    embeddings: Float[jax.Array, "vocabulary dim"],
    labels: Int32[np.ndarray, " playlists"],
) -> PerPlaylist:
    """Log probability of each label in the exact softmax, in nats; NaN for a label of -1."""
    valid_labels = jnp.asarray(np.maximum(labels, 0))
    losses = np.asarray(softmax_cross_entropy(jnp.asarray(hidden), embeddings, valid_labels))
    return np.where(labels >= 0, -losses.astype(np.float64), np.nan)


def ndcg_of_rest(
    items: Int[np.ndarray, "playlists positions"], prompts: Prompts, rests: list[np.ndarray]
) -> PerPlaylist:
    """NDCG of ranked lists, with the tracks of the rest that were not given as targets.

    Targets outside the catalogue are misses. NaN if the rest has no other tracks.
    """
    targets = [np.setdiff1d(rest, given) for rest, given in zip(rests, prompts, strict=True)]
    hits = np.stack([np.isin(row, rest) for row, rest in zip(items, targets, strict=True)])
    sizes = np.array([len(rest) for rest in targets], np.int64)
    values = ndcg_lists(ListHits(hits, None, np.maximum(sizes, 1)))
    return np.where(sizes > 0, values, np.nan)


def years_of(data: Dataset) -> Float64[np.ndarray, " indices"] | None:
    """The year of each item by item index, NaN if unknown; None if items have no year."""
    if "year" not in data.items.table.column_names:
        return None
    years = np.full(N_SPECIALS + len(data.items), np.nan)
    column = data.items.table.column("year").to_pylist()
    years[N_SPECIALS:] = [np.nan if year is None else year for year in column]
    return years


def _years_later(
    lists: Lists, prompts: Prompts, years: Float64[np.ndarray, " indices"]
) -> PerPlaylist:
    """Mean year of the generated tracks minus that of the given ones."""
    return row_means(years[lists]) - row_means(years[prompts])
