"""The figures of each highlight, on lists whose answer can be seen."""

from __future__ import annotations

import re
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from highlights.generator import added, held_out, known_beginnings, overlap
from highlights.lengths import LONGEST, described, spread
from highlights.missingness import masked, recovered
from highlights.order import (
    OWN,
    arrangements,
    log_probabilities,
    ndcg_of_rest,
    years_of,
)
from highlights.season import NAMES, find_prompt, season
from highlights.wandering import Surroundings, percentiles_of, same_artist
from hypothesis import given
from hypothesis import strategies as st

from segue.axes import END, N_SPECIALS, PAD, UNK
from segue.config import SplitConfig
from segue.dataset import Dataset
from small_datasets import dataset_of, random_log

PROMPTS = np.arange(4, 64, dtype=np.int32).reshape(6, 10)


def test_tracks_are_shared_whatever_their_order() -> None:
    first = np.array([[4, 5, 6], [7, 8, PAD], [9, 4, 5]])
    second = np.array([[6, 4, 9], [PAD, 9, 4], [5, 4, 9]])
    assert overlap(first, second).tolist() == [2, 0, 3]


def test_what_was_added_ends_at_the_first_special_token() -> None:
    lists = np.array([[4, 5, 6], [4, END, PAD], [END, PAD, PAD]])
    assert added(lists).tolist() == [3, 1, 0]


def test_held_out_playlists_are_those_of_the_test_part(playlists: Dataset) -> None:
    rows = held_out(playlists, 10, 1000, seed=0)
    sequences = playlists.sequences
    expected = [
        row
        for row in range(len(sequences))
        if sequences.valid_end[row] == 0 and sequences.lengths[row] >= 10
    ]
    assert rows.tolist() == expected
    drawn = held_out(playlists, 10, 5, seed=1)
    assert len(drawn) == 5
    assert set(drawn) <= set(rows)
    assert drawn.tolist() == held_out(playlists, 10, 5, seed=1).tolist()


def test_a_dataset_without_held_out_playlists_is_refused(tmp_path: Path) -> None:
    log = {f"s{i}": ["a", "b", "c"] for i in range(4)}
    data = dataset_of(tmp_path, log, SplitConfig(kind="leave-one-out"))
    with pytest.raises(SystemExit, match="no test playlist of 2 tracks"):
        held_out(data, 2, 10, seed=0)


def test_beginnings_hold_different_tracks_that_training_saw(tmp_path: Path) -> None:
    log = {f"s{i}": ["a", "b", "c", "d"] for i in range(30)}
    log |= {f"t{i}": [f"new{i}", "b", "b", "a", "d"] for i in range(30)}
    data = dataset_of(tmp_path, log, SplitConfig(kind="holdout", test_share=0.5))
    rows = held_out(data, 4, 100, seed=0)
    found = known_beginnings(data, rows, 3)
    ids = {tuple(data.items.ids[i - N_SPECIALS] for i in prompt) for prompt in found}
    assert ids == {("a", "b", "c"), ("b", "a", "d")}
    with pytest.raises(SystemExit, match="has 9 known tracks"):
        known_beginnings(data, rows, 9)


@given(st.integers(0, 5), st.integers(0, 2**31))
def test_as_many_tracks_are_masked_as_asked_and_the_others_stay(count: int, seed: int) -> None:
    found = masked(PROMPTS[:, :5], count, seed)
    assert ((found == UNK).sum(axis=1) == count).all()
    kept = found != UNK
    assert (found[kept] == PROMPTS[:, :5][kept]).all()


def test_only_masked_tracks_can_be_recovered() -> None:
    hidden = np.array([[4, -1, 6], [-1, 8, 9]], np.int32)
    lists = np.array([[6, 5, 4], [7, 10, 9]], np.int32)
    assert recovered(lists, hidden).tolist() == [2, 1]


def test_arrangements_hold_the_same_tracks() -> None:
    years = np.arange(100.0)[::-1].copy()
    years[7] = np.nan
    found = arrangements(PROMPTS, years, seed=0)
    assert list(found) == [OWN, "shuffled", "shuffled, last kept", "chronological"]
    for arranged in found.values():
        np.testing.assert_array_equal(np.sort(arranged, axis=1), PROMPTS)
    np.testing.assert_array_equal(found[OWN], PROMPTS)
    assert (found["shuffled"] != PROMPTS).any(axis=1).all()
    np.testing.assert_array_equal(found["shuffled, last kept"][:, -1], PROMPTS[:, -1])
    assert found["chronological"][0].tolist() == [13, 12, 11, 10, 9, 8, 6, 5, 4, 7]
    assert "chronological" not in arrangements(PROMPTS, None, seed=0)


def test_log_probabilities_are_those_of_the_softmax() -> None:
    random = np.random.default_rng(0)
    hidden = random.normal(size=(3, 4)).astype(np.float32)
    table = random.normal(size=(9, 4)).astype(np.float32)
    # PAD and START are never predicted; END and UNK may be.
    scores = np.exp(hidden.astype(np.float64) @ table[END:].T)
    expected = np.log(scores[[0, 1], [8 - END, 4 - END]] / scores[:2].sum(axis=1))
    found = log_probabilities(hidden, jnp.asarray(table), np.array([8, 4, -1], np.int32))
    np.testing.assert_allclose(found[:2], expected, rtol=1e-5)
    assert np.isnan(found[2])


def test_the_rest_of_a_playlist_is_what_was_not_given() -> None:
    prompts = np.array([[4, 5], [4, 5], [4, 5]], np.int32)
    rests = [np.array([6, 4, 7]), np.array([6, 8]), np.array([5, 4])]
    lists = np.array([[6, 7, 9], [9, 6, 10], [6, 7, 8]])
    found = ndcg_of_rest(lists, prompts, rests)
    second = (1 / np.log2(3)) / (1 + 1 / np.log2(3))
    np.testing.assert_allclose(found, [1, second, np.nan])


def test_years_stand_by_item_index(playlists: Dataset, tmp_path: Path) -> None:
    years = years_of(playlists)
    assert years is not None
    assert np.isnan(years[:N_SPECIALS]).all()
    assert years[N_SPECIALS + 3] == playlists.items.table.column("year")[3].as_py()
    plain = dataset_of(tmp_path, {"s": ["a", "b", "c"]}, SplitConfig(kind="leave-one-out"))
    assert years_of(plain) is None


def test_a_track_lives_where_at_least_half_of_its_occurrences_are(playlists: Dataset) -> None:
    found = season(playlists, NAMES)
    sequences = playlists.sequences
    names = sequences.attributes.column("name").to_pylist()
    for index in range(N_SPECIALS + len(playlists.items)):
        holders = [
            bool(re.search(NAMES, names[row] or "", re.IGNORECASE))
            for row in range(len(sequences))
            for item in sequences.row(row).tolist()
            if item == index
        ]
        assert found.visits[index] == any(holders)
        assert found.lives[index] == (any(holders) and 2 * sum(holders) >= len(holders))
    assert 0 < found.lives.sum() < found.visits.sum()


def test_the_prompt_is_found_by_its_title_in_any_case(playlists: Dataset) -> None:
    found = season(playlists, NAMES)
    index = N_SPECIALS + 20
    [title] = playlists.items.titles([index])
    assert find_prompt(playlists, title.upper(), found) == (index, "title")
    instead = find_prompt(playlists, "no such song", found)
    assert instead == (np.flatnonzero(found.lives)[0], "most frequent of the season")
    assert find_prompt(playlists, "no such song", season(playlists, "no such name")) is None


def test_percentiles_are_fifty_in_the_mean_over_events() -> None:
    counts = np.array([0, 0, 5, 1, 1, 3])
    found = percentiles_of(counts)
    np.testing.assert_allclose(found, [0, 0, 75, 10, 10, 35])
    assert (counts * found).sum() / counts.sum() == pytest.approx(50)


def test_a_track_without_artist_is_by_none_of_the_prompt() -> None:
    artists = np.array([-1, -1, -1, -1, 0, 1, 1, -1, -1], np.int32)
    found = same_artist(np.array([[6, 4, 8]]), np.array([[5, 7]]), artists)
    assert found.tolist() == [[1, 0, 0]]


def test_neighbourhoods_are_those_of_a_slow_count(tmp_path: Path) -> None:
    log = random_log(60, 80, seed=0)
    artists = {f"i{item}": f"a{item % 7}" for item in range(80)}
    data = dataset_of(tmp_path, log, SplitConfig(kind="holdout"), artists=artists)
    unseen = data.table_size
    assert unseen < N_SPECIALS + len(data.items)
    sequences = data.sequences
    trained = [
        set(sequences.row(row)[: sequences.train_end[row]].tolist())
        for row in range(len(sequences))
    ]
    prompts = np.array([[4, 9, 30], [50, unseen, 12], [unseen, unseen, unseen]], np.int32)
    lists = np.array([[5, 51, PAD], [4, unseen, 7], [5, 6, 7]], np.int32)
    found = Surroundings.of(data).figures(lists, prompts)
    for row, place in np.ndindex(lists.shape):
        track = int(lists[row, place])
        cosine, together = _slow(trained, track, prompts[row].tolist(), unseen)
        if track in (PAD, unseen):
            cosine, together = np.nan, np.nan
        np.testing.assert_allclose(found["cosine"][row, place], cosine, rtol=1e-5)
        np.testing.assert_allclose(found["ever_together"][row, place], together)
    counts = data.items.training_counts
    np.testing.assert_allclose(found["log_popularity"][2], np.log(1 + counts[[5, 6, 7]]))
    for name in ("same_artist", "percentile"):
        assert np.isnan(found[name][[0, 1], [2, 1]]).all(), name
        assert np.isfinite(found[name][2]).all(), name


def _slow(
    trained: list[set[int]], track: int, prompt: list[int], unseen: int
) -> tuple[float, float]:
    cosines, shared = [], []
    for other in prompt:
        if other == unseen:
            continue
        both = sum(track in held and other in held for held in trained)
        product = sum(track in held for held in trained) * sum(other in held for held in trained)
        cosines.append(both / np.sqrt(product) if product else 0.0)
        shared.append(both > 0)
    return (np.mean(cosines), np.mean(shared)) if cosines else (np.nan, np.nan)


def test_beginnings_are_described_by_what_they_hold() -> None:
    percentiles = np.linspace(0, 100, 11)
    lists = np.array([[4, 5, 6], [4, 7, 4], [8, END, PAD]], np.int32)
    found = described(lists, percentiles, seed=0)
    assert (found["n"], found["distinct_first"], found["special"]) == (3, 2, 2)
    assert found["repeats"] == 1
    assert found["distinct_share"] == pytest.approx(7 / 9, abs=1e-3)


def test_lengths_are_cut_alike() -> None:
    found = spread(np.array([10, 20, LONGEST, LONGEST + 50]), seed=0)
    assert found["mean"].mean == (10 + 20 + 2 * LONGEST) / 4
    assert found["ended"] == 0.5
    assert found["median"] == (20 + LONGEST) / 2
