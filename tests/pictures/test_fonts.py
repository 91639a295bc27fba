"""Words on pictures: where lines break, what fonts have, and that nothing leaves its card."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager

from segue.pictures.canvas import figure_for, page
from segue.pictures.cards import CAPTION, HEIGHT, WIDTH, Card, colour_of, draw_card
from segue.pictures.fonts import ELLIPSIS, NO_GLYPH, Lettering, measure, wrapped
from segue.pictures.pen import Pen

PRIVATE = "\U0010f123"
"""A character that no font has but the one that a test makes."""


def letters(text: str) -> float:
    """Every character is one wide."""
    return float(len(text))


WORDS = st.text(st.sampled_from("ab\u0301 $_"), max_size=60)


@given(text=WORDS, width=st.integers(2, 12), most=st.integers(1, 6))
def test_lines_are_within_the_width_and_lose_nothing(text: str, width: int, most: int) -> None:
    lines = wrapped(text, float(width), most, letters)
    assert len(lines) <= most
    assert all(line == line.strip() and len(line) <= width for line in lines)
    shown, whole = "".join(lines).replace(" ", ""), text.replace(" ", "")
    if shown.endswith(ELLIPSIS):
        assert len(lines) == most
        assert whole.startswith(shown.removesuffix(ELLIPSIS))
    else:
        assert shown == whole


def test_lines_break_at_spaces_and_only_then_inside_words() -> None:
    assert wrapped("one two three", 7.0, 9, letters) == ["one two", "three"]
    assert wrapped("abcdefgh ij", 3.0, 9, letters) == ["abc", "def", "gh", "ij"]
    assert wrapped("one two three", 7.0, 1, letters) == ["one tw" + ELLIPSIS]
    assert wrapped("", 7.0, 1, letters) == []


def test_a_mark_stays_with_its_letter() -> None:
    assert wrapped("aae\u0301e", 3.0, 9, letters) == ["aa", "e\u0301e"]


def test_width_of_a_text_in_points() -> None:
    measured = measure(10.0, "normal")
    assert 0 < measured("i") < measured("m")
    assert measured("mm") == pytest.approx(2 * measured("m"), rel=0.02)
    assert measure(20.0, "normal")("m") == pytest.approx(2 * measured("m"), rel=0.02)
    assert measure(10.0, "bold")("m") > measured("m")


def test_what_no_font_has_becomes_a_box_and_is_said() -> None:
    lettering = Lettering([f"a{PRIVATE}b", PRIVATE])
    assert lettering.drawable(f"a{PRIVATE}b") == f"a{NO_GLYPH}b"
    assert lettering.notes() == ["no installed font has one character: boxes stand there"]
    assert Lettering(["Grüße Ωδή Прощай $_^"]).notes() == []


def test_what_cannot_be_seen_is_left_out() -> None:
    lettering = Lettering(["a\u200d\ufe0fb"])
    assert lettering.drawable(" a\u200d\ufe0fb\x00\tc\n d ") == "ab c d"
    assert lettering.notes() == []


@pytest.fixture
def installed_font(tmp_path: Path) -> Iterator[str]:
    """A font of one more character, installed for a test."""
    pen = TTGlyphPen(None)
    for point in ((0, 0), (0, 500), (500, 500)):
        (pen.lineTo if point != (0, 0) else pen.moveTo)(point)
    pen.closePath()
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", "private"])
    builder.setupCharacterMap({ord(PRIVATE): "private"})
    builder.setupGlyf({".notdef": TTGlyphPen(None).glyph(), "private": pen.glyph()})
    builder.setupHorizontalMetrics({".notdef": (600, 0), "private": (600, 0)})
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Of One Character", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(tmp_path / "font.ttf")
    before = list(fontManager.ttflist)
    fontManager.addfont(tmp_path / "font.ttf")
    yield "Of One Character"
    fontManager.ttflist[:] = before


def test_another_installed_font_helps_out(installed_font: str, tmp_path: Path) -> None:
    lettering = Lettering([f"a{PRIVATE}"])
    assert lettering.families == [installed_font]
    assert lettering.notes() == []
    with figure_for(tmp_path / "text.png", lettering.families) as figure:
        Pen(page(figure, 50.0, 20.0), lettering).text(5.0, 5.0, f"a{PRIVATE}", 9.0)
    assert (tmp_path / "text.png").stat().st_size > 0


def card(title: str, credit: str = "", details: str = "", *, is_known: bool = True) -> Card:
    return Card("i", title, credit, details, title, "1,234", "score -12.34", is_known)


LONG = "An exceedingly long title of many words which could not possibly be shown in full here"


@pytest.mark.parametrize("shown", [
    card("A"),
    card(LONG, LONG, LONG),
    card("W" * 80, "m" * 80, "ж" * 80),
    card(r"$\frac{1}{2 costs $10_000", "$a_b$", "^_^ #1 ~ %"),
    card("no-such-item", details="unknown to the model", is_known=False),
])  # fmt: skip
def test_all_words_of_a_card_are_on_it_and_none_overlap(shown: Card, tmp_path: Path) -> None:
    x, y = 20.0, 30.0
    with figure_for(tmp_path / "card.png") as figure:
        axes = page(figure, 200.0, 260.0)
        draw_card(Pen(axes, Lettering([])), x, y, shown)
        boxes = text_boxes(axes, figure)
    for left, top, right, bottom in boxes:
        assert x - 0.5 <= left
        assert right <= x + WIDTH + 0.5
        assert y <= top
        assert bottom <= y + HEIGHT + CAPTION
    for number, (left, top, right, bottom) in enumerate(boxes):
        for other in boxes[:number]:
            apart = left >= other[2] or other[0] >= right or top >= other[3] or other[1] >= bottom
            assert apart


def text_boxes(axes: Axes, figure: Figure) -> list[tuple[float, float, float, float]]:
    """Left, top, right and bottom of every text that shows, in points; no formula among them."""
    boxes = []
    for text in axes.texts:
        assert not text.get_parse_math()
        if text.get_text():
            extent = text.get_window_extent().transformed(axes.transData.inverted())
            boxes.append(
                (extent.x0, min(extent.y0, extent.y1), extent.x1, max(extent.y0, extent.y1))
            )
    return boxes


def test_a_colour_belongs_to_its_kin() -> None:
    assert colour_of("The Bujis") == colour_of("The Bujis") == "#58683a"
    assert len({colour_of(f"artist {n}") for n in range(50)}) > 5
