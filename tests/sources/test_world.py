"""The laws and the layout of the built-in world: proper distributions on proper stretches."""

from __future__ import annotations

import numpy as np
import pytest

from segue.config import DemoConfig, validated
from segue.errors import ConfigError
from segue.sources.laws import (
    DECADES,
    KERNELS,
    ON_THE_GRID,
    OPENINGS,
    PRIOR,
    SWITCHES,
    Intent,
    Move,
)
from segue.sources.world import SEASONAL_TRACKS, SMALLEST_ARTIST, World

SIZES = (100, 317, 2_000, 30_000)


@pytest.fixture(params=SIZES, scope="module")
def world(request: pytest.FixtureRequest) -> World:
    return World.build(DemoConfig(items=request.param, mean_length=6))


def scene_of_tracks(world: World) -> np.ndarray:
    return world.layout.scene_of()[world.artist_of]


class TestLaws:
    @pytest.mark.parametrize("shares", [PRIOR[None], KERNELS, OPENINGS, SWITCHES])
    def test_every_row_is_a_distribution(self, shares: np.ndarray) -> None:
        assert (shares >= 0).all()
        np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-12)

    def test_the_prior_is_stationary(self) -> None:
        np.testing.assert_allclose(PRIOR @ SWITCHES, PRIOR, rtol=1e-12)

    def test_nothing_switches_into_or_out_of_the_season(self) -> None:
        others = [intent for intent in Intent if intent != Intent.SEASONAL]
        assert SWITCHES[Intent.SEASONAL, Intent.SEASONAL] == 1
        assert (SWITCHES[others, Intent.SEASONAL] == 0).all()

    def test_only_the_seasonal_intent_visits_the_corner(self) -> None:
        others = [intent for intent in Intent if intent != Intent.SEASONAL]
        assert (KERNELS[others, Move.CHRISTMAS] == 0).all()
        assert (OPENINGS[others, Move.CHRISTMAS] == 0).all()

    def test_a_seasonal_playlist_stays_there(self) -> None:
        assert KERNELS[Intent.SEASONAL, Move.CHRISTMAS] >= 0.95

    def test_every_intent_can_go_anywhere(self) -> None:
        # Otherwise a playlist could use up every track that its intent leads to.
        assert (KERNELS[:, Move.ANYWHERE] > 0.01).all()

    def test_the_first_move_needs_no_last_track(self) -> None:
        assert (OPENINGS[:, Move.ARTIST :] == 0).all()


class TestLayout:
    def test_artists_and_scenes_cut_up_the_whole_row(self, world: World) -> None:
        artist_starts, scene_starts = world.layout
        assert artist_starts[0] == 0
        assert artist_starts[-1] == world.n_tracks
        assert scene_starts[0] == 0
        assert scene_starts[-1] == len(artist_starts) - 1
        assert np.diff(artist_starts).min() >= SMALLEST_ARTIST
        assert np.diff(scene_starts).min() >= 1

    def test_the_grid_has_every_decade_of_every_genre(self, world: World) -> None:
        assert len(world.layout.scene_starts) - 2 == world.layout.n_genres * len(DECADES)
        assert 2 <= world.layout.n_genres <= 40

    def test_the_corner_is_a_small_share(self, world: World) -> None:
        share = 1 - world.layout.corner / world.n_tracks
        assert share == pytest.approx(SEASONAL_TRACKS, abs=0.5 / world.n_tracks)

    def test_labels_agree_with_starts(self, world: World) -> None:
        for track in (0, 41, world.layout.corner - 1, world.layout.corner, world.n_tracks - 1):
            artist = world.artist_of[track]
            assert world.layout.artist_starts[artist] <= track
            assert track < world.layout.artist_starts[artist + 1]

    def test_artists_differ_in_size(self, world: World) -> None:
        assert len(set(np.diff(world.layout.artist_starts))) > 2


class TestPopularity:
    def test_weights_sum_to_one_and_cumulate(self, world: World) -> None:
        assert world.weights.sum() == pytest.approx(1)
        np.testing.assert_allclose(np.diff(world.cumulative), world.weights, atol=1e-12)

    def test_it_is_zipf(self, world: World) -> None:
        ranked = np.sort(world.weights)[::-1]
        slope = np.polyfit(np.log(np.arange(1, len(ranked) + 1)), np.log(ranked), 1)[0]
        assert slope == pytest.approx(-1.2)

    def test_it_has_nothing_to_do_with_the_place(self, world: World) -> None:
        places = np.arange(world.n_tracks)
        ranks = world.weights.argsort().argsort()
        assert abs(np.corrcoef(places, ranks)[0, 1]) < 4 / world.n_tracks**0.5

    def test_masses_are_sums_of_weights(self, world: World) -> None:
        stretches = world.stretches(np.arange(world.n_tracks))
        masses = world.masses(stretches)
        for track in (0, world.n_tracks // 2, world.n_tracks - 1):
            for move in Move:
                start, end = stretches[track, move]
                expected = world.weights[start:end].sum()
                assert masses[track, move] == pytest.approx(expected, rel=1e-9)


class TestStretches:
    def test_none_is_empty(self, world: World) -> None:
        stretches = world.stretches(np.arange(world.n_tracks))
        assert (stretches[..., 0] >= 0).all()
        assert (stretches[..., 0] < stretches[..., 1]).all()
        assert (stretches[..., 1] <= world.n_tracks).all()

    def test_anywhere_and_christmas_divide_the_world(self, world: World) -> None:
        stretches = world.stretches(np.arange(world.n_tracks))
        assert (stretches[:, Move.ANYWHERE] == [0, world.layout.corner]).all()
        assert (stretches[:, Move.CHRISTMAS] == [world.layout.corner, world.n_tracks]).all()

    def test_artist_is_all_of_the_last_artist(self, world: World) -> None:
        for track in range(0, world.n_tracks, world.n_tracks // 50):
            start, end = world.stretches(np.array([track]))[0, Move.ARTIST]
            same = np.flatnonzero(world.artist_of == world.artist_of[track])
            assert (start, end - 1) == (same[0], same[-1])

    @pytest.mark.parametrize("move", list(ON_THE_GRID))
    def test_moves_on_the_grid_go_where_they_say(self, world: World, move: Move) -> None:
        # Slow and obvious: genre and decade of every scene by division.
        scenes = scene_of_tracks(world)
        genre_step, decade_step = ON_THE_GRID[move]
        for track in range(0, world.layout.corner, max(1, world.n_tracks // 60)):
            genre, decade = divmod(int(scenes[track]), len(DECADES))
            genre = (genre + genre_step) % world.layout.n_genres
            decade = (decade + decade_step) % len(DECADES)
            start, end = world.stretches(np.array([track]))[0, move]
            reached = np.flatnonzero(scenes == genre * len(DECADES) + decade)
            assert (start, end - 1) == (reached[0], reached[-1])

    @pytest.mark.parametrize("move", list(ON_THE_GRID))
    def test_the_corner_has_no_neighbours(self, world: World, move: Move) -> None:
        corner = np.arange(world.layout.corner, world.n_tracks)
        expected = [world.layout.corner, world.n_tracks]
        assert (world.stretches(corner)[:, move] == expected).all()

    def test_opposite_twice_leads_back(self) -> None:
        genres, decades = ON_THE_GRID[Move.OPPOSITE]
        assert genres == 0
        assert 2 * decades % len(DECADES) == 0

    def test_the_answer_may_be_written_to(self, world: World) -> None:
        first = world.stretches(np.array([0, 1]))
        expected = first.copy()
        first[:] = 0
        np.testing.assert_array_equal(world.stretches(np.array([0, 1])), expected)


class TestOptions:
    def test_the_same_options_give_the_same_world(self) -> None:
        first, second = (World.build(DemoConfig(items=500)) for _ in range(2))
        np.testing.assert_array_equal(first.weights, second.weights)
        np.testing.assert_array_equal(first.stretches_of, second.stretches_of)

    def test_another_seed_gives_another_world(self) -> None:
        first, second = (World.build(DemoConfig(items=500, seed=seed)) for seed in (0, 1))
        assert not np.array_equal(first.weights, second.weights)
        assert not np.array_equal(first.artist_of, second.artist_of)

    def test_the_world_does_not_depend_on_how_much_is_drawn_from_it(self) -> None:
        first = World.build(DemoConfig(items=500, sequences=10, mean_length=10))
        second = World.build(DemoConfig(items=500, sequences=999, mean_length=20))
        np.testing.assert_array_equal(first.weights, second.weights)

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"items": 99}, "items"),
            ({"items": 100_000_000}, "items"),
            ({"seed": -1}, "seed"),
            ({"mean_length": 5}, "mean_length"),
            ({"sequences": 0}, "sequences"),
            ({"items": 200, "mean_length": 30}, "too few for playlists of mean_length 30"),
            ({"tracks": 200}, "tracks"),
        ],
    )
    def test_impossible_options_get_one_clear_line(self, options: dict, words: str) -> None:
        with pytest.raises(ConfigError, match=words) as caught:
            validated(DemoConfig, options)
        assert "\n" not in str(caught.value)
