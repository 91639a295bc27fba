"""What the tracks, artists, albums, genres and playlists of the built-in world are called.

Every word is invented from syllables. Names are drawn whole columns at a time; a few titles
of a large world come twice, as they do anywhere.
"""

from __future__ import annotations

import itertools
import re
from enum import IntEnum
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Int, Int64

from segue.sources.laws import DECADES, Intent
from segue.sources.world import World

N_WORDS = 5_000
TRACKS_PER_ALBUM = 5
_ONSETS = ("b", "br", "d", "dr", "f", "g", "j", "k", "l", "m", "n", "p", "r", "s", "t", "v", "z")
_VOWELS = ("a", "e", "i", "o", "u")
_STEM = re.compile("^[^aeiou]+[aeiou][^aeiou]+[aeiou]")
_CODAS = ("", "l", "m", "n", "r", "s")
_GENRE_ENDINGS = ("core", "folk", "jazz", "pop", "rock", "soul", "step", "wave")
_CONNECTORS = (" ", " and ", " in ", " of ", " or ", " without ")
_CAROLS = (
    "Carol of ", "Christmas in ", "Mistletoe for ", "Silver Bells of ", "Sleigh Ride to ",
    "Snow over ", "Winter Star of ",
)  # fmt: skip


class _Subject(IntEnum):
    """What a playlist's name may speak of, by what it begins with."""

    GENRE = 0
    DECADE = 1
    ARTIST = 2
    NOTHING = 3


class _Pattern(NamedTuple):
    """A way to name a playlist: something before the subject, and something after it."""

    before: str
    subject: _Subject = _Subject.NOTHING
    after: str = ""


_PLAIN = tuple(
    _Pattern(name)
    for name in ("my playlist", "road trip", "gym", "on repeat", "late night", "working")
)
_PLAIN_SHARE = 0.3
"""Share of the playlists, seasonal ones apart, whose name says nothing."""
_ACROSS_DECADES = (
    _Pattern("", _Subject.GENRE, " through the years"),
    _Pattern("every era of ", _Subject.GENRE),
    _Pattern("", _Subject.GENRE),
)
_ACROSS_GENRES = (
    _Pattern("the ", _Subject.DECADE),
    _Pattern("", _Subject.DECADE, " party"),
    _Pattern("back to the ", _Subject.DECADE),
)
_PATTERNS: dict[Intent, tuple[_Pattern, ...]] = {
    Intent.ARTIST: (
        _Pattern("best of ", _Subject.ARTIST),
        _Pattern("", _Subject.ARTIST, ", all day"),
    ),
    Intent.SCENE: (
        _Pattern("", _Subject.GENRE, " radio"),
        _Pattern("pure ", _Subject.GENRE),
    ),
    Intent.ONWARD: _ACROSS_DECADES,
    Intent.BACKWARD: _ACROSS_DECADES,
    Intent.THEN_AND_NOW: (
        _Pattern("", _Subject.GENRE, " then and now"),
        _Pattern("old and new ", _Subject.GENRE),
    ),
    Intent.NEXT_GENRES: _ACROSS_GENRES,
    Intent.PREVIOUS_GENRES: _ACROSS_GENRES,
    Intent.SEASONAL: tuple(
        _Pattern(name)
        for name in ("Christmas", "xmas party", "winter holidays", "snow day", "Advent", "noel")
    ),
}


class Discography:
    """The names in a world.

    Attributes:
        n_tracks: how many tracks there are.
    """

    def __init__(self, world: World, seed: int) -> None:
        rng = np.random.default_rng([seed, 2])
        layout = world.layout
        self.n_tracks = world.n_tracks
        self._seed = seed
        self._layout = layout
        self._artist_of = world.artist_of
        self._scene_of = layout.scene_of()
        self._words = _invent_words(rng)
        self._genres = _name_genres(rng, self._words, layout.n_genres)
        n_artists = len(self._scene_of)
        self._artists = _if_else(
            rng.random(n_artists) < 0.3,
            _join("The ", self._draw_words(rng, n_artists), "s"),
            _join(self._draw_words(rng, n_artists), " ", self._draw_words(rng, n_artists)),
        )
        decades = np.array(DECADES)
        in_corner = self._scene_of == layout.n_genres * len(DECADES)
        self._decades = decades[self._scene_of % len(DECADES)]
        self._decades[in_corner] = rng.choice(decades, np.count_nonzero(in_corner))

    def describe(self, first: int, last: int) -> pa.RecordBatch:
        """Descriptions of the tracks ``first`` up to ``last``; see ``ITEM_COLUMNS``."""
        rng = np.random.default_rng([self._seed, 3, first])
        tracks = np.arange(first, last)
        artists = self._artist_of[first:last]
        albums = (tracks - self._layout.artist_starts[artists]) // TRACKS_PER_ALBUM
        years = self._decades[artists] + np.minimum(artists % 5 + 2 * albums, 9)
        offsets = pa.array(np.arange(len(tracks) + 1, dtype=np.int32))
        columns = {
            "item_id": numbered("track", tracks),
            "title": self._titles(rng, tracks),
            "artist": self._artists.take(pa.array(artists)),
            "album": self._words.take(pa.array((artists * 7 + albums) % N_WORDS)),
            "genres": pa.ListArray.from_arrays(offsets, self._genres_of(artists)),
            "year": pa.array(years.astype(np.int32)),
        }
        return pa.RecordBatch.from_pydict(columns)

    def playlist_names(
        self,
        first: int,
        openers: Int[np.ndarray, " batch"],
        intents: Int64[np.ndarray, " batch"],
    ) -> pa.StringArray:
        """Names that hint at what playlists began with.

        Args:
            first: the number of the first playlist.
            openers: their first tracks.
            intents: their first intents.
        """
        rng = np.random.default_rng([self._seed, 4, first])
        patterns = [*_PLAIN, *itertools.chain(*(_PATTERNS[intent] for intent in Intent))]
        counts = np.array([len(_PATTERNS[intent]) for intent in Intent])
        starts = len(_PLAIN) + np.cumsum(counts) - counts
        chosen = starts[intents] + rng.integers(0, counts[intents])
        plain = (rng.random(len(intents)) < _PLAIN_SHARE) & (intents != Intent.SEASONAL)
        chosen = np.where(plain, rng.integers(0, len(_PLAIN), len(intents)), chosen)
        columns = (pa.array(list(column)) for column in zip(*patterns, strict=True))
        before, subject, after = (column.take(pa.array(chosen)) for column in columns)
        return _join(before, self._subjects(subject, self._artist_of[openers]), after)

    def _subjects(self, subject: pa.Array, artists: Int[np.ndarray, " batch"]) -> pa.StringArray:
        genres = self._genres_of(artists)
        decades = _join(pa.array(self._decades[artists]).cast(pa.string()), "s")
        names = self._artists.take(pa.array(artists))
        return pc.call_function("choose", [subject, genres, decades, names, pa.scalar("")])

    def _genres_of(self, artists: Int[np.ndarray, " batch"]) -> pa.StringArray:
        return self._genres.take(pa.array(self._scene_of[artists] // len(DECADES)))

    def _titles(self, rng: np.random.Generator, tracks: Int[np.ndarray, " n"]) -> pa.StringArray:
        count = len(tracks)
        connectors = _draw(rng, pa.array(_CONNECTORS), count)
        names = _join(self._draw_words(rng, count), connectors, self._draw_words(rng, count))
        carols = _join(_draw(rng, pa.array(_CAROLS), count), names)
        return _if_else(tracks >= self._layout.corner, carols, names)

    def _draw_words(self, rng: np.random.Generator, count: int) -> pa.StringArray:
        return _draw(rng, self._words, count)


def numbered(prefix: str, numbers: Int[np.ndarray, " n"]) -> pa.StringArray:
    """Ids such as ``track-0000042``."""
    digits = pa.array(numbers).cast(pa.string())
    padded = pc.call_function("utf8_lpad", [digits], pc.PadOptions(7, "0"))
    return _join(f"{prefix}-", padded)


def _join(*parts: pa.Array | str) -> pa.StringArray:
    """Put columns and constants together, row by row."""
    return pc.call_function("binary_join_element_wise", [*parts, ""])


def _if_else(
    condition: Bool[np.ndarray, " n"], yes: pa.StringArray, no: pa.StringArray
) -> pa.StringArray:
    return pc.call_function("if_else", [pa.array(condition), yes, no])


def _draw(rng: np.random.Generator, choices: pa.StringArray, count: int) -> pa.StringArray:
    return choices.take(pa.array(rng.integers(0, len(choices), count)))


def _invent_words(rng: np.random.Generator) -> pa.StringArray:
    """Different pronounceable words of two syllables."""
    openings = ["".join(pair) for pair in itertools.product(_ONSETS, _VOWELS)]
    endings = ["".join(pair) for pair in itertools.product(openings, _CODAS)]
    words = ["".join(pair) for pair in itertools.product(openings, endings)]
    chosen = rng.choice(len(words), N_WORDS, replace=False)
    return pa.array([words[word].capitalize() for word in chosen])


def _name_genres(rng: np.random.Generator, words: pa.StringArray, count: int) -> pa.StringArray:
    """Different names; the Christmas corner's comes after those of the genres."""
    # The first two vowels of a word end its first syllable and the stem of its second.
    stems = {_STEM.findall(word.lower())[0] for word in words.slice(0, 8 * count).to_pylist()}
    names = [stem + _GENRE_ENDINGS[rng.integers(len(_GENRE_ENDINGS))] for stem in sorted(stems)]
    return pa.array([*rng.permutation(names)[:count].tolist(), "christmas"])
