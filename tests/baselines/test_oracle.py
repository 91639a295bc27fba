"""The oracle against enumeration of all intents, the generator and the other baselines."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue import baselines
from segue.baselines.oracle import Histories, Oracle, filter_intents, next_track_probabilities
from segue.config import DemoConfig, PrepareConfig, SourceConfig
from segue.dataset import Dataset
from segue.errors import DatasetError
from segue.preparation import prepare
from segue.ragged import Ragged
from segue.ranking import Query
from segue.synthetic.generative_model import (
    FIRST_MOVE_PROBABILITIES,
    INTENT_PRIOR,
    INTENT_TRANSITIONS,
    MOVE_PROBABILITIES,
    Intent,
    Move,
)
from segue.synthetic.playlists import draw_playlists
from segue.synthetic.world import World
from segue.tokens import N_SPECIALS, UNK

TINY = DemoConfig(sequences=40_000, items=100, mean_length=6, seed=1)
WORLD = World.build(TINY)


def histories_of(rows: list[list[int]]) -> Histories:
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    tracks = np.full((len(rows), lengths.max(initial=0)), -1, dtype=np.int32)
    for padded, row in zip(tracks, rows, strict=True):
        padded[: len(row)] = row
    return Histories(tracks, lengths)


def track_probabilities(used: list[int], intent: int) -> np.ndarray:
    """The distribution of the next track under one intent, computed track by track."""
    moves = MOVE_PROBABILITIES[intent] if used else FIRST_MOVE_PROBABILITIES[intent]
    probabilities = np.zeros(WORLD.n_tracks)
    for move in Move:
        start, end = WORLD.track_ranges(np.array(used[-1:] or [0]))[0, move]
        popularity = WORLD.popularity[start:end]
        probabilities[start:end] += moves[move] * popularity / popularity.sum()
    probabilities[used] = 0
    return probabilities / probabilities.sum()


def probabilities_by_enumeration(history: list[int]) -> np.ndarray:
    """The distribution of the next track, summed over all sequences of intents."""
    total = np.zeros(WORLD.n_tracks)
    probabilities = [
        [track_probabilities(history[:step], intent) for intent in Intent]
        for step in range(len(history) + 1)
    ]
    for path in itertools.product(Intent, repeat=len(history) + 1):
        probability = INTENT_PRIOR[path[0]]
        for before, after in itertools.pairwise(path):
            probability *= INTENT_TRANSITIONS[before, after]
        for step, track in enumerate(history):
            probability *= probabilities[step][path[step]][track]
        total += probability * probabilities[-1][path[-1]]
    return total / total.sum()


POPULAR = int(WORLD.popularity[: WORLD.layout.first_christmas_track].argmax())
CAROL = WORLD.layout.first_christmas_track


class TestFilter:
    @pytest.mark.parametrize(
        "history",
        [
            [],
            [POPULAR],
            [CAROL],
            [POPULAR, POPULAR + 1],
            [3, 30, 60],
            [CAROL, CAROL + 1, 5],
            [5, CAROL, 6],
            [40, 41, 42, 43],
        ],
    )
    def test_probabilities_equal_the_sum_over_all_intents(self, history: list[int]) -> None:
        expected = probabilities_by_enumeration(history)
        result = next_track_probabilities(WORLD, histories_of([history]))[0]
        np.testing.assert_allclose(result, expected, rtol=1e-9, atol=1e-15)

    @given(st.lists(st.integers(0, 99), min_size=1, max_size=3, unique=True))
    def test_random_histories_equal_the_sum_over_all_intents(self, history: list[int]) -> None:
        expected = probabilities_by_enumeration(history)
        result = next_track_probabilities(WORLD, histories_of([history]))[0]
        np.testing.assert_allclose(result, expected, rtol=1e-9, atol=1e-15)

    @given(st.lists(st.lists(st.integers(0, 99), max_size=12, unique=True), max_size=6))
    def test_probabilities_sum_to_one_over_unused_tracks(self, rows: list[list[int]]) -> None:
        result = next_track_probabilities(WORLD, histories_of(rows))
        assert (result >= 0).all()
        np.testing.assert_allclose(result.sum(axis=1), 1, rtol=1e-9)
        for probabilities, row in zip(result, rows, strict=True):
            assert (probabilities[row] == 0).all()

    @given(st.lists(st.lists(st.integers(0, 99), max_size=9, unique=True), min_size=1, max_size=4))
    def test_probabilities_do_not_depend_on_the_other_playlists(
        self, rows: list[list[int]]
    ) -> None:
        together = next_track_probabilities(WORLD, histories_of(rows))
        alone = np.concatenate(
            [next_track_probabilities(WORLD, histories_of([row])) for row in rows]
        )
        np.testing.assert_allclose(together, alone, rtol=1e-9, atol=1e-14)

    def test_posteriors_are_distributions(self) -> None:
        playlists = draw_playlists(WORLD, TINY, 5, 300)
        result = filter_intents(WORLD, Histories(playlists.tracks, playlists.lengths))
        np.testing.assert_allclose(result.sum(axis=1), 1, rtol=1e-9)

    def test_a_carol_reveals_the_seasonal_intent(self) -> None:
        result = filter_intents(WORLD, histories_of([[CAROL], [7, CAROL], [7]]))
        assert result[0, Intent.SEASONAL] == 1
        assert result[1, Intent.SEASONAL] == 1
        assert result[2, Intent.SEASONAL] < INTENT_PRIOR[Intent.SEASONAL]

    def test_steps_in_one_direction_reveal_the_intent(self) -> None:
        world = World.build(DemoConfig())
        line = [0]
        for _ in range(5):
            start, end = world.track_ranges(np.array(line[-1:]))[0, Move.LATER]
            line.append(int(start + world.popularity[start:end].argmax()))
        result = filter_intents(world, histories_of([line]))[0]
        assert result.argmax() == Intent.LATER_DECADES
        assert result[Intent.LATER_DECADES] > 0.95

    def test_no_playlists(self) -> None:
        assert next_track_probabilities(WORLD, histories_of([])).shape == (0, WORLD.n_tracks)


@pytest.fixture(scope="module")
def playlists() -> Histories:
    drawn = draw_playlists(WORLD, TINY, 0, TINY.sequences)
    return Histories(drawn.tracks, drawn.lengths)


class TestAgainstTheGenerator:
    """Frequencies of generated playlists against the probabilities of the oracle."""

    @pytest.mark.parametrize("opening", [[], [POPULAR], ["often", "often"], [CAROL]])
    def test_continuations_of_one_history(self, playlists: Histories, opening: list) -> None:
        history: list[int] = []
        tracks = playlists.tracks
        for track in opening:
            chosen = np.bincount(tracks[:, len(history)]).argmax() if track == "often" else track
            tracks = tracks[tracks[:, len(history)] == chosen]
            history.append(int(chosen))
        following = tracks[:, len(history)]
        expected = next_track_probabilities(WORLD, histories_of([history]))[0]
        result = np.bincount(following, minlength=WORLD.n_tracks) / len(following)
        assert len(following) > 50
        # Upper bound on the mean of the sum of |result - expected| under the same distribution.
        mean = np.sqrt(2 / np.pi * expected * (1 - expected) / len(following)).sum()
        assert abs(result - expected).sum() < 1.35 * mean
        assert (result[expected == 0] == 0).all()

    def test_calibration_at_every_position(self, playlists: Histories) -> None:
        # The mean of p(next track) is the sum of p squared.
        for position in range(1, 12):
            rows = np.flatnonzero(playlists.lengths > position)[:4_000]
            before = Histories(playlists.tracks[rows, :position], np.full(len(rows), position))
            probabilities = next_track_probabilities(WORLD, before)
            of_next = probabilities[np.arange(len(rows)), playlists.tracks[rows, position]]
            surplus = of_next - (probabilities**2).sum(axis=1)
            assert (of_next > 0).all()
            assert abs(surplus.mean()) < 4 * surplus.std() / len(rows) ** 0.5


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    world = DemoConfig(sequences=250, items=600, mean_length=20, seed=2)
    config = PrepareConfig(source=SourceConfig(demo=world))
    return prepare(None, tmp_path_factory.mktemp("oracle") / "data", config=config)


@pytest.fixture(scope="module")
def oracle(data: Dataset) -> Oracle:
    return Oracle(data)


def queries_of(rows: list[list[int]]) -> Query:
    histories = Ragged.from_rows(rows)
    return Query(histories, histories, np.full(len(rows), -1))


class TestOracle:
    def test_scores_are_the_probabilities_by_item_index(
        self, data: Dataset, oracle: Oracle
    ) -> None:
        world = World.build(DemoConfig(sequences=250, items=600, mean_length=20, seed=2))
        history = ["track-0000010", "track-0000250", "track-0000400"]
        expected = next_track_probabilities(world, histories_of([[10, 250, 400]]))[0]
        scores = oracle.scores(queries_of([data.items.find(history).tolist()]))[0]
        assert scores.shape == (data.vocabulary_size,)
        for index in range(N_SPECIALS, data.vocabulary_size):
            track = int(data.items.ids[index - N_SPECIALS].removeprefix("track-"))
            assert scores[index] == expected[track]

    def test_items_that_are_no_tracks_of_the_world_score_zero(self, tmp_path: Path) -> None:
        extra = tmp_path / "extra.csv"
        other_items = ["hymn", "track-9999999", "track-7", "song-0000003"]
        extra.write_text("\n".join(["item_id", *other_items]) + "\n")
        options = {
            "source": {"items_file": str(extra), "demo": {"sequences": 250, "items": 600}},
            "split": {"catalogue": "all"},
        }
        data = prepare(None, tmp_path / "data", config=PrepareConfig.model_validate(options))
        indices = data.items.find(other_items)
        assert (indices < data.vocabulary_size).all()
        history = data.items.find(["track-0000010"]).tolist()
        scores = Oracle(data).scores(queries_of([history, [*indices.tolist(), *history]]))
        assert (scores[:, indices] == 0).all()
        np.testing.assert_array_equal(scores[0], scores[1])

    def test_history_items_outside_the_catalogue_are_used(
        self, data: Dataset, oracle: Oracle
    ) -> None:
        outside = list(range(data.vocabulary_size, N_SPECIALS + len(data.items)))
        assert outside, "the dataset should leave some tracks without a training event"
        without_item, with_item = oracle.scores(queries_of([[10, 11], [10, 11, outside[0]]]))
        assert len(without_item) == data.vocabulary_size
        assert not np.allclose(without_item, with_item)

    def test_unknown_items_and_repeats_are_ignored(self, oracle: Oracle) -> None:
        expected, *with_ignored_items = oracle.scores(
            queries_of([[10, 11, 12], [10, UNK, 11, 12], [10, 11, 10, 12, 11], [UNK, 10, 11, 12]])
        )
        for scores in with_ignored_items:
            np.testing.assert_array_equal(scores, expected)

    def test_a_history_of_unknown_items_equals_an_empty_one(self, oracle: Oracle) -> None:
        empty, unknown = oracle.scores(queries_of([[], [UNK]]))
        assert empty.max() > 0
        np.testing.assert_array_equal(empty, unknown)

    def test_it_ranks_better_than_every_other_baseline(self, data: Dataset, oracle: Oracle) -> None:
        sequences = data.sequences
        tested = [row for row in range(len(sequences)) if sequences.train_end[row] == 0]
        rows = [sequences.row(row)[:6].tolist() for row in tested if sequences.lengths[row] > 5]
        rows = [row for row in rows if row[5] < data.vocabulary_size]
        queries = queries_of([row[:5] for row in rows])
        targets = np.array([row[5] for row in rows], dtype=np.int32)
        names = ("popularity", "last-item", "co-occurrence")
        rankers = [baselines.fit(name, data) for name in names]
        gains = [(1 / ranker.ranks(queries, targets)).mean() for ranker in (oracle, *rankers)]
        assert gains[0] > 1.5 * max(gains[1:])

    def test_it_is_fitted_by_name_and_a_default_baseline(self, data: Dataset) -> None:
        assert isinstance(baselines.fit("oracle", data), Oracle)
        assert "oracle" in baselines.defaults_for(data)


class TestRefusals:
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"format": "mpd"}, "of format 'mpd', expected 'demo'"),
            (
                {"fingerprint": {"laws": 0}},
                "drawn from version 0 of the built-in world, expected version 1",
            ),
            ({"fingerprint": {"laws": 1}}, "does not have the options of its built-in world"),
            ({"fingerprint": {"laws": 1, "options": {"items": 3}}}, "items"),
        ],
    )
    def test_other_datasets_are_refused_in_one_line(
        self, data: Dataset, change: dict[str, Any], message: str
    ) -> None:
        manifest = msgspec.structs.replace(data.manifest, source=data.manifest.source | change)
        dataset = Dataset(Path("elsewhere"), manifest, data.sequences)
        with pytest.raises(DatasetError, match=message) as caught:
            Oracle(dataset)
        assert "\n" not in str(caught.value)
        assert caught.value.hint
