"""Invented names: pronounceable, mostly distinct, consistent with the world, reproducible."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pytest

from segue.config import DemoConfig
from segue.synthetic.discography import Discography, numbered_ids
from segue.synthetic.generative_model import DECADES, Intent
from segue.synthetic.world import World

CAROL = re.compile("Carol|Christmas|Mistletoe|Silver Bells|Sleigh Ride|Snow|Winter Star")


@pytest.fixture(scope="module")
def world() -> World:
    return World.build(DemoConfig())


@pytest.fixture(scope="module")
def discography(world: World) -> Discography:
    return Discography(world, seed=0)


@pytest.fixture(scope="module")
def tracks(discography: Discography) -> list[dict]:
    return discography.track_descriptions(0, discography.n_tracks).to_pylist()


class TestTracks:
    def test_no_value_is_missing(self, tracks: list[dict]) -> None:
        assert all(value not in (None, "") for track in tracks for value in track.values())

    def test_titles_are_mostly_distinct(self, tracks: list[dict]) -> None:
        titles = {track["title"] for track in tracks}
        assert len(titles) > 0.995 * len(tracks)

    def test_titles_are_pronounceable(self, tracks: list[dict]) -> None:
        words = {word for track in tracks for word in track["title"].split()}
        assert all(re.fullmatch("[A-Za-z]{2,10}", word) for word in words)
        assert all(re.search("[aeiou]", word) for word in words)

    def test_christmas_tracks_have_their_own_titles_and_genre(
        self, world: World, tracks: list[dict]
    ) -> None:
        for number, track in enumerate(tracks):
            is_christmas = number >= world.layout.first_christmas_track
            assert (track["genres"] == ["christmas"]) == is_christmas
            assert bool(CAROL.match(track["title"])) == is_christmas

    def test_a_year_is_in_the_decade_of_the_scene(self, world: World, tracks: list[dict]) -> None:
        scenes = world.layout.scene_of_artist()[world.artist_of_track]
        for number, track in enumerate(tracks[: world.layout.first_christmas_track]):
            decade = DECADES[scenes[number] % len(DECADES)]
            assert decade <= track["year"] < decade + 10

    def test_christmas_has_several_decades(self, world: World, tracks: list[dict]) -> None:
        decades = {
            track["year"] // 10 * 10 for track in tracks[world.layout.first_christmas_track :]
        }
        assert decades <= set(DECADES)
        assert len(decades) > 2

    def test_a_scene_has_one_genre(self, world: World, tracks: list[dict]) -> None:
        scenes = world.layout.scene_of_artist()[world.artist_of_track]
        pairs = {(scene, *track["genres"]) for scene, track in zip(scenes, tracks, strict=True)}
        assert len(pairs) == len(world.layout.scene_starts) - 1
        assert len({genre for _, genre in pairs}) == world.layout.n_genres + 1

    def test_an_artist_has_one_name_and_a_few_albums(
        self, world: World, tracks: list[dict]
    ) -> None:
        by_artist: dict[int, list[dict]] = {}
        for artist, track in zip(world.artist_of_track.tolist(), tracks, strict=True):
            by_artist.setdefault(artist, []).append(track)
        for artist_tracks in by_artist.values():
            assert len({track["artist"] for track in artist_tracks}) == 1
            n_albums = len({track["album"] for track in artist_tracks})
            assert n_albums == -(-len(artist_tracks) // 5)

    def test_years_of_an_artist_do_not_decrease(self, world: World, tracks: list[dict]) -> None:
        years = np.array([track["year"] for track in tracks])
        same_artist = np.diff(world.artist_of_track) == 0
        assert (np.diff(years)[same_artist] >= 0).all()

    def test_the_same_seed_gives_the_same_names(self, world: World, tracks: list[dict]) -> None:
        assert Discography(world, seed=0).track_descriptions(0, len(tracks)).to_pylist() == tracks
        assert Discography(world, seed=1).track_descriptions(0, len(tracks)).to_pylist() != tracks

    @pytest.mark.parametrize("items", [100, 60_000])
    def test_worlds_of_any_size(self, items: int) -> None:
        discography = Discography(World.build(DemoConfig(items=items, mean_length=6)), seed=5)
        descriptions = discography.track_descriptions(0, items)
        descriptions.validate(full=True)
        assert descriptions.num_rows == items
        assert all(column.null_count == 0 for column in descriptions.columns)


class TestPlaylistNames:
    def names(
        self, discography: Discography, intent: Intent, first_track: int, count: int = 400
    ) -> set[str]:
        first_tracks = np.full(count, first_track)
        names = discography.playlist_names(0, first_tracks, np.full(count, intent))
        assert isinstance(names, pa.StringArray)
        return set(names.to_pylist())

    @pytest.mark.parametrize(
        ("intent", "subject"),
        [
            (Intent.ARTIST, "artist"),
            (Intent.SCENE, "genre"),
            (Intent.LATER_DECADES, "genre"),
            (Intent.EARLIER_DECADES, "genre"),
            (Intent.OPPOSITE_DECADES, "genre"),
            (Intent.NEXT_GENRES, "decade"),
            (Intent.PREVIOUS_GENRES, "decade"),
        ],
    )
    def test_names_mention_the_subject_of_the_intent(
        self, discography: Discography, tracks: list[dict], intent: Intent, subject: str
    ) -> None:
        track = tracks[1234]
        hint = {
            "artist": track["artist"],
            "genre": track["genres"][0],
            "decade": f"{track['year'] // 10 * 10}s",
        }[subject]
        names = self.names(discography, intent, first_track=1234)
        informative = {name for name in names if hint in name}
        assert len(informative) >= 2
        assert names - informative == self.uninformative(discography)

    def uninformative(self, discography: Discography) -> set[str]:
        names = self.names(discography, Intent.SCENE, first_track=0)
        return names & self.names(discography, Intent.ARTIST, first_track=1234)

    def test_seasonal_names_do_not_depend_on_the_track(self, discography: Discography) -> None:
        first, second = (self.names(discography, Intent.SEASONAL, n) for n in (0, 1950))
        assert first == second
        assert "Christmas" in first
        assert not first & self.uninformative(discography)

    def test_an_empty_batch(self, discography: Discography) -> None:
        empty = np.zeros(0, np.int64)
        assert len(discography.playlist_names(0, empty, empty)) == 0


def test_numbered_ids_are_padded_and_never_truncated() -> None:
    ids = numbered_ids("track", np.array([0, 42, 123_456_789]))
    assert ids.to_pylist() == ["track-0000000", "track-0000042", "track-123456789"]
