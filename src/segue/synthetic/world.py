"""The tracks of the built-in world: artists, scenes, popularity and the range of each move.

``segue.synthetic.generative_model`` defines scenes and moves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int, Int32, Int64

from segue.config import DemoConfig
from segue.synthetic.generative_model import DECADES, GRID_STEPS, Move

CHRISTMAS_SHARE = 0.05
"""Share of the tracks that belong to the Christmas scene."""
TRACKS_PER_ARTIST = 9
MIN_TRACKS_PER_ARTIST = 3
MAX_GENRES = 40
ZIPF_EXPONENT = 1.2


class WorldLayout(NamedTuple):
    """Boundaries of artists and scenes in the numbering of the tracks.

    Attributes:
        artist_starts: the first track of each artist, then the number of tracks.
        scene_starts: the first *artist* of each scene, then the number of artists.
            Scene ``s`` is genre ``s // len(DECADES)`` in decade ``s % len(DECADES)``; the last
            scene is Christmas.
    """

    artist_starts: Int64[np.ndarray, " artists+1"]
    scene_starts: Int64[np.ndarray, " scenes+1"]

    @property
    def n_genres(self) -> int:
        """Number of genres, without the seasonal genre "christmas"."""
        return (len(self.scene_starts) - 2) // len(DECADES)

    @property
    def first_christmas_track(self) -> int:
        """The first track of the Christmas scene, which extends to the last track."""
        return int(self.artist_starts[self.scene_starts[-2]])

    def artist_of_track(self) -> Int32[np.ndarray, " tracks"]:
        """The artist of each track."""
        sizes = np.diff(self.artist_starts)
        return np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)

    def scene_of_artist(self) -> Int32[np.ndarray, " artists"]:
        """The scene of each artist."""
        sizes = np.diff(self.scene_starts)
        return np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)


@dataclass(frozen=True)
class World:
    """Tracks with their artists and popularity, and the track range of each move.

    Attributes:
        layout: boundaries of artists and scenes.
        popularity: relative popularity of each track; sums to 1.
        cumulative_popularity: total popularity of the tracks before each one, then of all.
        artist_of_track: the artist of each track.
        ranges_by_artist: start and end (exclusive) of each move's track range, by the artist
            of the last track.
    """

    layout: WorldLayout
    popularity: Float64[np.ndarray, " tracks"]
    cumulative_popularity: Float64[np.ndarray, " tracks+1"]
    artist_of_track: Int32[np.ndarray, " tracks"]
    ranges_by_artist: Int32[np.ndarray, "artists moves 2"]

    @classmethod
    def build(cls, config: DemoConfig) -> World:
        """Build the world of a configuration; equal configurations give equal worlds."""
        rng = np.random.default_rng([config.seed, 0])
        layout = _draw_layout(rng, config.items)
        popularity = (1.0 + rng.permutation(config.items)) ** -ZIPF_EXPONENT
        popularity /= popularity.sum()
        return cls(
            layout=layout,
            popularity=popularity,
            cumulative_popularity=np.concatenate([[0.0], np.cumsum(popularity)]),
            artist_of_track=layout.artist_of_track(),
            ranges_by_artist=_ranges_by_artist(layout),
        )

    @property
    def n_tracks(self) -> int:
        """Number of tracks, whether or not a playlist contains them."""
        return len(self.popularity)

    def track_ranges(
        self, last_tracks: Int[np.ndarray, " batch"]
    ) -> Int32[np.ndarray, "batch moves 2"]:
        """Start and end (exclusive) of each move's track range, given the last tracks.

        For an empty playlist pass any track number: the moves of ``FIRST_MOVE_PROBABILITIES``
        do not depend on the last track.
        """
        return self.ranges_by_artist[self.artist_of_track[last_tracks]]

    def total_popularity(
        self, track_ranges: Int32[np.ndarray, "*batch 2"]
    ) -> Float64[np.ndarray, "*batch"]:
        """The popularity of all tracks in each range."""
        cumulative = self.cumulative_popularity
        return cumulative[track_ranges[..., 1]] - cumulative[track_ranges[..., 0]]


def _draw_layout(rng: np.random.Generator, n_tracks: int) -> WorldLayout:
    n_christmas_tracks = round(CHRISTMAS_SHARE * n_tracks)
    n_grid_tracks = n_tracks - n_christmas_tracks
    # The number of genres grows with the square root of the tracks, up to MAX_GENRES.
    n_scenes = len(DECADES) * int(np.clip(round(n_tracks**0.5 / 5), 2, MAX_GENRES))
    n_grid_artists = max(n_scenes, n_grid_tracks // TRACKS_PER_ARTIST)
    n_christmas_artists = max(1, n_christmas_tracks // TRACKS_PER_ARTIST)
    tracks_per_artist = [
        _draw_tracks_per_artist(rng, n_grid_tracks, n_grid_artists),
        _draw_tracks_per_artist(rng, n_christmas_tracks, n_christmas_artists),
    ]
    first_artists = np.linspace(0, n_grid_artists, n_scenes + 1).astype(np.int64)
    return WorldLayout(
        artist_starts=np.concatenate([[0], np.cumsum(np.concatenate(tracks_per_artist))]),
        scene_starts=np.append(first_artists, n_grid_artists + n_christmas_artists),
    )


def _draw_tracks_per_artist(
    rng: np.random.Generator, n_tracks: int, n_artists: int
) -> Int64[np.ndarray, " artists"]:
    """Uneven numbers of tracks that sum to ``n_tracks``."""
    shares = rng.dirichlet(np.full(n_artists, 2.0))
    n_free_tracks = n_tracks - MIN_TRACKS_PER_ARTIST * n_artists
    return MIN_TRACKS_PER_ARTIST + rng.multinomial(n_free_tracks, shares)


def _ranges_by_artist(layout: WorldLayout) -> Int32[np.ndarray, "artists moves 2"]:
    scene_of_artist = layout.scene_of_artist()
    scene_tracks = layout.artist_starts[layout.scene_starts]
    christmas = len(scene_tracks) - 2
    ranges = np.empty((len(scene_of_artist), len(Move), 2), dtype=np.int32)
    ranges[:, Move.ANYWHERE] = 0, layout.first_christmas_track
    ranges[:, Move.CHRISTMAS] = scene_tracks[christmas : christmas + 2]
    ranges[:, Move.ARTIST] = np.stack([layout.artist_starts[:-1], layout.artist_starts[1:]], axis=1)
    grid = np.arange(christmas).reshape(layout.n_genres, len(DECADES))
    for move, (genre_step, decade_step) in GRID_STEPS.items():
        destinations = np.roll(grid, (-genre_step, -decade_step), axis=(0, 1)).ravel()
        # A move on the grid stays in the Christmas scene if it starts there.
        scenes = np.append(destinations, christmas)[scene_of_artist]
        ranges[:, move] = np.stack([scene_tracks[scenes], scene_tracks[scenes + 1]], axis=1)
    return ranges
