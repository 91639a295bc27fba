"""Fonts: line breaks, text widths, fallback fonts and characters without a glyph."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.font_manager import fontManager

from segue.pictures.figures import new_figure
from segue.pictures.fonts import ELLIPSIS, NO_GLYPH, TextFonts, text_width, wrap
from segue.pictures.page import Page

PRIVATE = "\U0010f123"
"""A character that only the font built by a test has."""


def n_letters(text: str) -> float:
    """A width of 1 per character."""
    return float(len(text))


TEXTS = st.text(st.sampled_from("ab\u0301 $_"), max_size=60)


@given(text=TEXTS, width=st.integers(2, 12), max_lines=st.integers(1, 6))
def test_lines_fit_the_width_and_lose_no_characters(text: str, width: int, max_lines: int) -> None:
    lines = wrap(text, float(width), max_lines, n_letters)
    assert len(lines) <= max_lines
    assert all(line == line.strip() and len(line) <= width for line in lines)
    wrapped, original = "".join(lines).replace(" ", ""), text.replace(" ", "")
    if wrapped.endswith(ELLIPSIS):
        assert len(lines) == max_lines
        assert original.startswith(wrapped.removesuffix(ELLIPSIS))
    else:
        assert wrapped == original


def test_lines_break_at_spaces_and_otherwise_inside_words() -> None:
    assert wrap("one two three", 7.0, 9, n_letters) == ["one two", "three"]
    assert wrap("abcdefgh ij", 3.0, 9, n_letters) == ["abc", "def", "gh", "ij"]
    assert wrap("one two three", 7.0, 1, n_letters) == ["one tw" + ELLIPSIS]
    assert wrap("", 7.0, 1, n_letters) == []


def test_a_combining_mark_stays_with_its_letter() -> None:
    assert wrap("aae\u0301e", 3.0, 9, n_letters) == ["aa", "e\u0301e"]


def test_width_of_a_text_in_points() -> None:
    width_of = text_width(10.0, "normal")
    assert 0 < width_of("i") < width_of("m")
    assert width_of("mm") == pytest.approx(2 * width_of("m"), rel=0.02)
    assert text_width(20.0, "normal")("m") == pytest.approx(2 * width_of("m"), rel=0.02)
    assert text_width(10.0, "bold")("m") > width_of("m")


def test_a_character_without_a_glyph_becomes_a_box_with_a_note() -> None:
    fonts = TextFonts([f"a{PRIVATE}b", PRIVATE])
    assert fonts.drawable(f"a{PRIVATE}b") == f"a{NO_GLYPH}b"
    assert fonts.notes() == ["1 character is drawn as a box: no installed font has a glyph"]
    assert TextFonts(["Grüße Ωδή Прощай $_^"]).notes() == []


def test_several_characters_without_a_glyph_are_counted() -> None:
    fonts = TextFonts([f"{PRIVATE}{PRIVATE}\U0010f124"])
    expected = "2 different characters are drawn as a box: no installed font has a glyph"
    assert fonts.notes() == [expected]


def test_invisible_characters_are_left_out() -> None:
    fonts = TextFonts(["a\u200d\ufe0fb"])
    assert fonts.drawable(" a\u200d\ufe0fb\x00\tc\n d ") == "ab c d"
    assert fonts.notes() == []


@pytest.fixture
def installed_font(tmp_path: Path) -> Iterator[str]:
    """The family of a font with the character ``PRIVATE``, installed for a test."""
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
    builder.setupNameTable({"familyName": "Single Character", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(tmp_path / "font.ttf")
    before = list(fontManager.ttflist)
    fontManager.addfont(tmp_path / "font.ttf")
    yield "Single Character"
    fontManager.ttflist[:] = before


def test_an_installed_font_is_used_as_fallback(installed_font: str, tmp_path: Path) -> None:
    fonts = TextFonts([f"a{PRIVATE}"])
    assert fonts.families == [installed_font]
    assert fonts.notes() == []
    with new_figure(tmp_path / "text.png", fonts.families) as figure:
        Page(figure, 50.0, 20.0, fonts).text(5.0, 5.0, f"a{PRIVATE}", 9.0)
    assert (tmp_path / "text.png").stat().st_size > 0
