"""Names in the built-in world: plausible, different enough, and the same every time."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pytest

from segue.config import DemoConfig
from segue.sources.discography import Discography, numbered
from segue.sources.laws import DECADES, Intent
from segue.sources.world import World

CAROL = re.compile("Carol|Christmas|Mistletoe|Silver Bells|Sleigh Ride|Snow|Winter Star")


@pytest.fixture(scope="module")
def world() -> World:
    return World.build(DemoConfig())


@pytest.fixture(scope="module")
def discography(world: World) -> Discography:
    return Discography(world, seed=0)


@pytest.fixture(scope="module")
def tracks(discography: Discography) -> list[dict]:
    return discography.describe(0, discography.n_tracks).to_pylist()


class TestTracks:
    def test_nothing_is_missing(self, tracks: list[dict]) -> None:
        assert all(value not in (None, "") for track in tracks for value in track.values())

    def test_titles_hardly_repeat(self, tracks: list[dict]) -> None:
        titles = {track["title"] for track in tracks}
        assert len(titles) > 0.995 * len(tracks)

    def test_titles_can_be_said(self, tracks: list[dict]) -> None:
        words = {word for track in tracks for word in track["title"].split()}
        assert all(re.fullmatch("[A-Za-z]{2,10}", word) for word in words)
        assert all(re.search("[aeiou]", word) for word in words)

    def test_the_corner_is_recognised_by_title_and_genre(
        self, world: World, tracks: list[dict]
    ) -> None:
        for number, track in enumerate(tracks):
            seasonal = number >= world.layout.corner
            assert (track["genres"] == ["christmas"]) == seasonal
            assert bool(CAROL.match(track["title"])) == seasonal

    def test_a_year_lies_in_the_decade_of_the_scene(self, world: World, tracks: list[dict]) -> None:
        scenes = world.layout.scene_of()[world.artist_of]
        for number, track in enumerate(tracks[: world.layout.corner]):
            decade = DECADES[scenes[number] % len(DECADES)]
            assert decade <= track["year"] < decade + 10

    def test_the_corner_has_several_decades(self, world: World, tracks: list[dict]) -> None:
        decades = {track["year"] // 10 * 10 for track in tracks[world.layout.corner :]}
        assert decades <= set(DECADES)
        assert len(decades) > 2

    def test_a_scene_has_one_genre(self, world: World, tracks: list[dict]) -> None:
        scenes = world.layout.scene_of()[world.artist_of]
        pairs = {(scene, *track["genres"]) for scene, track in zip(scenes, tracks, strict=True)}
        assert len(pairs) == len(world.layout.scene_starts) - 1
        assert len({genre for _, genre in pairs}) == world.layout.n_genres + 1

    def test_an_artist_has_one_name_and_a_few_albums(
        self, world: World, tracks: list[dict]
    ) -> None:
        by_artist: dict[int, list[dict]] = {}
        for artist, track in zip(world.artist_of.tolist(), tracks, strict=True):
            by_artist.setdefault(artist, []).append(track)
        for own in by_artist.values():
            assert len({track["artist"] for track in own}) == 1
            assert len({track["album"] for track in own}) == -(-len(own) // 5)

    def test_years_of_an_artist_never_fall_from_album_to_album(
        self, world: World, tracks: list[dict]
    ) -> None:
        years = np.array([track["year"] for track in tracks])
        same_artist = np.diff(world.artist_of) == 0
        assert (np.diff(years)[same_artist] >= 0).all()

    def test_the_same_seed_gives_the_same_names(self, world: World, tracks: list[dict]) -> None:
        assert Discography(world, seed=0).describe(0, len(tracks)).to_pylist() == tracks
        assert Discography(world, seed=1).describe(0, len(tracks)).to_pylist() != tracks

    @pytest.mark.parametrize("items", [100, 60_000])
    def test_other_sizes(self, items: int) -> None:
        other = Discography(World.build(DemoConfig(items=items, mean_length=6)), seed=5)
        described = other.describe(0, items)
        described.validate(full=True)
        assert described.num_rows == items
        assert all(column.null_count == 0 for column in described.columns)


class TestPlaylistNames:
    def names(
        self, discography: Discography, intent: Intent, opener: int, count: int = 400
    ) -> set[str]:
        openers = np.full(count, opener)
        found = discography.playlist_names(0, openers, np.full(count, intent))
        assert isinstance(found, pa.StringArray)
        return set(found.to_pylist())

    @pytest.mark.parametrize(
        ("intent", "subject"),
        [
            (Intent.ARTIST, "artist"),
            (Intent.SCENE, "genre"),
            (Intent.ONWARD, "genre"),
            (Intent.BACKWARD, "genre"),
            (Intent.THEN_AND_NOW, "genre"),
            (Intent.NEXT_GENRES, "decade"),
            (Intent.PREVIOUS_GENRES, "decade"),
        ],
    )
    def test_names_hint_at_what_it_is_about(
        self, discography: Discography, tracks: list[dict], intent: Intent, subject: str
    ) -> None:
        track = tracks[1234]
        hint = {
            "artist": track["artist"],
            "genre": track["genres"][0],
            "decade": f"{track['year'] // 10 * 10}s",
        }[subject]
        names = self.names(discography, intent, opener=1234)
        hinting = {name for name in names if hint in name}
        assert len(hinting) >= 2
        assert names - hinting == self.plain(discography)

    def plain(self, discography: Discography) -> set[str]:
        first = self.names(discography, Intent.SCENE, opener=0)
        return first & self.names(discography, Intent.ARTIST, opener=1234)

    def test_seasonal_names_never_depend_on_the_track(self, discography: Discography) -> None:
        first, second = (self.names(discography, Intent.SEASONAL, n) for n in (0, 1950))
        assert first == second
        assert "Christmas" in first
        assert not first & self.plain(discography)

    def test_none_at_all(self, discography: Discography) -> None:
        nothing = np.zeros(0, np.int64)
        assert len(discography.playlist_names(0, nothing, nothing)) == 0


def test_numbered_pads_and_never_cuts() -> None:
    ids = numbered("track", np.array([0, 42, 123_456_789]))
    assert ids.to_pylist() == ["track-0000000", "track-0000042", "track-123456789"]
