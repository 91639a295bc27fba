"""Cards: an item as its poster, or as a coloured card with its title and attributes."""

from __future__ import annotations

import zlib
from functools import partial
from typing import NamedTuple

from segue.pictures.canvas import MUTED, RULE
from segue.pictures.pen import LEADING, Pen
from segue.pictures.posters import Poster

WIDTH, HEIGHT = 108.0, 162.0
"""Of the image or coloured part, in points: two to three, as posters are."""
CAPTION, POSTER_CAPTION = 16.0, 28.0
"""Height of the lines below it: place and score, and the title of a poster."""

_PADDING = 9.0
_TITLE, _CREDIT, _DETAILS, _BELOW = 10.0, 8.0, 7.5, 8.0
"""Sizes of letters, in points."""

_COLOURS = ("#31597f", "#7d4a5b", "#3d6b5c", "#7a5a34", "#5b5486", "#3f6a7d", "#845043", "#58683a")
_ON_COLOUR = "#ffffff"
_UNKNOWN = "#eef0f3"


class Card(NamedTuple):
    """What a card says of an item.

    Attributes:
        title: what to call it.
        credit: who made it; empty where that is not known.
        details: year and genres; empty where they are not known.
        kin: cards of the same kin have the same colour.
        place: left below the card.
        score: right below the card; may be empty.
        is_known: whether the model knows the item.
        poster: its image, if there is one.
    """

    item_id: str
    title: str
    credit: str
    details: str
    kin: str
    place: str
    score: str
    is_known: bool
    poster: Poster | None = None


def draw_card(pen: Pen, x: float, y: float, card: Card) -> None:
    """Draw a card, its upper left corner at a point."""
    if card.poster is None:
        _draw_words(pen, x, y, card)
    else:
        _draw_poster(pen, x, y, card.poster)
        pen.lines(x, y + HEIGHT + 16, card.title, _DETAILS, width=WIDTH, most=1)
    below = y + HEIGHT + 4
    pen.text(x, below, card.place, _BELOW, weight="bold")
    pen.text(x + WIDTH, below, card.score, _BELOW, colour=MUTED, align="right")


def colour_of(kin: str) -> str:
    """The same colour for the same kin, on every machine."""
    return _COLOURS[zlib.crc32(kin.encode()) % len(_COLOURS)]


def _draw_words(pen: Pen, x: float, y: float, card: Card) -> None:
    ground, ink = (colour_of(card.kin), _ON_COLOUR) if card.is_known else (_UNKNOWN, MUTED)
    pen.box((x, y), (WIDTH, HEIGHT), ground=ground, edge=ground if card.is_known else MUTED)
    width, bottom = WIDTH - 2 * _PADDING, y + HEIGHT - _PADDING
    lines = partial(pen.lines, x + _PADDING, width=width, colour=ink)
    end = lines(y + _PADDING, card.title, _TITLE, most=5, weight="bold")
    lines(end + 3, card.credit, _CREDIT, most=2)
    n_details = len(pen.wrapped(card.details, width, 2, _DETAILS))
    lines(bottom - n_details * LEADING * _DETAILS, card.details, _DETAILS, most=2)


def _draw_poster(pen: Pen, x: float, y: float, poster: Poster) -> None:
    """The whole image, in the middle of the card."""
    frame = pen.box((x, y), (WIDTH, HEIGHT), ground=_UNKNOWN, edge=RULE)
    height, width = poster.shape[:2]
    scale = min(WIDTH / width, HEIGHT / height)
    left, top = x + (WIDTH - scale * width) / 2, y + (HEIGHT - scale * height) / 2
    extent = (left, left + scale * width, top + scale * height, top)
    limits = pen.axes.axis()
    image = pen.axes.imshow(poster, extent=extent, aspect="auto", zorder=2)
    image.set_clip_path(frame)
    pen.axes.axis(limits)  # an image makes the page its own size
