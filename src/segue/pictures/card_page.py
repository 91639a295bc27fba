"""A page of cards: sections with a heading each, in rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from segue.pictures.canvas import MUTED, RULE, figure_for, page
from segue.pictures.cards import CAPTION, HEIGHT, POSTER_CAPTION, WIDTH, Card, draw_card
from segue.pictures.fonts import Lettering
from segue.pictures.pen import Pen

COLUMNS = 7
FEWEST_COLUMNS = 3
"""A narrower page has no room for its headings."""

_MARGIN, _GAP, _HEADING, _BETWEEN = 30.0, 14.0, 46.0, 26.0


class Section(NamedTuple):
    """A part of a page: its heading, a remark below it, and its cards."""

    heading: str
    remark: str
    cards: Sequence[Card]


def draw_cards(file: Path, sections: Sequence[Section]) -> list[str]:
    """Write a page of sections, one below the other.

    Returns:
        Notes on characters that could not be drawn.

    Raises:
        StorageError: the file cannot be written.
    """
    cards = [card for section in sections for card in section.cards]
    texts = [text for card in cards for text in (card.title, card.credit, card.details)]
    lettering = Lettering([*texts, *(section.remark for section in sections)])
    columns = _columns(sections)
    n_rows = [math.ceil(len(section.cards) / columns) for section in sections]
    has_posters = any(card.poster is not None for card in cards)
    row = HEIGHT + (POSTER_CAPTION if has_posters else CAPTION) + _GAP
    heights = [_HEADING + row * n for n in n_rows]
    width = 2 * _MARGIN + columns * (WIDTH + _GAP) - _GAP
    height = 2 * _MARGIN + sum(heights) + _BETWEEN * (len(sections) - 1) - _GAP
    with figure_for(file, lettering.families) as figure:
        axes = page(figure, width, height)
        pen, top = Pen(axes, lettering), _MARGIN
        for number, (section, used) in enumerate(zip(sections, heights, strict=True)):
            if number:
                line = top - (_BETWEEN + _GAP) / 2
                axes.plot([_MARGIN, width - _MARGIN], [line, line], color=RULE, linewidth=0.8)
            _draw_section(pen, section, top, columns, row)
            top += used + _BETWEEN
    return lettering.notes()


def _draw_section(pen: Pen, section: Section, top: float, columns: int, height: float) -> None:
    pen.text(_MARGIN, top, section.heading, 14.0, weight="bold")
    room = columns * (WIDTH + _GAP) - _GAP
    pen.lines(_MARGIN, top + 20, section.remark, 9.0, width=room, most=1, colour=MUTED)
    for number, card in enumerate(section.cards):
        row, column = divmod(number, columns)
        x, y = _MARGIN + column * (WIDTH + _GAP), top + _HEADING + row * height
        draw_card(pen, x, y, card)


def _columns(sections: Sequence[Section]) -> int:
    """As few as keep the rows of the longest section even: 10 cards are two rows of 5."""
    most = max(len(section.cards) for section in sections)
    return max(math.ceil(most / math.ceil(most / COLUMNS)), FEWEST_COLUMNS)
