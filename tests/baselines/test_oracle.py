"""The oracle against enumeration, against the generator, and against everyone else."""

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
from segue.axes import N_SPECIALS, UNK, Ragged
from segue.baselines.oracle import Histories, Oracle, filter_intents, predict
from segue.config import DemoConfig, PrepareConfig, SourceConfig
from segue.dataset import Dataset, prepare
from segue.errors import DatasetError
from segue.ranking import Queries
from segue.sources.demo import draw_playlists
from segue.sources.laws import KERNELS, OPENINGS, PRIOR, SWITCHES, Intent, Move
from segue.sources.world import World

TINY = DemoConfig(sequences=40_000, items=100, mean_length=6, seed=1)
WORLD = World.build(TINY)


def histories_of(rows: list[list[int]]) -> Histories:
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    tracks = np.full((len(rows), lengths.max(initial=0)), -1, dtype=np.int32)
    for row, known in zip(tracks, rows, strict=True):
        row[: len(known)] = known
    return Histories(tracks, lengths)


def law(held: list[int], intent: int) -> np.ndarray:
    """One intent's distribution of the next track, written out track by track."""
    moves = KERNELS[intent] if held else OPENINGS[intent]
    chances = np.zeros(WORLD.n_tracks)
    for move in Move:
        start, end = WORLD.stretches(np.array(held[-1:] or [0]))[0, move]
        stretch = WORLD.weights[start:end]
        chances[start:end] += moves[move] * stretch / stretch.sum()
    chances[held] = 0
    return chances / chances.sum()


def predict_by_enumeration(history: list[int]) -> np.ndarray:
    """The next track's distribution, summed over every path that the intents may have taken."""
    total = np.zeros(WORLD.n_tracks)
    laws = [[law(history[:step], intent) for intent in Intent] for step in range(len(history) + 1)]
    for path in itertools.product(Intent, repeat=len(history) + 1):
        chance = PRIOR[path[0]]
        for before, after in itertools.pairwise(path):
            chance *= SWITCHES[before, after]
        for step, track in enumerate(history):
            chance *= laws[step][path[step]][track]
        total += chance * laws[-1][path[-1]]
    return total / total.sum()


POPULAR = int(WORLD.weights[: WORLD.layout.corner].argmax())
CAROL = WORLD.layout.corner


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
    def test_it_equals_the_sum_over_all_paths(self, history: list[int]) -> None:
        expected = predict_by_enumeration(history)
        found = predict(WORLD, histories_of([history]))[0]
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-15)

    @given(st.lists(st.integers(0, 99), min_size=1, max_size=3, unique=True))
    def test_it_equals_the_sum_over_all_paths_anywhere(self, history: list[int]) -> None:
        expected = predict_by_enumeration(history)
        found = predict(WORLD, histories_of([history]))[0]
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-15)

    @given(st.lists(st.lists(st.integers(0, 99), max_size=12, unique=True), max_size=6))
    def test_predictions_are_distributions_on_what_is_free(self, rows: list[list[int]]) -> None:
        found = predict(WORLD, histories_of(rows))
        assert (found >= 0).all()
        np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-9)
        for chances, row in zip(found, rows, strict=True):
            assert (chances[row] == 0).all()

    @given(st.lists(st.lists(st.integers(0, 99), max_size=9, unique=True), min_size=1, max_size=4))
    def test_a_playlist_is_predicted_alike_in_any_company(self, rows: list[list[int]]) -> None:
        together = predict(WORLD, histories_of(rows))
        alone = np.concatenate([predict(WORLD, histories_of([row])) for row in rows])
        np.testing.assert_allclose(together, alone, rtol=1e-9, atol=1e-14)

    def test_posteriors_are_distributions(self) -> None:
        playlists = draw_playlists(WORLD, TINY, 5, 300)
        found = filter_intents(WORLD, Histories(playlists.tracks, playlists.lengths))
        np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-9)

    def test_a_carol_gives_the_season_away(self) -> None:
        found = filter_intents(WORLD, histories_of([[CAROL], [7, CAROL], [7]]))
        assert found[0, Intent.SEASONAL] == 1
        assert found[1, Intent.SEASONAL] == 1
        assert found[2, Intent.SEASONAL] < PRIOR[Intent.SEASONAL]

    def test_a_straight_line_shows_the_intent(self) -> None:
        world = World.build(DemoConfig())
        line = [0]
        for _ in range(5):
            start, end = world.stretches(np.array(line[-1:]))[0, Move.LATER]
            line.append(int(start + world.weights[start:end].argmax()))
        found = filter_intents(world, histories_of([line]))[0]
        assert found.argmax() == Intent.ONWARD
        assert found[Intent.ONWARD] > 0.95

    def test_nobody_at_all(self) -> None:
        assert predict(WORLD, histories_of([])).shape == (0, WORLD.n_tracks)


@pytest.fixture(scope="module")
def playlists() -> Histories:
    drawn = draw_playlists(WORLD, TINY, 0, TINY.sequences)
    return Histories(drawn.tracks, drawn.lengths)


class TestAgainstTheGenerator:
    """The generator's frequencies are the oracle's probabilities."""

    @pytest.mark.parametrize("opening", [[], [POPULAR], ["often", "often"], [CAROL]])
    def test_continuations_of_one_history(self, playlists: Histories, opening: list) -> None:
        history: list[int] = []
        tracks = playlists.tracks
        for track in opening:
            chosen = np.bincount(tracks[:, len(history)]).argmax() if track == "often" else track
            tracks = tracks[tracks[:, len(history)] == chosen]
            history.append(int(chosen))
        following = tracks[:, len(history)]
        expected = predict(WORLD, histories_of([history]))[0]
        found = np.bincount(following, minlength=WORLD.n_tracks) / len(following)
        assert len(following) > 50
        # The sum of |found - expected| has at most this mean under the same distribution.
        mean = np.sqrt(2 / np.pi * expected * (1 - expected) / len(following)).sum()
        assert abs(found - expected).sum() < 1.35 * mean
        assert (found[expected == 0] == 0).all()

    def test_calibration_at_every_position(self, playlists: Histories) -> None:
        # What comes has the probability p(track); on average that is the sum of p squared.
        for position in range(1, 12):
            rows = np.flatnonzero(playlists.lengths > position)[:4_000]
            before = Histories(playlists.tracks[rows, :position], np.full(len(rows), position))
            chances = predict(WORLD, before)
            came = chances[np.arange(len(rows)), playlists.tracks[rows, position]]
            surplus = came - (chances**2).sum(axis=1)
            assert (came > 0).all()
            assert abs(surplus.mean()) < 4 * surplus.std() / len(rows) ** 0.5


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    world = DemoConfig(sequences=250, items=600, mean_length=20, seed=2)
    config = PrepareConfig(source=SourceConfig(demo=world))
    return prepare(None, tmp_path_factory.mktemp("oracle") / "data", config)


@pytest.fixture(scope="module")
def oracle(data: Dataset) -> Oracle:
    return Oracle(data)


def queries_of(rows: list[list[int]]) -> Queries:
    histories = Ragged.of(rows)
    return Queries(histories, histories, np.full(len(rows), -1))


class TestOracle:
    def test_scores_are_the_predictions_by_item_index(self, data: Dataset, oracle: Oracle) -> None:
        world = World.build(DemoConfig(sequences=250, items=600, mean_length=20, seed=2))
        history = ["track-0000010", "track-0000250", "track-0000400"]
        expected = predict(world, histories_of([[10, 250, 400]]))[0]
        scores = oracle.scores(queries_of([data.items.find(history).tolist()]))[0]
        assert scores.shape == (data.table_size,)
        for index in range(N_SPECIALS, data.table_size):
            track = int(data.items.ids[index - N_SPECIALS].removeprefix("track-"))
            assert scores[index] == expected[track]

    def test_what_is_no_track_of_the_world_scores_nothing(self, tmp_path: Path) -> None:
        extra = tmp_path / "extra.csv"
        strangers = ["hymn", "track-9999999", "track-7", "song-0000003"]
        extra.write_text("\n".join(["item_id", *strangers]) + "\n")
        options = {
            "source": {"items_file": str(extra), "demo": {"sequences": 250, "items": 600}},
            "split": {"catalogue": "all"},
        }
        data = prepare(None, tmp_path / "data", PrepareConfig.model_validate(options))
        indices = data.items.find(strangers)
        assert (indices < data.table_size).all()
        known = data.items.find(["track-0000010"]).tolist()
        scores = Oracle(data).scores(queries_of([known, [*indices.tolist(), *known]]))
        assert (scores[:, indices] == 0).all()
        np.testing.assert_array_equal(scores[0], scores[1])

    def test_items_outside_the_catalogue_are_history_too(
        self, data: Dataset, oracle: Oracle
    ) -> None:
        outside = list(range(data.table_size, N_SPECIALS + len(data.items)))
        assert outside, "the dataset should leave some tracks without a training event"
        without, with_one = oracle.scores(queries_of([[10, 11], [10, 11, outside[0]]]))
        assert len(without) == data.table_size
        assert not np.allclose(without, with_one)

    def test_unknown_items_and_repeats_are_passed_over(self, oracle: Oracle) -> None:
        plain, *others = oracle.scores(
            queries_of([[10, 11, 12], [10, UNK, 11, 12], [10, 11, 10, 12, 11], [UNK, 10, 11, 12]])
        )
        for scores in others:
            np.testing.assert_array_equal(scores, plain)

    def test_an_empty_history_is_an_opening(self, oracle: Oracle) -> None:
        empty, unknown = oracle.scores(queries_of([[], [UNK]]))
        assert empty.max() > 0
        np.testing.assert_array_equal(empty, unknown)

    def test_it_is_ahead_of_every_baseline(self, data: Dataset, oracle: Oracle) -> None:
        sequences = data.sequences
        tested = [row for row in range(len(sequences)) if sequences.train_end[row] == 0]
        rows = [sequences.row(row)[:6].tolist() for row in tested if sequences.lengths[row] > 5]
        rows = [row for row in rows if row[5] < data.table_size]
        queries = queries_of([row[:5] for row in rows])
        targets = np.array([row[5] for row in rows], dtype=np.int32)
        names = ("popularity", "last-item", "co-occurrence")
        others = [baselines.fit(name, data) for name in names]
        gains = [(1 / ranker.ranks(queries, targets)).mean() for ranker in (oracle, *others)]
        assert gains[0] > 1.5 * max(gains[1:])

    def test_it_has_a_name_among_the_baselines(self, data: Dataset) -> None:
        assert isinstance(baselines.fit("oracle", data), Oracle)
        assert "oracle" in baselines.defaults_for(data)


class TestRefusals:
    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"format": "mpd"}, "of format 'mpd', expected 'demo'"),
            ({"fingerprint": {"laws": 0}}, "has laws 0, expected"),
            ({"fingerprint": {"laws": 1}}, "does not say which built-in world"),
            ({"fingerprint": {"laws": 1, "options": {"items": 3}}}, "items"),
        ],
    )
    def test_another_world_gets_one_clear_line(
        self, data: Dataset, change: dict[str, Any], words: str
    ) -> None:
        manifest = msgspec.structs.replace(data.manifest, source=data.manifest.source | change)
        other = Dataset(Path("elsewhere"), manifest, data.sequences)
        with pytest.raises(DatasetError, match=words) as caught:
            Oracle(other)
        assert "\n" not in str(caught.value)
        assert caught.value.hint
