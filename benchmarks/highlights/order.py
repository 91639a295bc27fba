"""Does the order of what is given matter? The same tracks, arranged in several ways.

The first ten tracks of a playlist are given in the playlist's own order, shuffled, and
shuffled save for the last, which tells the direction of a playlist from its last step.
Where items have a year, chronologically too.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Float64, Int, Int32, Int64

from highlights.estimates import difference, estimate, row_means
from highlights.generator import GREEDY, Generator, overlap, sampled
from segue import retrieval
from segue.axes import N_SPECIALS, Ragged
from segue.dataset import Dataset
from segue.losses import softmax_cross_entropy
from segue.metrics import HitPlaces, ndcg_lists

GIVEN = 10
REST = 10
"""Tracks that a playlist has at least beside those that are given."""
LIST = 100
ADDED = 10

OWN = "own"
Prompts = Int32[np.ndarray, "playlists given"]
Lists = Int32[np.ndarray, "playlists added"]
PerPlaylist = Float64[np.ndarray, " playlists"]


class Answers(NamedTuple):
    """What a model makes of one arrangement.

    Attributes:
        figures: per playlist, NaN where there is nothing to measure.
        greedy: ten tracks more.
        sampled: ten tracks more.
    """

    figures: dict[str, PerPlaylist]
    greedy: Lists
    sampled: Lists


def arrangements(
    prompts: Prompts, years: Float64[np.ndarray, " indices"] | None, seed: int
) -> dict[str, Prompts]:
    """The same tracks in several orders, the playlist's own first.

    Args:
        years: by item index, NaN where a track has none; such tracks come last in time.
    """
    random = np.random.default_rng(seed)
    shuffled = random.permuted(prompts, axis=1)
    last_kept = np.concatenate([random.permuted(prompts[:, :-1], axis=1), prompts[:, -1:]], axis=1)
    found = {OWN: prompts, "shuffled": shuffled, "shuffled, last kept": last_kept}
    if years is not None:
        order = np.argsort(years[prompts], axis=1, kind="stable")
        found["chronological"] = np.take_along_axis(prompts, order, axis=1)
    return found


def measure_order(
    model: Generator, data: Dataset, rows: Int64[np.ndarray, " playlists"], seed: int
) -> list[dict[str, Any]]:
    """The figures of each arrangement, and how far they lie above those of the own order.

    Overlaps are with the own order's lists; the own order's sampled one is with itself
    under another seed, which is how far chance alone takes it.
    """
    years = years_of(data)
    prompts = np.stack([data.sequences.row(row)[:GIVEN] for row in rows.tolist()])
    rests = [data.sequences.row(row)[GIVEN:] for row in rows.tolist()]
    answers = {
        name: _ask(model, arranged, rests, years, seed + (name != OWN))
        for name, arranged in arrangements(prompts, years, seed).items()
    }
    own = answers[OWN]
    again = model.generate(Ragged.of(list(prompts)), ADDED, sampled(seed + 1))
    found = []
    for name, answer in answers.items():
        redrawn = again if name == OWN else answer.sampled
        overlaps = {
            "greedy_overlap": overlap(own.greedy, answer.greedy),
            "sampled_overlap": overlap(own.sampled, redrawn),
        }
        for figure, values in (answer.figures | overlaps).items():
            row = {"order": name, "playlists": len(rows), "figure": figure}
            row["mean"], row["less_own"] = estimate(values, seed), None
            if name != OWN and figure in own.figures:
                row["less_own"] = difference(values, own.figures[figure], seed)
            found.append(row)
    return found


def _ask(
    model: Generator,
    prompts: Prompts,
    rests: list[np.ndarray],
    years: Float64[np.ndarray, " indices"] | None,
    seed: int,
) -> Answers:
    given = Ragged.of(list(prompts))
    hidden = model.hidden(given)
    table = model.network.output_table
    best = retrieval.top(hidden, table, given, min(LIST, len(table) - N_SPECIALS))
    followers = np.array([rest[0] for rest in rests], np.int32)
    greedy = model.generate(given, ADDED, GREEDY)
    figures = {
        "log_p_next": log_probabilities(hidden, table, _askable(followers, prompts, len(table))),
        f"ndcg@{LIST}": ndcg_of_rest(best.items, prompts, rests),
    }
    if years is not None:
        figures["years_later"] = _later(greedy, prompts, years)
    return Answers(figures, greedy, model.generate(given, ADDED, sampled(seed)))


def _askable(
    followers: Int32[np.ndarray, " playlists"], prompts: Prompts, table_size: int
) -> Int32[np.ndarray, " playlists"]:
    """The next tracks, -1 where they are unknown to the model or repeat one that is given."""
    repeats = (prompts == followers[:, None]).any(axis=1)
    return np.where(repeats | (followers >= table_size), np.int32(-1), followers)


def log_probabilities(
    hidden: Float[np.ndarray, "playlists dim"],
    table: Float[jax.Array, "table dim"],
    followers: Int32[np.ndarray, " playlists"],
) -> PerPlaylist:
    """Of the true next track, in nats; NaN for -1."""
    labels = jnp.asarray(np.maximum(followers, 0))
    losses = np.asarray(softmax_cross_entropy(jnp.asarray(hidden), table, labels))
    return np.where(followers >= 0, -losses.astype(np.float64), np.nan)


def ndcg_of_rest(
    items: Int[np.ndarray, "playlists places"], prompts: Prompts, rests: list[np.ndarray]
) -> PerPlaylist:
    """NDCG of lists against what else their playlist holds; unknown tracks are misses."""
    wanted = [np.setdiff1d(rest, given) for rest, given in zip(rests, prompts, strict=True)]
    hits = np.stack([np.isin(row, rest) for row, rest in zip(items, wanted, strict=True)])
    sizes = np.array([len(rest) for rest in wanted], np.int64)
    values = ndcg_lists(HitPlaces(hits, None, np.maximum(sizes, 1)))
    return np.where(sizes > 0, values, np.nan)


def years_of(data: Dataset) -> Float64[np.ndarray, " indices"] | None:
    """The year of each item by its index, NaN where it has none; None without such a column."""
    if "year" not in data.items.table.column_names:
        return None
    years = np.full(N_SPECIALS + len(data.items), np.nan)
    column = data.items.table.column("year").to_pylist()
    years[N_SPECIALS:] = [np.nan if year is None else year for year in column]
    return years


def _later(lists: Lists, prompts: Prompts, years: Float64[np.ndarray, " indices"]) -> PerPlaylist:
    """By how many years what follows is younger than what is given, in the mean."""
    return row_means(years[lists]) - row_means(years[prompts])
