"""Records of text tables in every form that people have, read line by line with exact errors.

Slower than DuckDB, which reads ordinary files, but it accepts any encoding, any separator, line
ends of several kinds, and quotes that are literal or escaped. The first of several ways to read
the quotes that fits the whole file is used; each is applied to all lines alike.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from segue.errors import SourceError, quantity
from segue.sources.text.format import BLANKS, TextFormat
from segue.sources.text.lines import MAX_LINE, lines

_UNIT_SEPARATOR = "\x1f"
"""Stands for a separator of several characters while Python's CSV reader splits a line."""


class Record(NamedTuple):
    """One row of a text table.

    Attributes:
        line: the line on which it ends, counted from 1.
    """

    line: int
    fields: list[str]


class RecordError(Exception):
    """A line that does not fit the format.

    Attributes:
        is_ambiguous: the line fits, but is probably not meant to be read so.
    """

    def __init__(self, line: int, problem: str, *, is_ambiguous: bool = False) -> None:
        super().__init__(f"line {line} {problem}")
        self.is_ambiguous = is_ambiguous


class Reading(NamedTuple):
    """One way to read the quotes of a file.

    Attributes:
        text: the format with the quotes and escapes of this way.
        description: for the warning that this way was used; empty for the ordinary one.
        is_lenient: a field whose quotes do not fit is literal, where its column is not used.
    """

    text: TextFormat
    description: str
    is_lenient: bool = False


def readings_of(text: TextFormat) -> list[Reading]:
    """The ways to read a file, in order of preference; only one if its quotes are given."""
    ordinary = Reading(text, "")
    if not text.quote or text.quotes_are_given or len(text.separator) > 1:
        return [ordinary]
    return [
        ordinary,
        Reading(replace(text, escape="\\"), "with backslashes before quotes"),
        Reading(text, "with literal quotes in columns that are not used", is_lenient=True),
        Reading(replace(text, quote=""), "with literal quotes"),
    ]


def records(file: Path, reading: Reading, n_columns: int, used: Sequence[int]) -> Iterator[Record]:
    """The rows of a text file, the header included.

    Args:
        n_columns: the number of fields that each row must have; any for a sequence per line.
        used: the positions of the columns that are used.

    Raises:
        RecordError: a row does not fit the format.
        SourceError: the file cannot be read.
    """
    text = reading.text
    source = _content_lines(file, text)
    if text.separator == BLANKS or not (text.quote or text.escape):
        rows = _split_rows(source, text)
    elif reading.is_lenient:
        rows = _lenient_rows(source, text, n_columns, used)
    else:
        rows = _quoted_rows(source, text, n_columns)
    for row in rows:
        if not row.fields or (len(row.fields) == 1 < n_columns and not row.fields[0].strip()):
            continue
        if text.is_sequence_per_line:
            if len(row.fields) < 2:
                raise RecordError(row.line, "has no item, expected an id and the ids of its items")
        elif len(row.fields) != n_columns and not _ends_in_separator(row, n_columns):
            problem = f"has {quantity(len(row.fields), 'column')}, expected {n_columns}"
            raise RecordError(row.line, problem)
        if not text.quote and not text.quotes_are_given and text.separator not in ("\t", BLANKS):
            _refuse_quoted(row, used, reading)
        yield row


@contextmanager
def long_fields() -> Iterator[None]:
    """Let Python's CSV reader accept fields of up to ``MAX_LINE`` characters."""
    limit = csv.field_size_limit(MAX_LINE)
    try:
        yield
    finally:
        csv.field_size_limit(limit)


def _content_lines(file: Path, text: TextFormat) -> Iterator[tuple[int, str]]:
    """The numbered lines after those that are skipped; comments become blank lines."""
    for number, line in enumerate(lines(file, text.encoding), start=1):
        if number > text.skip:
            is_comment = text.comment and line.startswith(text.comment)
            yield number, "\n" if is_comment else line


def _ends_in_separator(row: Record, n_columns: int) -> bool:
    """Whether a row has one separator too many, at its end, which DuckDB also accepts."""
    return len(row.fields) == n_columns + 1 and not row.fields[-1]


def _split_rows(source: Iterator[tuple[int, str]], text: TextFormat) -> Iterator[Record]:
    separator = None if text.separator == BLANKS else text.separator
    for number, line in source:
        content = line.rstrip("\r\n")
        yield Record(number, content.split(separator) if content else [])


def _quoted_rows(
    source: Iterator[tuple[int, str]], text: TextFormat, n_columns: int
) -> Iterator[Record]:
    is_wide = len(text.separator) > 1
    delimiter = _UNIT_SEPARATOR if is_wide else text.separator
    pulled: list[tuple[int, str]] = []

    def prepared_lines() -> Iterator[str]:
        for number, line in source:
            pulled.append((number, line))
            prepared = line.replace(text.separator, _UNIT_SEPARATOR) if is_wide else line
            yield _with_protected_escapes(prepared, text)

    reader = csv.reader(
        prepared_lines(),
        delimiter=delimiter,
        quotechar=text.quote or None,
        quoting=csv.QUOTE_MINIMAL if text.quote else csv.QUOTE_NONE,
        escapechar=text.escape or None,
        strict=True,
    )
    while True:
        pulled.clear()
        try:
            fields = next(reader, None)
        except csv.Error as error:
            raise _quote_error(pulled, str(error)) from None
        if fields is None:
            return
        if len(pulled) > 1 and not text.quotes_are_given:
            _refuse_swallowed_rows(pulled, text, n_columns)
        if is_wide:
            fields = [field.replace(_UNIT_SEPARATOR, text.separator) for field in fields]
        yield Record(pulled[-1][0], fields)


def _quote_error(pulled: list[tuple[int, str]], error: str) -> RecordError:
    # An unclosed quote is found at the end of the file; it is on the first line of the record.
    if "end of data" in error or "field limit" in error or len(pulled) > 1:
        return RecordError(pulled[0][0], "has a quote that is not closed")
    return RecordError(pulled[-1][0], "has text after a quote that is closed")


def _refuse_swallowed_rows(pulled: list[tuple[int, str]], text: TextFormat, n_columns: int) -> None:
    """A quoted field over several lines is not plausible if each line is a row by itself."""
    if n_columns > 1 and all(
        line.count(text.separator) == n_columns - 1 for _, line in pulled if line.strip()
    ):
        problem = f"has a quote that closes only on line {pulled[-1][0]}, and each line is a row"
        raise RecordError(pulled[0][0], problem, is_ambiguous=True)


def _with_protected_escapes(line: str, text: TextFormat) -> str:
    """Double the escape characters that escape nothing, because they are part of the text."""
    if not text.escape or text.escape not in line:
        return line
    special = re.escape(text.escape + text.quote + text.separator)
    pattern = rf"({re.escape(text.escape)}[{special}\r\n])|{re.escape(text.escape)}"
    return re.sub(pattern, lambda match: match[1] or text.escape * 2, line)


def _lenient_rows(
    source: Iterator[tuple[int, str]], text: TextFormat, n_columns: int, used: Sequence[int]
) -> Iterator[Record]:
    for number, line in source:
        content = line.rstrip("\r\n")
        if not content:
            continue
        fields = _lenient_fields(content, text)
        if len(fields) == n_columns and any(text.quote in fields[i] for i in used):
            raise RecordError(number, "has a quote within a field that is used")
        yield Record(number, fields)


def _lenient_fields(line: str, text: TextFormat) -> list[str]:
    """Split a line; a quoted field ends at a quote before a separator, other quotes are literal."""
    quote, separator = text.quote, text.separator
    if quote not in line:
        return line.split(separator)
    fields, start, line = [], 0, line + separator
    while start < len(line):
        end, is_quoted = -1, line.startswith(quote, start)
        if is_quoted:
            end = line.find(quote + separator, start + 1)
        if end >= 0:
            fields.append(line[start + 1 : end].replace(quote * 2, quote))
            start = end + 1 + len(separator)
        else:
            end = line.index(separator, start)
            fields.append(line[start:end])
            start = end + len(separator)
    return fields


def _refuse_quoted(row: Record, used: Sequence[int], reading: Reading) -> None:
    """A used field that begins with a quote shows that the quotes of the file are not literal."""
    if reading.description and any(row.fields[i].startswith('"') for i in used):
        raise RecordError(row.line, "has a quote that does not fit")


def source_error(file: Path, error: RecordError, text: TextFormat) -> SourceError:
    """The ``SourceError`` for a row that does not fit the format."""
    if "quote" in str(error):
        hint = "correct the line; for quotes that are part of the text add --quote none"
        if error.is_ambiguous:
            hint = "add --quote '\"' if it is one text, or --quote none if quotes are part of it"
    elif text.is_sequence_per_line:
        hint = "leave the line out, or add its items"
    elif text.separator == BLANKS:
        hint = "correct the line; for one sequence per line add --columns user,items"
    else:
        hint = "correct the line" + (", or put quotes around its texts" if text.quote else "")
        hint += f"; the separator is {text.separator!r}, --format tabular --separator sets another"
    return SourceError(f"{file}: {error}", hint)
