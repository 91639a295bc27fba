"""Fonts for text on pictures: fallback fonts, text widths and line breaks."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

from matplotlib import get_data_path
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.font_manager import FontEntry, FontProperties, findfont, fontManager
from matplotlib.ft2font import FT2Font

from segue.errors import quantity

FIRST_FAMILY = "DejaVu Sans"
"""The default font. It comes with matplotlib, so a picture looks the same on every machine."""

NO_GLYPH = "\N{WHITE SQUARE}"
ELLIPSIS = "…"

PIXELS_PER_POINT = 10
"""Resolution at which text widths are measured."""

TextWidth = Callable[[str], float]
"""Maps a text to its width in points."""


class TextFonts:
    """Fallback fonts for the characters of some texts.

    Attributes:
        families: installed fonts with characters that ``FIRST_FAMILY`` lacks.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        first = _load_font(findfont(FontProperties(family=FIRST_FAMILY)))
        missing = {c for text in texts for c in text if not (c.isspace() or _is_invisible(c))}
        missing -= _supported(first, missing)
        self.families: list[str] = []
        for family, file in _installed_fonts() if missing else ():
            if supported := _supported(_load_font(file), missing):
                self.families.append(family)
                missing -= supported
        self._missing = missing

    def drawable(self, text: str) -> str:
        """The text as one line, with a box in place of each character that no font has."""
        replaced = (NO_GLYPH if character in self._missing else character for character in text)
        visible = (character for character in replaced if not _is_invisible(character))
        return " ".join("".join(visible).split())

    def notes(self) -> list[str]:
        """A note on the characters that no installed font has; empty if there are none."""
        if not self._missing:
            return []
        characters = quantity(len(self._missing), "character is", "different characters are")
        return [f"{characters} drawn as a box: no installed font has a glyph"]


def text_width(size: float, weight: str, families: Iterable[str] = ()) -> TextWidth:
    """A function that measures the width of texts in points.

    Args:
        size: font size in points.
        weight: ``normal`` or ``bold``.
        families: fallback fonts.
    """
    font = FontProperties(family=[FIRST_FAMILY, *families], size=size, weight=weight)
    # The renderer rounds letters to whole pixels. Many pixels per point keep widths accurate.
    renderer = RendererAgg(1, 1, 72 * PIXELS_PER_POINT)
    return lambda text: (
        renderer.get_text_width_height_descent(text, font, False)[0] / PIXELS_PER_POINT
    )


def wrap(text: str, width: float, max_lines: int, width_of: TextWidth) -> list[str]:
    """Break a text into at most ``max_lines`` lines, with an ellipsis if it does not fit.

    Lines break at spaces, or inside a word that is wider than a line.

    Args:
        text: the text.
        width: maximum width of a line, in points.
        max_lines: maximum number of lines.
        width_of: measures the width of a text in points.
    """
    lines: list[str] = []
    rest = text.strip()
    while rest and len(lines) < max_lines:
        end = _fitting_length(rest, width, width_of)
        space = rest.rfind(" ", 0, end + 1)
        if end < len(rest) and space > 0:
            end = space
        lines.append(rest[:end].rstrip())
        rest = rest[end:].lstrip()
    if rest:
        last = lines[-1]
        last = last[: _fitting_length(last, width - width_of(ELLIPSIS), width_of)]
        lines[-1] = last.rstrip() + ELLIPSIS
    return lines


def _fitting_length(text: str, width: float, width_of: TextWidth) -> int:
    """How many leading characters fit, at least one; combining marks stay with their letter."""
    low, high = 1, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if width_of(text[:middle]) <= width else (low, middle - 1)
    while 1 < low < len(text) and unicodedata.combining(text[low]):
        low -= 1
    return low


def _is_invisible(character: str) -> bool:
    """Whether it is a control, joiner or variation selector; white space is not."""
    is_selector = "\ufe00" <= character <= "\ufe0f"
    return is_selector or (
        unicodedata.category(character) in ("Cc", "Cf") and not character.isspace()
    )


def _installed_fonts() -> list[tuple[str, str]]:
    """Font families of this machine by name, each with the file of its most regular face.

    The fonts that come with matplotlib are left out: they are for formulas, or have a placeholder
    for every character.
    """
    faces: dict[str, str] = {}
    bundled = Path(get_data_path())
    for face in sorted(fontManager.ttflist, key=_style_order):
        if not Path(face.fname).is_relative_to(bundled):
            faces.setdefault(face.name, face.fname)
    return sorted(faces.items())


def _style_order(face: FontEntry) -> tuple[bool, bool]:
    """Sort key with upright faces of normal weight first."""
    return face.style != "normal", face.weight not in (400, "normal", "regular")


@cache
def _load_font(file: str) -> FT2Font | None:
    """Load a font; None if it cannot be read, or is a bitmap font of one size."""
    try:
        font = FT2Font(file)
    except (OSError, RuntimeError):
        return None
    return font if font.scalable else None


def _supported(font: FT2Font | None, characters: set[str]) -> set[str]:
    """The characters that a font has a glyph for."""
    if font is None:
        return set()
    return {character for character in characters if font.get_char_index(ord(character))}
