"""Invented names for the built-in world: tracks, artists, albums, genres and playlists.

All words are composed of syllables, and names are drawn a column at a time. In a large world a
few titles occur twice, as in real catalogues.
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

from segue.synthetic.generative_model import DECADES, Intent
from segue.synthetic.world import World

N_WORDS = 5_000
TRACKS_PER_ALBUM = 5
_ONSETS = ("b", "br", "d", "dr", "f", "g", "j", "k", "l", "m", "n", "p", "r", "s", "t", "v", "z")
_VOWELS = ("a", "e", "i", "o", "u")
_STEM = re.compile("^[^aeiou]+[aeiou][^aeiou]+[aeiou]")
_CODAS = ("", "l", "m", "n", "r", "s")
_GENRE_ENDINGS = ("core", "folk", "jazz", "pop", "rock", "soul", "step", "wave")
_CONNECTORS = (" ", " and ", " in ", " of ", " or ", " without ")
_CAROL_PREFIXES = (
    "Carol of ", "Christmas in ", "Mistletoe for ", "Silver Bells of ", "Sleigh Ride to ",
    "Snow over ", "Winter Star of ",
)  # fmt: skip


class _Subject(IntEnum):
    """What a playlist name mentions; the value is taken from the playlist's first track."""

    GENRE = 0
    DECADE = 1
    ARTIST = 2
    NOTHING = 3


class _NamePattern(NamedTuple):
    """A playlist name: a prefix, then the name of the subject, then a suffix."""

    prefix: str
    subject: _Subject = _Subject.NOTHING
    suffix: str = ""


_UNINFORMATIVE_NAMES = tuple(
    _NamePattern(name)
    for name in ("my playlist", "road trip", "gym", "on repeat", "late night", "working")
)
_UNINFORMATIVE_SHARE = 0.3
"""Probability that a playlist, unless seasonal, gets a name that does not hint at its intent."""
_ACROSS_DECADES = (
    _NamePattern("", _Subject.GENRE, " through the years"),
    _NamePattern("every era of ", _Subject.GENRE),
    _NamePattern("", _Subject.GENRE),
)
_ACROSS_GENRES = (
    _NamePattern("the ", _Subject.DECADE),
    _NamePattern("", _Subject.DECADE, " party"),
    _NamePattern("back to the ", _Subject.DECADE),
)
_NAME_PATTERNS: dict[Intent, tuple[_NamePattern, ...]] = {
    Intent.ARTIST: (
        _NamePattern("best of ", _Subject.ARTIST),
        _NamePattern("", _Subject.ARTIST, ", all day"),
    ),
    Intent.SCENE: (
        _NamePattern("", _Subject.GENRE, " radio"),
        _NamePattern("pure ", _Subject.GENRE),
    ),
    Intent.LATER_DECADES: _ACROSS_DECADES,
    Intent.EARLIER_DECADES: _ACROSS_DECADES,
    Intent.OPPOSITE_DECADES: (
        _NamePattern("", _Subject.GENRE, " then and now"),
        _NamePattern("old and new ", _Subject.GENRE),
    ),
    Intent.NEXT_GENRES: _ACROSS_GENRES,
    Intent.PREVIOUS_GENRES: _ACROSS_GENRES,
    Intent.SEASONAL: tuple(
        _NamePattern(name)
        for name in ("Christmas", "xmas party", "winter holidays", "snow day", "Advent", "noel")
    ),
}


class Discography:
    """The names of a world's tracks, artists, albums, genres and playlists.

    Attributes:
        n_tracks: number of tracks.
    """

    def __init__(self, world: World, seed: int) -> None:
        rng = np.random.default_rng([seed, 2])
        layout = world.layout
        self.n_tracks = world.n_tracks
        self._seed = seed
        self._layout = layout
        self._artist_of_track = world.artist_of_track
        self._scene_of_artist = layout.scene_of_artist()
        self._words = _invent_words(rng)
        self._genres = _invent_genres(rng, self._words, layout.n_genres)
        n_artists = len(self._scene_of_artist)
        self._artists = _if_else(
            rng.random(n_artists) < 0.3,
            _concatenate("The ", self._draw_words(rng, n_artists), "s"),
            _concatenate(self._draw_words(rng, n_artists), " ", self._draw_words(rng, n_artists)),
        )
        decades = np.array(DECADES)
        is_christmas = self._scene_of_artist == layout.n_genres * len(DECADES)
        self._decade_of_artist = decades[self._scene_of_artist % len(DECADES)]
        self._decade_of_artist[is_christmas] = rng.choice(decades, np.count_nonzero(is_christmas))

    def track_descriptions(self, start: int, stop: int) -> pa.RecordBatch:
        """Describe the tracks ``start`` to ``stop`` (exclusive) in columns of ``ITEM_COLUMNS``."""
        rng = np.random.default_rng([self._seed, 3, start])
        tracks = np.arange(start, stop)
        artists = self._artist_of_track[start:stop]
        albums = (tracks - self._layout.artist_starts[artists]) // TRACKS_PER_ALBUM
        years = self._decade_of_artist[artists] + np.minimum(artists % 5 + 2 * albums, 9)
        offsets = pa.array(np.arange(len(tracks) + 1, dtype=np.int32))
        columns = {
            "item_id": numbered_ids("track", tracks),
            "title": self._draw_titles(rng, tracks),
            "artist": self._artists.take(pa.array(artists)),
            "album": self._words.take(pa.array((artists * 7 + albums) % N_WORDS)),
            "genres": pa.ListArray.from_arrays(offsets, self._genres_of(artists)),
            "year": pa.array(years.astype(np.int32)),
        }
        return pa.RecordBatch.from_pydict(columns)

    def playlist_names(
        self,
        start: int,
        first_tracks: Int[np.ndarray, " batch"],
        first_intents: Int64[np.ndarray, " batch"],
    ) -> pa.StringArray:
        """Draw a name for each playlist; most names hint at its first intent.

        Args:
            start: the number of the first playlist in the batch.
            first_tracks: the first track of each playlist.
            first_intents: the intent at the first track of each playlist.
        """
        rng = np.random.default_rng([self._seed, 4, start])
        hints = itertools.chain(*(_NAME_PATTERNS[intent] for intent in Intent))
        patterns = [*_UNINFORMATIVE_NAMES, *hints]
        counts = np.array([len(_NAME_PATTERNS[intent]) for intent in Intent])
        starts = len(_UNINFORMATIVE_NAMES) + np.cumsum(counts) - counts
        pattern_numbers = starts[first_intents] + rng.integers(0, counts[first_intents])
        uninformative = rng.random(len(first_intents)) < _UNINFORMATIVE_SHARE
        uninformative &= first_intents != Intent.SEASONAL
        drawn = rng.integers(0, len(_UNINFORMATIVE_NAMES), len(first_intents))
        pattern_numbers = np.where(uninformative, drawn, pattern_numbers)
        columns = (pa.array(list(column)) for column in zip(*patterns, strict=True))
        prefixes, subjects, suffixes = (
            column.take(pa.array(pattern_numbers)) for column in columns
        )
        artists = self._artist_of_track[first_tracks]
        return _concatenate(prefixes, self._subject_names(subjects, artists), suffixes)

    def _subject_names(
        self, subjects: pa.Array, artists: Int[np.ndarray, " batch"]
    ) -> pa.StringArray:
        genres = self._genres_of(artists)
        decades = _concatenate(pa.array(self._decade_of_artist[artists]).cast(pa.string()), "s")
        names = self._artists.take(pa.array(artists))
        return pc.call_function("choose", [subjects, genres, decades, names, pa.scalar("")])

    def _genres_of(self, artists: Int[np.ndarray, " batch"]) -> pa.StringArray:
        return self._genres.take(pa.array(self._scene_of_artist[artists] // len(DECADES)))

    def _draw_titles(
        self, rng: np.random.Generator, tracks: Int[np.ndarray, " n"]
    ) -> pa.StringArray:
        count = len(tracks)
        connectors = _draw(rng, pa.array(_CONNECTORS), count)
        titles = _concatenate(
            self._draw_words(rng, count), connectors, self._draw_words(rng, count)
        )
        carols = _concatenate(_draw(rng, pa.array(_CAROL_PREFIXES), count), titles)
        return _if_else(tracks >= self._layout.first_christmas_track, carols, titles)

    def _draw_words(self, rng: np.random.Generator, count: int) -> pa.StringArray:
        return _draw(rng, self._words, count)


def numbered_ids(prefix: str, numbers: Int[np.ndarray, " n"]) -> pa.StringArray:
    """Ids such as ``track-0000042``."""
    digits = pa.array(numbers).cast(pa.string())
    padded = pc.call_function("utf8_lpad", [digits], pc.PadOptions(7, "0"))
    return _concatenate(f"{prefix}-", padded)


def _concatenate(*parts: pa.Array | str) -> pa.StringArray:
    """Concatenate columns and constants, row by row."""
    return pc.call_function("binary_join_element_wise", [*parts, ""])


def _if_else(
    condition: Bool[np.ndarray, " n"], if_true: pa.StringArray, if_false: pa.StringArray
) -> pa.StringArray:
    return pc.call_function("if_else", [pa.array(condition), if_true, if_false])


def _draw(rng: np.random.Generator, choices: pa.StringArray, count: int) -> pa.StringArray:
    return choices.take(pa.array(rng.integers(0, len(choices), count)))


def _invent_words(rng: np.random.Generator) -> pa.StringArray:
    """Distinct pronounceable words of two syllables."""
    open_syllables = ["".join(pair) for pair in itertools.product(_ONSETS, _VOWELS)]
    last_syllables = ["".join(pair) for pair in itertools.product(open_syllables, _CODAS)]
    words = ["".join(pair) for pair in itertools.product(open_syllables, last_syllables)]
    word_numbers = rng.choice(len(words), N_WORDS, replace=False)
    return pa.array([words[number].capitalize() for number in word_numbers])


def _invent_genres(rng: np.random.Generator, words: pa.StringArray, count: int) -> pa.StringArray:
    """Distinct names of ``count`` genres, then "christmas"."""
    # A stem is the first syllable and the second without its final consonant.
    stems = {_STEM.findall(word.lower())[0] for word in words.slice(0, 8 * count).to_pylist()}
    names = [stem + _GENRE_ENDINGS[rng.integers(len(_GENRE_ENDINGS))] for stem in sorted(stems)]
    return pa.array([*rng.permutation(names)[:count].tolist(), "christmas"])
