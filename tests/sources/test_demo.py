"""The built-in world as a source: playlists by its laws, chunks by the schema."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.config import DemoConfig, SourceConfig
from segue.sources import demo, open_source
from segue.sources.demo import DemoSource, Playlists, draw_next, draw_playlists
from segue.sources.laws import DRIFT, KERNELS, LAWS, PRIOR, Intent, Move
from segue.sources.schema import ITEM_COLUMNS, ITEM_IDS, Chunk
from segue.sources.world import World

SMALL = DemoConfig(sequences=600, items=400, mean_length=12, seed=3)


def source(config: DemoConfig = SMALL) -> DemoSource:
    return DemoSource(SourceConfig(demo=config))


def playlists_of(chunks: list[Chunk]) -> dict[str, list[str]]:
    tables = [chunk.sequences for chunk in chunks]
    return {row["sequence_id"]: row["items"] for table in tables for row in table.to_pylist()}


def items_of(chunks: list[Chunk]) -> dict[str, dict]:
    return {row["item_id"]: row for chunk in chunks for row in chunk.items.to_pylist()}


@pytest.fixture(scope="module")
def chunks() -> list[Chunk]:
    return list(source().chunks())


@pytest.fixture(scope="module")
def world() -> World:
    return World.build(DemoConfig())


@pytest.fixture(scope="module")
def drawn(world: World) -> Playlists:
    return draw_playlists(world, DemoConfig(), 0, 2_000)


class TestChunks:
    def test_every_playlist_comes_once_and_in_order(self, chunks: list[Chunk]) -> None:
        ids = list(playlists_of(chunks))
        assert ids == [f"playlist-{number:07d}" for number in range(SMALL.sequences)]

    def test_every_track_is_described_once_before_it_is_met(self, chunks: list[Chunk]) -> None:
        described: list[str] = []
        for chunk in chunks:
            described += chunk.items["item_id"].to_pylist()
            met = chunk.sequences["items"].values.to_numpy(zero_copy_only=False)
            assert set(met) <= set(described)
        assert described == [f"track-{number:07d}" for number in range(SMALL.items)]

    def test_columns_are_those_of_the_schema(self, chunks: list[Chunk]) -> None:
        for chunk in chunks:
            assert chunk.sequences.schema.names == ["sequence_id", "items", "name"]
            assert chunk.sequences.schema.field("items").type == pa.large_list(ITEM_IDS)
            for name in chunk.items.schema.names:
                assert chunk.items.schema.field(name).type == ITEM_COLUMNS[name]
            chunk.sequences.validate(full=True)
            chunk.items.validate(full=True)

    def test_a_dictionary_holds_only_what_occurs(self, chunks: list[Chunk]) -> None:
        events = chunks[-1].sequences["items"].values
        assert isinstance(events, pa.DictionaryArray)
        assert len(events.dictionary) == len(events.unique())

    def test_the_same_options_give_the_same_chunks(self, chunks: list[Chunk]) -> None:
        for first, second in zip(chunks, source().chunks(), strict=True):
            assert first.sequences.equals(second.sequences)
            assert first.items.equals(second.items)

    def test_another_seed_gives_other_playlists(self, chunks: list[Chunk]) -> None:
        other = source(SMALL.model_copy(update={"seed": 4}))
        assert playlists_of(chunks) != playlists_of(list(other.chunks()))

    def test_more_playlists_begin_with_the_same_ones_of_a_full_block(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(demo, "PLAYLISTS_PER_BLOCK", 50)
        few = playlists_of(list(source(SMALL.model_copy(update={"sequences": 100})).chunks()))
        more = playlists_of(list(source(SMALL.model_copy(update={"sequences": 170})).chunks()))
        assert len(few) == 100
        assert len(more) == 170
        assert more | few == more

    def test_a_block_does_not_depend_on_those_before_it(self) -> None:
        small = World.build(SMALL)
        alone = draw_playlists(small, SMALL, 2, 40)
        for block in (0, 1):
            draw_playlists(small, SMALL, block, 40)
        again = draw_playlists(small, SMALL, 2, 40)
        np.testing.assert_array_equal(alone.tracks, again.tracks)

    def test_blocks_differ(self) -> None:
        small = World.build(SMALL)
        first, second = (draw_playlists(small, SMALL, block, 40) for block in (0, 1))
        assert not np.array_equal(first.lengths, second.lengths)

    def test_fingerprint_is_laws_and_options(self) -> None:
        assert source().fingerprint() == {
            "format": "demo",
            "laws": LAWS,
            "options": {"sequences": 600, "items": 400, "mean_length": 12, "seed": 3},
        }

    def test_a_source_that_is_absent_is_the_built_in_world(self) -> None:
        opened = open_source(None, SourceConfig())
        assert isinstance(opened, DemoSource)
        assert opened.format == "demo"
        assert not opened.sequences_are_users

    def test_seasonal_names_say_so(self, chunks: list[Chunk]) -> None:
        festive = {"Christmas", "xmas party", "winter holidays", "snow day", "Advent", "noel"}
        genres = {item: row["genres"] for item, row in items_of(chunks).items()}
        for chunk in chunks:
            for row in chunk.sequences.to_pylist():
                seasonal = any(genres[item] == ["christmas"] for item in row["items"])
                assert (row["name"] in festive) == seasonal


class TestPlaylists:
    def test_no_track_comes_twice(self, drawn: Playlists) -> None:
        for row, length in zip(drawn.tracks, drawn.lengths, strict=True):
            assert len(set(row[:length].tolist())) == length

    def test_tracks_end_where_lengths_say(self, drawn: Playlists) -> None:
        np.testing.assert_array_equal((drawn.tracks >= 0).sum(axis=1), drawn.lengths)
        places = np.arange(drawn.tracks.shape[1])
        np.testing.assert_array_equal(drawn.tracks >= 0, places < drawn.lengths[:, None])

    def test_lengths(self, drawn: Playlists) -> None:
        assert drawn.lengths.min() >= 5
        assert drawn.lengths.mean() == pytest.approx(30, rel=0.05)
        assert drawn.lengths.std() > 10

    def test_no_playlist_holds_a_large_share_of_a_small_world(self) -> None:
        tiny = DemoConfig(items=100, mean_length=12)
        assert draw_playlists(World.build(tiny), tiny, 0, 300).lengths.max() == 25

    def test_intents_begin_by_their_prior(self, drawn: Playlists) -> None:
        found = np.bincount(drawn.intents, minlength=len(Intent)) / len(drawn.intents)
        # Three standard deviations of a share among 2,000.
        np.testing.assert_allclose(found, PRIOR, atol=3 * (0.25 / 2_000) ** 0.5)

    def test_only_seasonal_playlists_visit_the_corner_and_they_stay(
        self, world: World, drawn: Playlists
    ) -> None:
        seasonal_track = drawn.tracks >= world.layout.corner
        seasonal = drawn.intents == Intent.SEASONAL
        assert not seasonal_track[~seasonal].any()
        share = seasonal_track[seasonal].sum() / drawn.lengths[seasonal].sum()
        assert 0.9 < share < 1

    def test_popular_tracks_are_heard_far_more_often(self, world: World, drawn: Playlists) -> None:
        counts = np.bincount(drawn.tracks[drawn.tracks >= 0], minlength=world.n_tracks)
        ranked = np.sort(counts)[::-1]
        assert ranked[: world.n_tracks // 10].sum() > 0.4 * ranked.sum()
        agreement = np.corrcoef(counts.argsort().argsort(), world.weights.argsort().argsort())
        assert agreement[0, 1] > 0.6

    def test_every_decade_is_visited(self, world: World, drawn: Playlists) -> None:
        events = drawn.tracks[drawn.tracks >= 0]
        scenes = world.layout.scene_of()[world.artist_of[events]]
        assert set(scenes) == set(range(len(world.layout.scene_starts) - 1))

    def test_intents_drift(self, world: World, drawn: Playlists) -> None:
        # A playlist that began by going on through the decades goes on at most places, but
        # ever less as it drifts away.
        onward = drawn.tracks[(drawn.intents == Intent.ONWARD) & (drawn.lengths >= 30)]
        scenes = world.layout.scene_of()[world.artist_of[onward[:, :30]]]
        later = world.stretches_of[world.artist_of[onward[:, :29]], Move.LATER]
        reached = world.layout.artist_starts[world.layout.scene_starts[scenes[:, 1:]]]
        kept = (reached == later[..., 0]).mean(axis=0)
        early, late = kept[:4].mean(), kept[-4:].mean()
        assert early > 0.8
        assert early - late > 10 * DRIFT

    def test_none_at_all(self, world: World) -> None:
        nothing = draw_playlists(world, DemoConfig(), 0, 0)
        assert nothing.tracks.shape == (0, 0)


class TestDrawNext:
    @given(seed=st.integers(0, 10_000), length=st.integers(0, 25), intent=st.sampled_from(Intent))
    def test_it_is_never_held_already(self, seed: int, length: int, intent: Intent) -> None:
        rng = np.random.default_rng(seed)
        tiny = World.build(DemoConfig(items=100, mean_length=6))
        held = np.stack([rng.permutation(100)[:length] for _ in range(20)]).astype(np.int32)
        tracks = draw_next(rng, tiny, held, np.tile(KERNELS[intent], (20, 1)))
        assert ((tracks >= 0) & (tracks < 100)).all()
        assert not (held == tracks[:, None]).any()

    @pytest.mark.parametrize("move", [move for move in Move if move != Move.CHRISTMAS])
    def test_a_sure_move_stays_within_its_stretch(self, world: World, move: Move) -> None:
        rng = np.random.default_rng(0)
        last = np.full(500, 700, dtype=np.int32)
        sure = np.tile(np.eye(len(Move))[move], (500, 1))
        tracks = draw_next(rng, world, last[:, None], sure)
        start, end = world.stretches(last)[0, move]
        assert ((start <= tracks) & (tracks < end)).all()

    def test_within_a_stretch_popularity_decides(self, world: World) -> None:
        rng = np.random.default_rng(1)
        n = 20_000
        sure = np.tile(np.eye(len(Move))[Move.LATER], (n, 1))
        last = np.full((n, 1), 700, dtype=np.int32)
        start, end = world.stretches(last[:1, 0])[0, Move.LATER]
        expected = world.weights[start:end] / world.weights[start:end].sum()
        tracks = draw_next(rng, world, last, sure)
        found = np.bincount(tracks - start, minlength=end - start) / n
        assert abs(found - expected).sum() / 2 < 0.03
