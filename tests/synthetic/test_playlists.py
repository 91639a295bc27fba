"""Sampling playlists of the built-in world: lengths, intents, repeats, popularity."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.config import DemoConfig
from segue.synthetic.generative_model import (
    INTENT_PRIOR,
    INTENT_REDRAW_PROBABILITY,
    MOVE_PROBABILITIES,
    Intent,
    Move,
)
from segue.synthetic.playlists import Playlists, draw_next_tracks, draw_playlists
from segue.synthetic.world import World

SMALL = DemoConfig(sequences=600, items=400, mean_length=12, seed=3)


@pytest.fixture(scope="module")
def world() -> World:
    return World.build(DemoConfig())


@pytest.fixture(scope="module")
def playlists(world: World) -> Playlists:
    return draw_playlists(world, DemoConfig(), 0, 2_000)


class TestBlocks:
    def test_a_block_does_not_depend_on_earlier_blocks(self) -> None:
        small = World.build(SMALL)
        first = draw_playlists(small, SMALL, 2, 40)
        for block in (0, 1):
            draw_playlists(small, SMALL, block, 40)
        second = draw_playlists(small, SMALL, 2, 40)
        np.testing.assert_array_equal(first.tracks, second.tracks)

    def test_blocks_differ(self) -> None:
        small = World.build(SMALL)
        first, second = (draw_playlists(small, SMALL, block, 40) for block in (0, 1))
        assert not np.array_equal(first.lengths, second.lengths)


class TestPlaylists:
    def test_no_track_repeats(self, playlists: Playlists) -> None:
        for row, length in zip(playlists.tracks, playlists.lengths, strict=True):
            assert len(set(row[:length].tolist())) == length

    def test_padding_begins_at_the_length(self, playlists: Playlists) -> None:
        np.testing.assert_array_equal((playlists.tracks >= 0).sum(axis=1), playlists.lengths)
        positions = np.arange(playlists.tracks.shape[1])
        np.testing.assert_array_equal(playlists.tracks >= 0, positions < playlists.lengths[:, None])

    def test_lengths(self, playlists: Playlists) -> None:
        assert playlists.lengths.min() >= 5
        assert playlists.lengths.mean() == pytest.approx(30, rel=0.05)
        assert playlists.lengths.std() > 10

    def test_a_playlist_has_at_most_a_quarter_of_a_small_world(self) -> None:
        tiny = DemoConfig(items=100, mean_length=12)
        assert draw_playlists(World.build(tiny), tiny, 0, 300).lengths.max() == 25

    def test_first_intents_follow_the_prior(self, playlists: Playlists) -> None:
        counts = np.bincount(playlists.first_intents, minlength=len(Intent))
        shares = counts / len(playlists.first_intents)
        # Three standard deviations of a share among 2,000.
        np.testing.assert_allclose(shares, INTENT_PRIOR, atol=3 * (0.25 / 2_000) ** 0.5)

    def test_only_seasonal_playlists_visit_christmas_and_they_stay(
        self, world: World, playlists: Playlists
    ) -> None:
        is_christmas = playlists.tracks >= world.layout.first_christmas_track
        is_seasonal = playlists.first_intents == Intent.SEASONAL
        assert not is_christmas[~is_seasonal].any()
        share = is_christmas[is_seasonal].sum() / playlists.lengths[is_seasonal].sum()
        assert 0.9 < share < 1

    def test_popular_tracks_occur_far_more_often(self, world: World, playlists: Playlists) -> None:
        counts = np.bincount(playlists.tracks[playlists.tracks >= 0], minlength=world.n_tracks)
        descending = np.sort(counts)[::-1]
        assert descending[: world.n_tracks // 10].sum() > 0.4 * descending.sum()
        correlation = np.corrcoef(counts.argsort().argsort(), world.popularity.argsort().argsort())
        assert correlation[0, 1] > 0.6

    def test_every_scene_is_visited(self, world: World, playlists: Playlists) -> None:
        events = playlists.tracks[playlists.tracks >= 0]
        scenes = world.layout.scene_of_artist()[world.artist_of_track[events]]
        assert set(scenes) == set(range(len(world.layout.scene_starts) - 1))

    def test_intents_change_over_time(self, world: World, playlists: Playlists) -> None:
        # A playlist whose first intent is later decades follows it at most positions, but
        # less and less as its intent changes.
        starts_later = playlists.first_intents == Intent.LATER_DECADES
        tracks = playlists.tracks[starts_later & (playlists.lengths >= 30)]
        scenes = world.layout.scene_of_artist()[world.artist_of_track[tracks[:, :30]]]
        later = world.ranges_by_artist[world.artist_of_track[tracks[:, :29]], Move.LATER]
        scene_starts = world.layout.artist_starts[world.layout.scene_starts[scenes[:, 1:]]]
        share_by_position = (scene_starts == later[..., 0]).mean(axis=0)
        early, late = share_by_position[:4].mean(), share_by_position[-4:].mean()
        assert early > 0.8
        assert early - late > 10 * INTENT_REDRAW_PROBABILITY

    def test_an_empty_batch(self, world: World) -> None:
        assert draw_playlists(world, DemoConfig(), 0, 0).tracks.shape == (0, 0)


class TestNextTracks:
    @given(seed=st.integers(0, 10_000), length=st.integers(0, 25), intent=st.sampled_from(Intent))
    def test_no_track_of_the_history_is_drawn(self, seed: int, length: int, intent: Intent) -> None:
        rng = np.random.default_rng(seed)
        tiny = World.build(DemoConfig(items=100, mean_length=6))
        histories = np.stack([rng.permutation(100)[:length] for _ in range(20)]).astype(np.int32)
        move_probabilities = np.tile(MOVE_PROBABILITIES[intent], (20, 1))
        tracks = draw_next_tracks(rng, tiny, histories, move_probabilities)
        assert ((tracks >= 0) & (tracks < 100)).all()
        assert not (histories == tracks[:, None]).any()

    @pytest.mark.parametrize("move", [move for move in Move if move != Move.CHRISTMAS])
    def test_a_certain_move_stays_in_its_range(self, world: World, move: Move) -> None:
        rng = np.random.default_rng(0)
        last_tracks = np.full(500, 700, dtype=np.int32)
        certain = np.tile(np.eye(len(Move))[move], (500, 1))
        tracks = draw_next_tracks(rng, world, last_tracks[:, None], certain)
        start, end = world.track_ranges(last_tracks)[0, move]
        assert ((start <= tracks) & (tracks < end)).all()

    def test_tracks_of_a_range_are_drawn_by_popularity(self, world: World) -> None:
        rng = np.random.default_rng(1)
        n = 20_000
        certain = np.tile(np.eye(len(Move))[Move.LATER], (n, 1))
        histories = np.full((n, 1), 700, dtype=np.int32)
        start, end = world.track_ranges(histories[:1, 0])[0, Move.LATER]
        expected = world.popularity[start:end] / world.popularity[start:end].sum()
        tracks = draw_next_tracks(rng, world, histories, certain)
        shares = np.bincount(tracks - start, minlength=end - start) / n
        assert abs(shares - expected).sum() / 2 < 0.03
