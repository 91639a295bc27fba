"""Item cards: a poster, or a coloured card with title and attributes, and pages of cards."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from segue.pictures.figures import MUTED, RULE, new_figure
from segue.pictures.fonts import TextFonts
from segue.pictures.page import LINE_HEIGHT, Page
from segue.pictures.posters import Poster

WIDTH, HEIGHT = 108.0, 162.0
"""Size of the poster or coloured area, in points: the 2:3 ratio of movie posters."""
CAPTION, POSTER_CAPTION = 16.0, 28.0
"""Height of the caption below it, in points: number and score, for a poster also the title."""

COLUMNS = 7
MIN_COLUMNS = 3
"""Minimum number of columns: with fewer the headings would not fit."""

_PADDING = 9.0
_TITLE, _ARTIST, _DETAILS, _CAPTION_TEXT = 10.0, 8.0, 7.5, 8.0
"""Font sizes in points."""
_MARGIN, _GAP, _HEADING, _SECTION_GAP = 30.0, 14.0, 46.0, 26.0
"""Distances in points."""

_COLOURS = ("#31597f", "#7d4a5b", "#3d6b5c", "#7a5a34", "#5b5486", "#3f6a7d", "#845043", "#58683a")
_ON_COLOUR = "#ffffff"
_UNKNOWN = "#eef0f3"


class Card(NamedTuple):
    """The content of an item's card.

    Attributes:
        item_id: the item.
        title: its title.
        artist: its artist; may be empty.
        details: year and genres; may be empty.
        colour_key: cards with the same key have the same colour.
        number: text at the lower left: the number of the event, or the rank.
        score: text at the lower right; may be empty.
        is_known: whether the item is in the catalogue of the model.
        poster: its poster, if there is one.
    """

    item_id: str
    title: str
    artist: str
    details: str
    colour_key: str
    number: str
    score: str
    is_known: bool
    poster: Poster | None = None


class CardSection(NamedTuple):
    """A part of a page: a heading, a remark below it, and cards."""

    heading: str
    remark: str
    cards: Sequence[Card]


def draw_cards(file: Path, sections: Sequence[CardSection]) -> list[str]:
    """Write a picture with sections of cards, one below the other.

    Returns:
        Notes on characters that could not be drawn.

    Raises:
        StorageError: the file cannot be written.
    """
    cards = [card for section in sections for card in section.cards]
    texts = [text for card in cards for text in (card.title, card.artist, card.details)]
    fonts = TextFonts([*texts, *(section.remark for section in sections)])
    n_columns = _n_columns(sections)
    n_rows = [math.ceil(len(section.cards) / n_columns) for section in sections]
    has_posters = any(card.poster is not None for card in cards)
    row_height = HEIGHT + (POSTER_CAPTION if has_posters else CAPTION) + _GAP
    heights = [_HEADING + row_height * n for n in n_rows]
    width = 2 * _MARGIN + n_columns * (WIDTH + _GAP) - _GAP
    height = 2 * _MARGIN + sum(heights) + _SECTION_GAP * (len(sections) - 1) - _GAP
    with new_figure(file, fonts.families) as figure:
        page, top = Page(figure, width, height, fonts), _MARGIN
        for number, (section, section_height) in enumerate(zip(sections, heights, strict=True)):
            if number:
                line = top - (_SECTION_GAP + _GAP) / 2
                page.axes.plot([_MARGIN, width - _MARGIN], [line, line], color=RULE, linewidth=0.8)
            _draw_section(page, section, top, n_columns, row_height)
            top += section_height + _SECTION_GAP
    return fonts.notes()


def draw_card(page: Page, x: float, y: float, card: Card) -> None:
    """Draw a card with its upper left corner at (``x``, ``y``)."""
    if card.poster is None:
        _draw_text(page, x, y, card)
    else:
        _draw_poster(page, x, y, card.poster)
        page.lines(x, y + HEIGHT + 16, card.title, _DETAILS, width=WIDTH, max_lines=1)
    caption_top = y + HEIGHT + 4
    page.text(x, caption_top, card.number, _CAPTION_TEXT, weight="bold")
    page.text(x + WIDTH, caption_top, card.score, _CAPTION_TEXT, colour=MUTED, align="right")


def colour_of(key: str) -> str:
    """The colour of a key; the same on every machine."""
    return _COLOURS[zlib.crc32(key.encode()) % len(_COLOURS)]


def _draw_section(
    page: Page, section: CardSection, top: float, n_columns: int, row_height: float
) -> None:
    page.text(_MARGIN, top, section.heading, 14.0, weight="bold")
    width = n_columns * (WIDTH + _GAP) - _GAP
    page.lines(_MARGIN, top + 20, section.remark, 9.0, width=width, max_lines=1, colour=MUTED)
    for number, card in enumerate(section.cards):
        row, column = divmod(number, n_columns)
        x, y = _MARGIN + column * (WIDTH + _GAP), top + _HEADING + row * row_height
        draw_card(page, x, y, card)


def _n_columns(sections: Sequence[CardSection]) -> int:
    """The fewest columns that fill the rows of the longest section evenly: 10 cards in 5."""
    most_cards = max(len(section.cards) for section in sections)
    return max(math.ceil(most_cards / math.ceil(most_cards / COLUMNS)), MIN_COLUMNS)


def _draw_text(page: Page, x: float, y: float, card: Card) -> None:
    ground, ink = (colour_of(card.colour_key), _ON_COLOUR) if card.is_known else (_UNKNOWN, MUTED)
    page.box((x, y), (WIDTH, HEIGHT), ground=ground, edge=ground if card.is_known else MUTED)
    width, bottom = WIDTH - 2 * _PADDING, y + HEIGHT - _PADDING
    draw_lines = partial(page.lines, x + _PADDING, width=width, colour=ink)
    title_end = draw_lines(y + _PADDING, card.title, _TITLE, max_lines=5, weight="bold")
    draw_lines(title_end + 3, card.artist, _ARTIST, max_lines=2)
    n_lines = len(page.wrap(card.details, width, 2, _DETAILS))
    draw_lines(bottom - n_lines * LINE_HEIGHT * _DETAILS, card.details, _DETAILS, max_lines=2)


def _draw_poster(page: Page, x: float, y: float, poster: Poster) -> None:
    """Draw the complete image, centred on the card."""
    frame = page.box((x, y), (WIDTH, HEIGHT), ground=_UNKNOWN, edge=RULE)
    height, width = poster.shape[:2]
    scale = min(WIDTH / width, HEIGHT / height)
    left, top = x + (WIDTH - scale * width) / 2, y + (HEIGHT - scale * height) / 2
    extent = (left, left + scale * width, top + scale * height, top)
    limits = page.axes.axis()
    image = page.axes.imshow(poster, extent=extent, aspect="auto", zorder=2)
    image.set_clip_path(frame)
    page.axes.axis(limits)  # imshow changes the limits of the axes
