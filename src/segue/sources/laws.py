"""The laws of the built-in world: what comes next in its playlists, and how likely.

Tracks lie in one long row, sorted by scene and artist, so that every set that a law speaks
of is a stretch of it. A *scene* is a genre in a decade. Scenes form a grid that closes on
itself both ways: after the last decade comes the first again, and so with genres. One more
scene, the Christmas corner, has no neighbours.

Every playlist has a hidden *intent*, which may change at each step (a seasonal one never
does). A step draws a *move* by the intent's weights, and the move names a stretch: the last
track's artist, the same genre a decade later, and so on. A track of that stretch is drawn
by popularity. If the playlist holds it already, move and track are drawn again. Lengths
have a law of their own.

So the last track says where a playlist stands but not where it is heading; that shows in
the steps before. Given the intent the next track has a distribution that can be written
down, which makes the world a hidden Markov model. The generator (``segue.sources.demo``)
and the exact forward filter (``segue.baselines.oracle``) read their laws from here.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from jaxtyping import Float64

LAWS = 1
"""Version of the laws and of the world they hold in: an oracle of other laws is none."""

DECADES = (1960, 1970, 1980, 1990, 2000, 2010)
DRIFT = 0.04
"""Probability, at each step, that an intent is drawn anew (it may be the same again)."""


class Move(IntEnum):
    """A way to choose the stretch of tracks that the next one is drawn from."""

    ANYWHERE = 0
    """All tracks outside the Christmas corner."""
    CHRISTMAS = 1
    ARTIST = 2
    """The last track's artist."""
    SCENE = 3
    """The last track's genre and decade."""
    LATER = 4
    """The last track's genre, a decade later."""
    EARLIER = 5
    OPPOSITE = 6
    """The last track's genre, half the decades away: twice leads back."""
    NEXT_GENRE = 7
    """The last track's decade, in the next genre."""
    PREVIOUS_GENRE = 8


ON_THE_GRID = {
    Move.SCENE: (0, 0),
    Move.LATER: (0, 1),
    Move.EARLIER: (0, -1),
    Move.OPPOSITE: (0, len(DECADES) // 2),
    Move.NEXT_GENRE: (1, 0),
    Move.PREVIOUS_GENRE: (-1, 0),
}
"""How many genres and decades a move goes."""


class Intent(IntEnum):
    """What a playlist is up to."""

    ARTIST = 0
    SCENE = 1
    ONWARD = 2
    BACKWARD = 3
    THEN_AND_NOW = 4
    NEXT_GENRES = 5
    PREVIOUS_GENRES = 6
    SEASONAL = 7


_INTENTS: dict[Intent, tuple[float, dict[Move, float]]] = {
    Intent.ARTIST: (0.04, {Move.ARTIST: 0.96}),
    Intent.SCENE: (0.13, {Move.SCENE: 0.92, Move.ARTIST: 0.04}),
    Intent.ONWARD: (0.15, {Move.LATER: 0.92, Move.ARTIST: 0.04}),
    Intent.BACKWARD: (0.15, {Move.EARLIER: 0.92, Move.ARTIST: 0.04}),
    Intent.THEN_AND_NOW: (0.15, {Move.OPPOSITE: 0.92, Move.ARTIST: 0.04}),
    Intent.NEXT_GENRES: (0.15, {Move.NEXT_GENRE: 0.92, Move.ARTIST: 0.04}),
    Intent.PREVIOUS_GENRES: (0.15, {Move.PREVIOUS_GENRE: 0.92, Move.ARTIST: 0.04}),
    Intent.SEASONAL: (0.08, {Move.CHRISTMAS: 0.99}),
}
"""The share of playlists that begin with an intent, and the weights of its moves; what is
missing to 1 goes anywhere."""


def _kernels() -> Float64[np.ndarray, "intents moves"]:
    kernels = np.zeros((len(Intent), len(Move)))
    for intent, (_, weights) in _INTENTS.items():
        kernels[intent, list(weights)] = list(weights.values())
    kernels[:, Move.ANYWHERE] = 1 - kernels.sum(axis=1)
    return kernels


def _openings() -> Float64[np.ndarray, "intents moves"]:
    openings = np.zeros((len(Intent), len(Move)))
    openings[:, Move.ANYWHERE] = 1
    openings[Intent.SEASONAL] = KERNELS[Intent.SEASONAL]
    return openings


def _switches() -> Float64[np.ndarray, "intents intents"]:
    fresh = PRIOR.copy()
    fresh[Intent.SEASONAL] = 0
    switches = (1 - DRIFT) * np.eye(len(Intent)) + DRIFT * fresh / fresh.sum()
    switches[Intent.SEASONAL] = np.eye(len(Intent))[Intent.SEASONAL]
    return switches


PRIOR: Float64[np.ndarray, " intents"] = np.array([share for share, _ in _INTENTS.values()])
"""Distribution of a playlist's first intent; ``SWITCHES`` leaves it as it is."""
KERNELS: Float64[np.ndarray, "intents moves"] = _kernels()
"""Probability of each move given the intent, from the second track on."""
OPENINGS: Float64[np.ndarray, "intents moves"] = _openings()
"""The same for the first track, when there is no last one to move from."""
SWITCHES: Float64[np.ndarray, "intents intents"] = _switches()
"""Probability of a step's intent (column) given that of the step before (row)."""
