"""The tracks of the built-in world: layout, popularity and the track range of each move."""

from __future__ import annotations

import numpy as np
import pytest

from segue.config import DemoConfig, validated
from segue.errors import ConfigError
from segue.synthetic.generative_model import DECADES, GRID_STEPS, Move
from segue.synthetic.world import CHRISTMAS_SHARE, MIN_TRACKS_PER_ARTIST, World

SIZES = (100, 317, 2_000, 30_000)


@pytest.fixture(params=SIZES, scope="module")
def world(request: pytest.FixtureRequest) -> World:
    return World.build(DemoConfig(items=request.param, mean_length=6))


def scene_of_track(world: World) -> np.ndarray:
    return world.layout.scene_of_artist()[world.artist_of_track]


class TestLayout:
    def test_artists_and_scenes_cover_all_tracks(self, world: World) -> None:
        artist_starts, scene_starts = world.layout
        assert artist_starts[0] == 0
        assert artist_starts[-1] == world.n_tracks
        assert scene_starts[0] == 0
        assert scene_starts[-1] == len(artist_starts) - 1
        assert np.diff(artist_starts).min() >= MIN_TRACKS_PER_ARTIST
        assert np.diff(scene_starts).min() >= 1

    def test_the_grid_has_every_decade_of_every_genre(self, world: World) -> None:
        assert len(world.layout.scene_starts) - 2 == world.layout.n_genres * len(DECADES)
        assert 2 <= world.layout.n_genres <= 40

    def test_christmas_is_a_small_share(self, world: World) -> None:
        share = 1 - world.layout.first_christmas_track / world.n_tracks
        assert share == pytest.approx(CHRISTMAS_SHARE, abs=0.5 / world.n_tracks)

    def test_artists_of_tracks_agree_with_artist_starts(self, world: World) -> None:
        first_christmas = world.layout.first_christmas_track
        for track in (0, 41, first_christmas - 1, first_christmas, world.n_tracks - 1):
            artist = world.artist_of_track[track]
            assert world.layout.artist_starts[artist] <= track
            assert track < world.layout.artist_starts[artist + 1]

    def test_artists_differ_in_size(self, world: World) -> None:
        assert len(set(np.diff(world.layout.artist_starts))) > 2


class TestPopularity:
    def test_it_sums_to_one_and_cumulates(self, world: World) -> None:
        assert world.popularity.sum() == pytest.approx(1)
        differences = np.diff(world.cumulative_popularity)
        np.testing.assert_allclose(differences, world.popularity, atol=1e-12)

    def test_it_follows_a_power_law(self, world: World) -> None:
        descending = np.sort(world.popularity)[::-1]
        log_ranks = np.log(np.arange(1, len(descending) + 1))
        slope = np.polyfit(log_ranks, np.log(descending), 1)[0]
        assert slope == pytest.approx(-1.2)

    def test_it_is_independent_of_the_track_number(self, world: World) -> None:
        numbers = np.arange(world.n_tracks)
        ranks = world.popularity.argsort().argsort()
        assert abs(np.corrcoef(numbers, ranks)[0, 1]) < 4 / world.n_tracks**0.5

    def test_the_total_of_a_range_is_the_sum_over_its_tracks(self, world: World) -> None:
        track_ranges = world.track_ranges(np.arange(world.n_tracks))
        totals = world.total_popularity(track_ranges)
        for track in (0, world.n_tracks // 2, world.n_tracks - 1):
            for move in Move:
                start, end = track_ranges[track, move]
                expected = world.popularity[start:end].sum()
                assert totals[track, move] == pytest.approx(expected, rel=1e-9)


class TestTrackRanges:
    def test_none_is_empty(self, world: World) -> None:
        track_ranges = world.track_ranges(np.arange(world.n_tracks))
        assert (track_ranges[..., 0] >= 0).all()
        assert (track_ranges[..., 0] < track_ranges[..., 1]).all()
        assert (track_ranges[..., 1] <= world.n_tracks).all()

    def test_anywhere_and_christmas_partition_the_tracks(self, world: World) -> None:
        track_ranges = world.track_ranges(np.arange(world.n_tracks))
        first_christmas = world.layout.first_christmas_track
        assert (track_ranges[:, Move.ANYWHERE] == [0, first_christmas]).all()
        assert (track_ranges[:, Move.CHRISTMAS] == [first_christmas, world.n_tracks]).all()

    def test_artist_covers_all_tracks_of_the_last_artist(self, world: World) -> None:
        for track in range(0, world.n_tracks, world.n_tracks // 50):
            start, end = world.track_ranges(np.array([track]))[0, Move.ARTIST]
            same_artist = world.artist_of_track == world.artist_of_track[track]
            expected = np.flatnonzero(same_artist)
            assert (start, end - 1) == (expected[0], expected[-1])

    @pytest.mark.parametrize("move", list(GRID_STEPS))
    def test_moves_on_the_grid_reach_the_expected_scene(self, world: World, move: Move) -> None:
        # Slow reference: genre and decade of every scene by division.
        scenes = scene_of_track(world)
        genre_step, decade_step = GRID_STEPS[move]
        for track in range(0, world.layout.first_christmas_track, max(1, world.n_tracks // 60)):
            genre, decade = divmod(int(scenes[track]), len(DECADES))
            genre = (genre + genre_step) % world.layout.n_genres
            decade = (decade + decade_step) % len(DECADES)
            start, end = world.track_ranges(np.array([track]))[0, move]
            expected = np.flatnonzero(scenes == genre * len(DECADES) + decade)
            assert (start, end - 1) == (expected[0], expected[-1])

    @pytest.mark.parametrize("move", list(GRID_STEPS))
    def test_christmas_has_no_neighbours(self, world: World, move: Move) -> None:
        first_christmas = world.layout.first_christmas_track
        christmas_tracks = np.arange(first_christmas, world.n_tracks)
        expected = [first_christmas, world.n_tracks]
        assert (world.track_ranges(christmas_tracks)[:, move] == expected).all()

    def test_changing_a_result_does_not_change_the_world(self, world: World) -> None:
        first = world.track_ranges(np.array([0, 1]))
        expected = first.copy()
        first[:] = 0
        np.testing.assert_array_equal(world.track_ranges(np.array([0, 1])), expected)


class TestOptions:
    def test_the_same_options_give_the_same_world(self) -> None:
        first, second = (World.build(DemoConfig(items=500)) for _ in range(2))
        np.testing.assert_array_equal(first.popularity, second.popularity)
        np.testing.assert_array_equal(first.ranges_by_artist, second.ranges_by_artist)

    def test_another_seed_gives_another_world(self) -> None:
        first, second = (World.build(DemoConfig(items=500, seed=seed)) for seed in (0, 1))
        assert not np.array_equal(first.popularity, second.popularity)
        assert not np.array_equal(first.artist_of_track, second.artist_of_track)

    def test_the_world_does_not_depend_on_the_number_of_playlists(self) -> None:
        first = World.build(DemoConfig(items=500, sequences=10, mean_length=10))
        second = World.build(DemoConfig(items=500, sequences=999, mean_length=20))
        np.testing.assert_array_equal(first.popularity, second.popularity)

    @pytest.mark.parametrize(
        ("options", "message"),
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
    def test_impossible_options_raise_a_one_line_error(self, options: dict, message: str) -> None:
        with pytest.raises(ConfigError, match=message) as error:
            validated(DemoConfig, options)
        assert "\n" not in str(error.value)
