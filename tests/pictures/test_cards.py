"""Item cards: all text is on the card without overlap, and colours depend on the key."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from segue.pictures.cards import CAPTION, HEIGHT, WIDTH, Card, colour_of, draw_card
from segue.pictures.figures import new_figure
from segue.pictures.fonts import TextFonts
from segue.pictures.page import Page


def card_of(title: str, artist: str = "", details: str = "", *, is_known: bool = True) -> Card:
    return Card("i", title, artist, details, title, "1,234", "score -12.34", is_known)


LONG = "An exceedingly long title of many words which could not possibly be shown in full here"


@pytest.mark.parametrize("card", [
    card_of("A"),
    card_of(LONG, LONG, LONG),
    card_of("W" * 80, "m" * 80, "ж" * 80),
    card_of(r"$\frac{1}{2 costs $10_000", "$a_b$", "^_^ #1 ~ %"),
    card_of("no-such-item", details="unknown to the model", is_known=False),
])  # fmt: skip
def test_all_text_of_a_card_is_on_it_without_overlap(card: Card, tmp_path: Path) -> None:
    x, y = 20.0, 30.0
    with new_figure(tmp_path / "card.png") as figure:
        page = Page(figure, 200.0, 260.0, TextFonts([]))
        draw_card(page, x, y, card)
        boxes = text_boxes(page.axes, figure)
    for left, top, right, bottom in boxes:
        assert x - 0.5 <= left
        assert right <= x + WIDTH + 0.5
        assert y <= top
        assert bottom <= y + HEIGHT + CAPTION
    for number, first in enumerate(boxes):
        assert not any(overlap(first, second) for second in boxes[:number])


Box = tuple[float, float, float, float]


def overlap(first: Box, second: Box) -> bool:
    left, top, right, bottom = first
    is_apart = left >= second[2] or second[0] >= right or top >= second[3] or second[1] >= bottom
    return not is_apart


def text_boxes(axes: Axes, figure: Figure) -> list[Box]:
    """Left, top, right and bottom of every visible text, in points; no text is a formula."""
    boxes = []
    for text in axes.texts:
        assert not text.get_parse_math()
        if text.get_text():
            extent = text.get_window_extent().transformed(axes.transData.inverted())
            boxes.append(
                (extent.x0, min(extent.y0, extent.y1), extent.x1, max(extent.y0, extent.y1))
            )
    return boxes


def test_the_colour_is_determined_by_the_key() -> None:
    assert colour_of("The Bujis") == colour_of("The Bujis") == "#58683a"
    assert len({colour_of(f"artist {n}") for n in range(50)}) > 5
