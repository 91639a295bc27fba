"""The figures of each playlist highlight, on small lists with known values."""

from __future__ import annotations

import re
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from highlights.generator import (
    distinct_catalogue_prompts,
    generated_lengths,
    held_out_playlists,
    overlap,
)
from highlights.lengths import LONGEST, describe_lengths, describe_lists
from highlights.missingness import mask_tracks, recovered
from highlights.order import (
    OWN,
    log_probabilities,
    ndcg_of_rest,
    orders_of,
    years_of,
)
from highlights.season import NAMES, find_prompt, seasonal_items
from highlights.wandering import TrackStatistics, popularity_percentiles, same_artist
from hypothesis import given
from hypothesis import strategies as st

from segue.config import SplitConfig
from segue.dataset import Dataset
from segue.tokens import END, N_SPECIALS, PAD, UNK
from small_datasets import dataset_of, random_log

PROMPTS = np.arange(4, 64, dtype=np.int32).reshape(6, 10)


def test_overlap_ignores_order_and_padding() -> None:
    first = np.array([[4, 5, 6], [7, 8, PAD], [9, 4, 5]])
    second = np.array([[6, 4, 9], [PAD, 9, 4], [5, 4, 9]])
    assert overlap(first, second).tolist() == [2, 0, 3]


def test_generated_lists_end_at_the_first_special_token() -> None:
    lists = np.array([[4, 5, 6], [4, END, PAD], [END, PAD, PAD]])
    assert generated_lengths(lists).tolist() == [3, 1, 0]


def test_held_out_playlists_are_those_of_the_test_part(playlists: Dataset) -> None:
    rows = held_out_playlists(playlists, 10, 1000, seed=0)
    sequences = playlists.sequences
    expected = [
        row
        for row in range(len(sequences))
        if sequences.valid_end[row] == 0 and sequences.lengths[row] >= 10
    ]
    assert rows.tolist() == expected
    drawn = held_out_playlists(playlists, 10, 5, seed=1)
    assert len(drawn) == 5
    assert set(drawn) <= set(rows)
    assert drawn.tolist() == held_out_playlists(playlists, 10, 5, seed=1).tolist()


def test_a_dataset_without_held_out_playlists_is_refused(tmp_path: Path) -> None:
    log = {f"s{i}": ["a", "b", "c"] for i in range(4)}
    data = dataset_of(tmp_path, log, SplitConfig(kind="leave-one-out"))
    with pytest.raises(SystemExit, match="no test playlist of 2 tracks"):
        held_out_playlists(data, 2, 10, seed=0)


def test_prompts_are_distinct_catalogue_tracks(tmp_path: Path) -> None:
    log = {f"s{i}": ["a", "b", "c", "d"] for i in range(30)}
    log |= {f"t{i}": [f"new{i}", "b", "b", "a", "d"] for i in range(30)}
    data = dataset_of(tmp_path, log, SplitConfig(kind="holdout", test_share=0.5))
    rows = held_out_playlists(data, 4, 100, seed=0)
    prompts = distinct_catalogue_prompts(data, rows, 3)
    ids = {tuple(data.items.ids[i - N_SPECIALS] for i in prompt) for prompt in prompts}
    assert ids == {("a", "b", "c"), ("b", "a", "d")}
    with pytest.raises(SystemExit, match="has 9 catalogue tracks"):
        distinct_catalogue_prompts(data, rows, 9)


@given(st.integers(0, 5), st.integers(0, 2**31))
def test_the_given_number_of_tracks_is_masked(count: int, seed: int) -> None:
    prompts = PROMPTS[:, :5]
    masked_prompts = mask_tracks(prompts, count, seed)
    assert ((masked_prompts == UNK).sum(axis=1) == count).all()
    unmasked = masked_prompts != UNK
    assert (masked_prompts[unmasked] == prompts[unmasked]).all()


def test_only_masked_tracks_can_be_recovered() -> None:
    masked_tracks = np.array([[4, -1, 6], [-1, 8, 9]], np.int32)
    lists = np.array([[6, 5, 4], [7, 10, 9]], np.int32)
    assert recovered(lists, masked_tracks).tolist() == [2, 1]


def test_orders_contain_the_same_tracks() -> None:
    years = np.arange(100.0)[::-1].copy()
    years[7] = np.nan
    orders = orders_of(PROMPTS, years, seed=0)
    assert list(orders) == [OWN, "shuffled", "shuffled, last kept", "chronological"]
    for ordered in orders.values():
        np.testing.assert_array_equal(np.sort(ordered, axis=1), PROMPTS)
    np.testing.assert_array_equal(orders[OWN], PROMPTS)
    assert (orders["shuffled"] != PROMPTS).any(axis=1).all()
    np.testing.assert_array_equal(orders["shuffled, last kept"][:, -1], PROMPTS[:, -1])
    assert orders["chronological"][0].tolist() == [13, 12, 11, 10, 9, 8, 6, 5, 4, 7]
    assert "chronological" not in orders_of(PROMPTS, None, seed=0)


def test_log_probabilities_are_those_of_the_softmax() -> None:
    random = np.random.default_rng(0)
    hidden = random.normal(size=(3, 4)).astype(np.float32)
    embeddings = random.normal(size=(9, 4)).astype(np.float32)
    # PAD and START are not in the denominator; END and UNK are.
    scores = np.exp(hidden.astype(np.float64) @ embeddings[END:].T)
    expected = np.log(scores[[0, 1], [8 - END, 4 - END]] / scores[:2].sum(axis=1))
    labels = np.array([8, 4, -1], np.int32)
    values = log_probabilities(hidden, jnp.asarray(embeddings), labels)
    np.testing.assert_allclose(values[:2], expected, rtol=1e-5)
    assert np.isnan(values[2])


def test_targets_of_ndcg_are_the_tracks_that_were_not_given() -> None:
    prompts = np.array([[4, 5], [4, 5], [4, 5]], np.int32)
    rests = [np.array([6, 4, 7]), np.array([6, 8]), np.array([5, 4])]
    lists = np.array([[6, 7, 9], [9, 6, 10], [6, 7, 8]])
    values = ndcg_of_rest(lists, prompts, rests)
    second = (1 / np.log2(3)) / (1 + 1 / np.log2(3))
    np.testing.assert_allclose(values, [1, second, np.nan])


def test_years_are_by_item_index(playlists: Dataset, tmp_path: Path) -> None:
    years = years_of(playlists)
    assert years is not None
    assert np.isnan(years[:N_SPECIALS]).all()
    assert years[N_SPECIALS + 3] == playlists.items.table.column("year")[3].as_py()
    plain = dataset_of(tmp_path, {"s": ["a", "b", "c"]}, SplitConfig(kind="leave-one-out"))
    assert years_of(plain) is None


def test_a_track_is_seasonal_if_at_least_half_of_its_occurrences_are(playlists: Dataset) -> None:
    masks = seasonal_items(playlists, NAMES)
    sequences = playlists.sequences
    names = sequences.attributes.column("name").to_pylist()
    for index in range(N_SPECIALS + len(playlists.items)):
        occurrences = [
            bool(re.search(NAMES, names[row] or "", re.IGNORECASE))
            for row in range(len(sequences))
            for item in sequences.row(row).tolist()
            if item == index
        ]
        in_season = any(occurrences)
        assert masks.in_season[index] == in_season
        assert masks.seasonal[index] == (in_season and 2 * sum(occurrences) >= len(occurrences))
    assert 0 < masks.seasonal.sum() < masks.in_season.sum()


def test_the_title_of_the_prompt_is_matched_in_any_case(playlists: Dataset) -> None:
    masks = seasonal_items(playlists, NAMES)
    index = N_SPECIALS + 20
    [title] = playlists.items.titles([index])
    assert find_prompt(playlists, title.upper(), masks) == (index, "title")
    fallback = find_prompt(playlists, "no such song", masks)
    assert fallback == (np.flatnonzero(masks.seasonal)[0], "most frequent of the season")
    no_seasonal_items = seasonal_items(playlists, "no such name")
    assert find_prompt(playlists, "no such song", no_seasonal_items) is None


def test_the_mean_percentile_over_events_is_fifty() -> None:
    counts = np.array([0, 0, 5, 1, 1, 3])
    percentiles = popularity_percentiles(counts)
    np.testing.assert_allclose(percentiles, [0, 0, 75, 10, 10, 35])
    assert (counts * percentiles).sum() / counts.sum() == pytest.approx(50)


def test_a_track_without_an_artist_has_no_artist_in_common() -> None:
    artists = np.array([-1, -1, -1, -1, 0, 1, 1, -1, -1], np.int32)
    values = same_artist(np.array([[6, 4, 8]]), np.array([[5, 7]]), artists)
    assert values.tolist() == [[1, 0, 0]]


def test_track_statistics_agree_with_a_direct_count(tmp_path: Path) -> None:
    log = random_log(60, 80, seed=0)
    artists = {f"i{item}": f"a{item % 7}" for item in range(80)}
    data = dataset_of(tmp_path, log, SplitConfig(kind="holdout"), artists=artists)
    outside = data.vocabulary_size
    assert outside < N_SPECIALS + len(data.items)
    sequences = data.sequences
    training_sets = [
        set(sequences.row(row)[: sequences.train_end[row]].tolist())
        for row in range(len(sequences))
    ]
    prompts = np.array([[4, 9, 30], [50, outside, 12], [outside, outside, outside]], np.int32)
    lists = np.array([[5, 51, PAD], [4, outside, 7], [5, 6, 7]], np.int32)
    figures = TrackStatistics.of(data).figures(lists, prompts)
    for row, position in np.ndindex(lists.shape):
        track = int(lists[row, position])
        given = [item for item in prompts[row].tolist() if item != outside]
        cosine, together = _direct_count(training_sets, track, given)
        if track in (PAD, outside):
            cosine, together = np.nan, np.nan
        np.testing.assert_allclose(figures["cosine"][row, position], cosine, rtol=1e-5)
        np.testing.assert_allclose(figures["ever_together"][row, position], together)
    counts = data.items.training_counts
    np.testing.assert_allclose(figures["log_popularity"][2], np.log(1 + counts[[5, 6, 7]]))
    for name in ("same_artist", "percentile"):
        assert np.isnan(figures[name][[0, 1], [2, 1]]).all(), name
        assert np.isfinite(figures[name][2]).all(), name


def _direct_count(
    training_sets: list[set[int]], track: int, given: list[int]
) -> tuple[float, float]:
    """The mean cosine of a track with the given ones, and the share of them that it occurs with."""
    cosines, is_shared = [], []
    for item in given:
        both = sum(track in items and item in items for items in training_sets)
        product = sum(track in items for items in training_sets)
        product *= sum(item in items for items in training_sets)
        cosines.append(both / np.sqrt(product) if product else 0.0)
        is_shared.append(both > 0)
    return (np.mean(cosines), np.mean(is_shared)) if cosines else (np.nan, np.nan)


def test_lists_are_described_by_distinct_tracks_repeats_and_special_tokens() -> None:
    percentiles = np.linspace(0, 100, 11)
    lists = np.array([[4, 5, 6], [4, 7, 4], [8, END, PAD]], np.int32)
    description = describe_lists(lists, percentiles, seed=0)
    assert (description["n"], description["distinct_first"], description["special"]) == (3, 2, 2)
    assert description["repeats"] == 1
    assert description["distinct_share"] == pytest.approx(7 / 9, abs=1e-3)


def test_lengths_are_cut_to_the_longest_generated_one() -> None:
    description = describe_lengths(np.array([10, 20, LONGEST, LONGEST + 50]), seed=0)
    assert description["mean"].mean == (10 + 20 + 2 * LONGEST) / 4
    assert description["ended"] == 0.5
    assert description["median"] == (20 + LONGEST) / 2
