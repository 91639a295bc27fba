"""The tracks of the built-in world: artists, scenes, popularity, and where moves lead.

See ``segue.sources.laws`` for what happens on them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int, Int32, Int64

from segue.config import DemoConfig
from segue.sources.laws import DECADES, ON_THE_GRID, Move

SEASONAL_TRACKS = 0.05
"""Share of the tracks that lie in the Christmas corner."""
TRACKS_PER_ARTIST = 9
SMALLEST_ARTIST = 3
MOST_GENRES = 40
ZIPF_EXPONENT = 1.2


class Layout(NamedTuple):
    """How the row of tracks is cut into artists and scenes.

    Attributes:
        artist_starts: the first track of each artist; at the end the number of tracks.
        scene_starts: the first *artist* of each scene; at the end the number of artists.
            Scene ``s`` is genre ``s // len(DECADES)``, decade ``s % len(DECADES)``; the last
            scene is the Christmas corner.
    """

    artist_starts: Int64[np.ndarray, " artists+1"]
    scene_starts: Int64[np.ndarray, " scenes+1"]

    @property
    def n_genres(self) -> int:
        """Genres outside the Christmas corner."""
        return (len(self.scene_starts) - 2) // len(DECADES)

    @property
    def corner(self) -> int:
        """The first track of the Christmas corner, which reaches to the last one."""
        return int(self.artist_starts[self.scene_starts[-2]])

    def artist_of(self) -> Int32[np.ndarray, " tracks"]:
        """The artist of each track."""
        sizes = np.diff(self.artist_starts)
        return np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)

    def scene_of(self) -> Int32[np.ndarray, " artists"]:
        """The scene of each artist."""
        sizes = np.diff(self.scene_starts)
        return np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)


@dataclass(frozen=True)
class World:
    """The tracks of a world, and the stretches that its moves draw from.

    Attributes:
        layout: artists and scenes.
        weights: popularity of each track; sums to 1.
        cumulative: popularity of all tracks before each one; at the end that of all.
        artist_of: the artist of each track.
        stretches_of: start and end of each move's stretch, by the last track's artist.
    """

    layout: Layout
    weights: Float64[np.ndarray, " tracks"]
    cumulative: Float64[np.ndarray, " tracks+1"]
    artist_of: Int32[np.ndarray, " tracks"]
    stretches_of: Int32[np.ndarray, "artists moves 2"]

    @classmethod
    def build(cls, config: DemoConfig) -> World:
        """The world of some options; the same options give the same world."""
        rng = np.random.default_rng([config.seed, 0])
        layout = _lay_out(rng, config.items)
        weights = (1.0 + rng.permutation(config.items)) ** -ZIPF_EXPONENT
        weights /= weights.sum()
        return cls(
            layout=layout,
            weights=weights,
            cumulative=np.concatenate([[0.0], np.cumsum(weights)]),
            artist_of=layout.artist_of(),
            stretches_of=_stretches(layout),
        )

    @property
    def n_tracks(self) -> int:
        """Tracks of the world, whether a playlist has them or not."""
        return len(self.weights)

    def stretches(self, last: Int[np.ndarray, " batch"]) -> Int32[np.ndarray, "batch moves 2"]:
        """Start and end of each move's stretch after a last track.

        Before the first track any number will do: ``OPENINGS`` never looks at the last one.
        """
        return self.stretches_of[self.artist_of[last]]

    def masses(self, stretches: Int32[np.ndarray, "*batch 2"]) -> Float64[np.ndarray, "*batch"]:
        """The popularity that lies in each stretch."""
        return self.cumulative[stretches[..., 1]] - self.cumulative[stretches[..., 0]]


def _lay_out(rng: np.random.Generator, n_tracks: int) -> Layout:
    n_seasonal = round(SEASONAL_TRACKS * n_tracks)
    n_ordinary = n_tracks - n_seasonal
    # Genres grow with the square root of the tracks, up to what people would tell apart.
    n_scenes = len(DECADES) * int(np.clip(round(n_tracks**0.5 / 5), 2, MOST_GENRES))
    n_artists = max(n_scenes, n_ordinary // TRACKS_PER_ARTIST)
    n_corner_artists = max(1, n_seasonal // TRACKS_PER_ARTIST)
    sizes = [_sizes(rng, n_ordinary, n_artists), _sizes(rng, n_seasonal, n_corner_artists)]
    first_artists = np.linspace(0, n_artists, n_scenes + 1).astype(np.int64)
    return Layout(
        artist_starts=np.concatenate([[0], np.cumsum(np.concatenate(sizes))]),
        scene_starts=np.append(first_artists, n_artists + n_corner_artists),
    )


def _sizes(rng: np.random.Generator, total: int, parts: int) -> Int64[np.ndarray, " parts"]:
    """Uneven sizes of artists that sum to ``total``."""
    shares = rng.dirichlet(np.full(parts, 2.0))
    return SMALLEST_ARTIST + rng.multinomial(total - SMALLEST_ARTIST * parts, shares)


def _stretches(layout: Layout) -> Int32[np.ndarray, "artists moves 2"]:
    scene_of = layout.scene_of()
    scene_tracks = layout.artist_starts[layout.scene_starts]
    corner = len(scene_tracks) - 2
    bounds = np.empty((len(scene_of), len(Move), 2), dtype=np.int32)
    bounds[:, Move.ANYWHERE] = 0, layout.corner
    bounds[:, Move.CHRISTMAS] = scene_tracks[corner : corner + 2]
    bounds[:, Move.ARTIST] = np.stack([layout.artist_starts[:-1], layout.artist_starts[1:]], axis=1)
    grid = np.arange(corner).reshape(layout.n_genres, len(DECADES))
    for move, (genres, decades) in ON_THE_GRID.items():
        reached = np.roll(grid, (-genres, -decades), axis=(0, 1)).ravel()
        scenes = np.append(reached, corner)[scene_of]  # from the corner nothing is reached
        bounds[:, move] = np.stack([scene_tracks[scenes], scene_tracks[scenes + 1]], axis=1)
    return bounds
