"""Words on pictures: which fonts have their characters, how wide they are, where they break."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

from matplotlib import get_data_path
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.font_manager import FontEntry, FontProperties, findfont, fontManager
from matplotlib.ft2font import FT2Font

FIRST_FAMILY = "DejaVu Sans"
"""Comes with matplotlib, so a picture looks the same on every machine."""

NO_GLYPH = "\N{WHITE SQUARE}"
ELLIPSIS = "…"

PIXELS_PER_POINT = 10
"""That widths are measured with."""

Measure = Callable[[str], float]
"""Width of a text in points."""


class Lettering:
    """Fonts for some texts.

    Attributes:
        families: installed fonts that have what ``FIRST_FAMILY`` lacks.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        first = _face(findfont(FontProperties(family=FIRST_FAMILY)))
        missing = {c for text in texts for c in text if not (c.isspace() or _is_invisible(c))}
        missing -= _drawn_by(first, missing)
        self.families: list[str] = []
        for family, file in _other_fonts() if missing else ():
            if found := _drawn_by(_face(file), missing):
                self.families.append(family)
                missing -= found
        self._missing = missing

    def drawable(self, text: str) -> str:
        """The text in one line, with a box for each character that there is no font for."""
        shown = (NO_GLYPH if character in self._missing else character for character in text)
        kept = (character for character in shown if not _is_invisible(character))
        return " ".join("".join(kept).split())

    def notes(self) -> list[str]:
        """What to say of characters that no installed font has."""
        n = len(self._missing)
        characters = "one character" if n == 1 else f"{n} different characters"
        return [f"no installed font has {characters}: boxes stand there"] if n else []


def measure(size: float, weight: str, families: Iterable[str] = ()) -> Measure:
    """What tells the width of texts in a font, in points."""
    font = FontProperties(family=[FIRST_FAMILY, *families], size=size, weight=weight)
    # Letters stand on whole pixels: many of them to the point, and widths are true.
    renderer = RendererAgg(1, 1, 72 * PIXELS_PER_POINT)
    return lambda text: (
        renderer.get_text_width_height_descent(text, font, False)[0] / PIXELS_PER_POINT
    )


def wrapped(text: str, width: float, most: int, measured: Measure) -> list[str]:
    """Break a text into at most ``most`` lines of a width, with an ellipsis if it is longer.

    Lines break at spaces, and inside a word where the word alone is wider than a line.
    """
    lines: list[str] = []
    rest = text.strip()
    while rest and len(lines) < most:
        end = _fitting(rest, width, measured)
        space = rest.rfind(" ", 0, end + 1)
        if end < len(rest) and space > 0:
            end = space
        lines.append(rest[:end].rstrip())
        rest = rest[end:].lstrip()
    if rest:
        last = lines[-1]
        last = last[: _fitting(last, width - measured(ELLIPSIS), measured)]
        lines[-1] = last.rstrip() + ELLIPSIS
    return lines


def _fitting(text: str, width: float, measured: Measure) -> int:
    """How many of the first characters fit into a width: at least one, marks with their letter."""
    low, high = 1, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if measured(text[:middle]) <= width else (low, middle - 1)
    while 1 < low < len(text) and unicodedata.combining(text[low]):
        low -= 1
    return low


def _is_invisible(character: str) -> bool:
    """Controls, joiners and variation selectors; white space is not among them."""
    is_selector = "\ufe00" <= character <= "\ufe0f"
    return is_selector or (
        unicodedata.category(character) in ("Cc", "Cf") and not character.isspace()
    )


def _other_fonts() -> list[tuple[str, str]]:
    """Families installed on this machine, each with the file of its plainest face, by name.

    Those that come with matplotlib are for formulas, or draw a box for everything.
    """
    faces: dict[str, str] = {}
    bundled = Path(get_data_path())
    for face in sorted(fontManager.ttflist, key=_plainness):
        if not Path(face.fname).is_relative_to(bundled):
            faces.setdefault(face.name, face.fname)
    return sorted(faces.items())


def _plainness(face: FontEntry) -> tuple[bool, bool]:
    return face.style != "normal", face.weight not in (400, "normal", "regular")


@cache
def _face(file: str) -> FT2Font | None:
    """A font; None if it cannot be read, or is made of images of one size."""
    try:
        font = FT2Font(file)
    except (OSError, RuntimeError):
        return None
    return font if font.scalable else None


def _drawn_by(font: FT2Font | None, characters: set[str]) -> set[str]:
    if font is None:
        return set()
    return {character for character in characters if font.get_char_index(ord(character))}
