"""The hidden Markov model that generates playlists: intents, moves and their probabilities.

Tracks are numbered consecutively, sorted by scene and artist, so that every set of tracks that
the model draws from is a contiguous range. A *scene* is a genre in a decade. Scenes form a grid
(genres by decades) that wraps around in both directions: the first decade follows the last, and
the first genre follows the last. One additional scene, Christmas, has no neighbours.

The hidden state of a playlist is its *intent*. The intent may change before every track; the
seasonal intent never changes. At each step the intent gives a distribution of *moves*, and the
move selects a range of tracks relative to the last track: its artist, the same genre one decade
later, and so on. The next track is drawn from that range in proportion to its popularity. If the
playlist already contains the track, move and track are drawn again. The length of a playlist is
drawn independently of its tracks.

The last track therefore gives the scene of a playlist but not its intent, which has to be
inferred from earlier steps. Given the intent, the distribution of the next track has a closed
form. ``segue.synthetic.playlists`` samples from this model, and ``segue.baselines.oracle``
filters it exactly.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from jaxtyping import Float64

WORLD_VERSION = 1
"""Version of the generative model and of the world. The fingerprint of a source stores it as
``laws``, and the oracle refuses a dataset of another version."""

DECADES = (1960, 1970, 1980, 1990, 2000, 2010)
INTENT_REDRAW_PROBABILITY = 0.04
"""Probability, at each step, that the intent is drawn again (it may stay the same)."""


class Move(IntEnum):
    """How the range of tracks that contains the next track is selected."""

    ANYWHERE = 0
    """All tracks outside the Christmas scene."""
    CHRISTMAS = 1
    """All tracks of the Christmas scene."""
    ARTIST = 2
    """The last track's artist."""
    SCENE = 3
    """The last track's genre and decade."""
    LATER = 4
    """The last track's genre, one decade later."""
    EARLIER = 5
    """The last track's genre, one decade earlier."""
    OPPOSITE = 6
    """The last track's genre, half the decades away: two such moves lead back."""
    NEXT_GENRE = 7
    """The last track's decade, in the next genre."""
    PREVIOUS_GENRE = 8
    """The last track's decade, in the previous genre."""


GRID_STEPS = {
    Move.SCENE: (0, 0),
    Move.LATER: (0, 1),
    Move.EARLIER: (0, -1),
    Move.OPPOSITE: (0, len(DECADES) // 2),
    Move.NEXT_GENRE: (1, 0),
    Move.PREVIOUS_GENRE: (-1, 0),
}
"""For each move on the grid of scenes, the step in genres and in decades."""


class Intent(IntEnum):
    """The hidden state of a playlist: what its consecutive tracks have in common."""

    ARTIST = 0
    SCENE = 1
    LATER_DECADES = 2
    EARLIER_DECADES = 3
    OPPOSITE_DECADES = 4
    NEXT_GENRES = 5
    PREVIOUS_GENRES = 6
    SEASONAL = 7


_INTENTS: dict[Intent, tuple[float, dict[Move, float]]] = {
    Intent.ARTIST: (0.04, {Move.ARTIST: 0.96}),
    Intent.SCENE: (0.13, {Move.SCENE: 0.92, Move.ARTIST: 0.04}),
    Intent.LATER_DECADES: (0.15, {Move.LATER: 0.92, Move.ARTIST: 0.04}),
    Intent.EARLIER_DECADES: (0.15, {Move.EARLIER: 0.92, Move.ARTIST: 0.04}),
    Intent.OPPOSITE_DECADES: (0.15, {Move.OPPOSITE: 0.92, Move.ARTIST: 0.04}),
    Intent.NEXT_GENRES: (0.15, {Move.NEXT_GENRE: 0.92, Move.ARTIST: 0.04}),
    Intent.PREVIOUS_GENRES: (0.15, {Move.PREVIOUS_GENRE: 0.92, Move.ARTIST: 0.04}),
    Intent.SEASONAL: (0.08, {Move.CHRISTMAS: 0.99}),
}
"""Prior probability of each intent, and the probabilities of its moves; ``Move.ANYWHERE`` gets
the remaining probability."""


def _move_probabilities() -> Float64[np.ndarray, "intents moves"]:
    probabilities = np.zeros((len(Intent), len(Move)))
    for intent, (_, moves) in _INTENTS.items():
        probabilities[intent, list(moves)] = list(moves.values())
    probabilities[:, Move.ANYWHERE] = 1 - probabilities.sum(axis=1)
    return probabilities


def _first_move_probabilities() -> Float64[np.ndarray, "intents moves"]:
    probabilities = np.zeros((len(Intent), len(Move)))
    probabilities[:, Move.ANYWHERE] = 1
    probabilities[Intent.SEASONAL] = MOVE_PROBABILITIES[Intent.SEASONAL]
    return probabilities


def _intent_transitions() -> Float64[np.ndarray, "intents intents"]:
    redrawn = INTENT_PRIOR.copy()
    redrawn[Intent.SEASONAL] = 0
    identity = np.eye(len(Intent))
    unchanged = (1 - INTENT_REDRAW_PROBABILITY) * identity
    transitions = unchanged + INTENT_REDRAW_PROBABILITY * redrawn / redrawn.sum()
    transitions[Intent.SEASONAL] = identity[Intent.SEASONAL]
    return transitions


INTENT_PRIOR: Float64[np.ndarray, " intents"] = np.array([prior for prior, _ in _INTENTS.values()])
"""Distribution of the first intent; stationary under ``INTENT_TRANSITIONS``."""
MOVE_PROBABILITIES: Float64[np.ndarray, "intents moves"] = _move_probabilities()
"""Probability of each move given the intent, from the second track on."""
FIRST_MOVE_PROBABILITIES: Float64[np.ndarray, "intents moves"] = _first_move_probabilities()
"""The same for the first track, which has no track before it to move from."""
INTENT_TRANSITIONS: Float64[np.ndarray, "intents intents"] = _intent_transitions()
"""Probability of the next step's intent (column) given the current one (row)."""
