"""Lines of text files: encodings, byte order marks and line ends, in bounded memory."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from segue.errors import SourceError
from segue.sources.byte_streams import open_bytes

BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""The first bytes of a text file -> its encoding. UTF-32 comes first: its mark starts alike."""

MAX_LINE = 1 << 26
"""Longest line that is read, in characters. More is a file of another kind, or damaged."""

_MARK = "\ufeff"


class EncodingError(SourceError):
    """Text that is not of the encoding with which it is read."""


def encoding_of(start: bytes) -> str | None:
    """The encoding that the byte order mark of a text names; None without a mark."""
    marks = (name for mark, name in BYTE_ORDER_MARKS.items() if start.startswith(mark))
    return next(marks, None)


def decode_start(start: bytes, encoding: str, file: Path) -> str:
    """Decode the first bytes of a text, which may end within a character.

    Bytes that are not valid become lone surrogates, as in ``lines``.

    Raises:
        SourceError: the text is not of this encoding at all.
    """
    try:
        decoder = codecs.getincrementaldecoder(encoding)(_error_handler(encoding))
        return decoder.decode(start).removeprefix(_MARK)
    except UnicodeError:
        raise encoding_error(file, encoding) from None


def lines(file: Path, encoding: str) -> Iterator[str]:
    """The lines of a text file with their line ends, which may be LF, CR or CRLF in any mixture.

    Bytes that are not valid in the encoding become lone surrogates, so that they matter only
    where they are used; see ``is_decoded``.

    Raises:
        SourceError: the file cannot be read, or a line is longer than ``MAX_LINE``.
    """
    with open_bytes(file) as stream:
        text = io.TextIOWrapper(stream, encoding, _error_handler(encoding), newline="")
        with closing(text):
            yield from _bounded_lines(text, file, encoding)


def is_decoded(text: str) -> bool:
    """Whether a text from ``lines`` contains no bytes that are invalid in its encoding."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def printable(text: str) -> str:
    """A text from ``lines`` with replacement characters for what is invalid in its encoding."""
    return text.encode(errors="surrogateescape").decode(errors="replace")


def encoding_error(file: Path, encoding: str, line: int | None = None) -> EncodingError:
    """The error for text that is not of the encoding with which it is read."""
    name = codecs.lookup(encoding).name.upper()
    place = f"{file}: line {line}" if line else str(file)
    hint = "name its encoding, as in --encoding latin-1, cp1252 or utf-16"
    return EncodingError(f"{place} is not {name} text", hint)


def _bounded_lines(text: io.TextIOWrapper, file: Path, encoding: str) -> Iterator[str]:
    number = 0
    try:
        line = text.readline(MAX_LINE).removeprefix(_MARK)
        while line:
            number += 1
            if len(line) >= MAX_LINE:
                message = f"{file}: line {number} is longer than {MAX_LINE:,} characters"
                raise SourceError(message, "check that it is a table in text")
            yield line
            line = text.readline(MAX_LINE)
    except UnicodeError:
        raise encoding_error(file, encoding, number + 1) from None


def _error_handler(encoding: str) -> str:
    # Encodings of several bytes per character have no single bytes to set aside.
    wide = codecs.lookup(encoding).name.startswith(("utf-16", "utf-32"))
    return "strict" if wide else "surrogateescape"
