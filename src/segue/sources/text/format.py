"""TextFormat: encoding, separator, quotes and header of a text table, given or detected.

The first lines of a file decide: its byte order mark, a ``sep=`` line, leading comment lines, the
separator, and whether the first row names the columns or is an event.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from segue.config import SourceConfig
from segue.errors import SourceError
from segue.sources.byte_streams import SAMPLE_BYTES, compression_of, read_start
from segue.sources.column_roles import is_list_name, is_usual
from segue.sources.text.header_detection import (
    are_numbered,
    column_names,
    is_probably_data,
    list_of_roles,
)
from segue.sources.text.lines import EncodingError, decode_start, encoding_of, printable
from segue.sources.text.list_texts import is_list

BLANKS = " "
"""The separator that stands for one or more blanks or tabs."""

SAMPLE_LINES = 200
"""Lines at the beginning of a text file that decide how it is read."""

SEPARATORS = ("\t", ",", ";", "|", "::")
"""Separators that are recognised, in order of preference."""

MAX_NAME = 10_000
"""Longest name of a column, in characters."""

_SEPARATOR_LINE = re.compile(r'"?sep=(.+?)"?\s*', re.IGNORECASE)


@dataclass(frozen=True)
class TextFormat:
    """How a text table is written.

    Attributes:
        separator: between the fields of a row; ``BLANKS`` for any number of blanks.
        quote: the character around fields that contain separators; empty if there is none.
        escape: the character before a quote inside quotes; empty if such a quote is doubled.
        encoding: the name of a Python codec.
        compression: see ``byte_streams.compression_of``.
        has_header: whether the first row names the columns.
        skip: number of lines before the first row.
        comment: lines that begin with it are left out; empty for none.
        is_sequence_per_line: whether each line is a sequence id and the ids of its items.
        quotes_are_given: whether ``quote`` or ``escape`` are options rather than defaults.
    """

    separator: str = ","
    quote: str = '"'
    escape: str = ""
    encoding: str = "utf-8"
    compression: str = "none"
    has_header: bool = True
    skip: int = 0
    comment: str = ""
    is_sequence_per_line: bool = False
    quotes_are_given: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether DuckDB can read the format."""
        return (
            self.encoding == "utf-8"
            and self.compression in ("none", "gzip", "zstd")
            and (len(self.separator) == 1 or (self.separator == "::" and not self.quote))
            and not (self.escape or self.comment or self.skip or self.is_sequence_per_line)
        )


class DetectedText(NamedTuple):
    """The format of a text file, with what its first row says.

    Attributes:
        names: the names of the columns, distinct ignoring case.
        repeated: the names, in lower case, that several columns of the file have.
        warnings: what was detected that is not ordinary.
        lists: the columns whose texts are lists; see ``segue.sources.text.list_texts``.
    """

    text: TextFormat
    names: list[str]
    repeated: frozenset[str]
    warnings: list[str]
    lists: list[str]


def detect_encoding(file: Path, config: SourceConfig) -> tuple[str, str]:
    """The beginning of a text file, decoded, and its encoding: given, by its mark, or UTF-8.

    Raises:
        SourceError: the file cannot be read, is empty, or is not text of this encoding.
    """
    start = read_start(file)
    encoding = encoding_of(start) or config.encoding or "utf-8"
    text = decode_start(start, encoding, file)
    if not text.strip():
        raise SourceError(f"{file} is empty", "expected a table with one event or item per row")
    if "\0" in text[:1000]:
        hint = "convert it to CSV, TSV, JSONL or Parquet; for text name the encoding, as in "
        raise EncodingError(f"{file} is not UTF-8 text", hint + "--encoding utf-16-le")
    return text, encoding


def detect_text(file: Path, config: SourceConfig, *, pairs: bool) -> DetectedText:
    """Detect the format of a text file; the options of ``config`` take precedence.

    Args:
        pairs: whether the file may be a list of ``user item`` pairs or have another form
            without a header.

    Raises:
        SourceError: the file cannot be read or is empty, or its first row is not a header.
    """
    sample, encoding = detect_encoding(file, config)
    lines = re.split(r"\r\n|\r|\n", sample)
    if len(sample) >= SAMPLE_BYTES // 4 and len(lines) > 1:
        lines.pop()  # possibly not complete
    elif len(lines) == 1 and len(sample.encode(errors="replace")) >= SAMPLE_BYTES:
        message = f"the first line of {file} is longer than {SAMPLE_BYTES:,} bytes"
        raise SourceError(message, "expected the names of the columns")
    comment = config.comment or ""
    skip, separator, n_comments = _first_row(lines, comment)
    rows = [line for line in lines[skip : skip + SAMPLE_LINES] if line.strip()]
    # Bytes that are not of the encoding matter only where they are used, not in names.
    rows = [printable(line) for line in rows if not (comment and line.startswith(comment))]
    if not rows:
        raise SourceError(f"{file} has no row", "expected a table with one event or item per row")
    separator = config.separator or separator or _separator_of(rows)
    quote = '"' if len(separator) == 1 and separator != BLANKS else ""
    if config.quote is not None:
        quote = "" if config.quote == "none" else config.quote
    if max(map(len, fields_of(rows[0], separator, quote))) > MAX_NAME:
        message = f"the first line of {file} is not a valid header: a name of over {MAX_NAME:,} "
        raise SourceError(message + "characters", "expected the names of the columns")
    form = _Form(file, [fields_of(line, separator, quote) for line in rows], separator)
    has_header, names, warnings = _header(form, config, pairs=pairs)
    is_sequence_per_line = names[-1] == "items" and (not has_header or bool(config.columns))
    if is_sequence_per_line and separator == "\t" and len(form.rows[0]) == 2:
        separator = BLANKS  # one tab after the id, then blanks
    if is_sequence_per_line:
        names = [names[0], "item"]
    if not has_header and separator in (BLANKS, "\t") and config.quote is None:
        quote = ""  # bare pairs are never quoted: a quote is part of the id
    if n_comments:
        count = f"{n_comments} lines that begin" if n_comments > 1 else "one line that begins"
        warnings.append(f"{file.name}: left out {count} with '#' before the first row")
    text = TextFormat(
        separator=separator,
        quote=quote,
        escape=config.escape or "",
        encoding=encoding,
        compression=compression_of(file),
        has_header=has_header,
        skip=skip,
        comment=comment,
        is_sequence_per_line=is_sequence_per_line,
        quotes_are_given=bool(config.quote or config.escape),
    )
    if encoding != "utf-8" and not config.encoding:
        warnings.append(f"{file.name}: read as {encoding.upper()}, by its byte order mark")
    names, repeated = column_names(names)
    searches_lists = pairs and not is_sequence_per_line
    lists = _lists(names, form.rows[has_header:]) if searches_lists else []
    return DetectedText(text, names, repeated, warnings, lists)


def fields_of(line: str, separator: str, quote: str) -> list[str]:
    """The fields of a line, for the detection: quotes that do not fit are literal."""
    if separator == BLANKS:
        return line.split()
    if quote and len(separator) == 1:
        try:
            return next(csv.reader([line], delimiter=separator, quotechar=quote), [])
        except csv.Error:
            pass
    return line.split(separator)


def is_sequences(rows: Sequence[Sequence[str]]) -> bool:
    """Whether rows without a header are sequences: of various lengths, most of over two fields."""
    lengths = [len(row) for row in rows]
    return len(set(lengths)) > 1 and sum(length > 2 for length in lengths) * 2 > len(lengths)


def _lists(names: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The columns with a name for lists, at least half of whose texts have several elements."""
    lists = []
    for i, name in enumerate(names):
        texts = [row[i].strip() for row in rows if len(row) == len(names) and row[i].strip()]
        if is_list_name(name) and texts and sum(map(is_list, texts)) * 2 >= len(texts):
            lists.append(name)
    return lists


class _Form(NamedTuple):
    file: Path
    rows: list[list[str]]
    separator: str


def _first_row(lines: Sequence[str], comment: str) -> tuple[int, str | None, int]:
    """The number of lines before the first row, the separator of a ``sep=`` line, and the
    number of leading comment lines."""
    separator, n_comments = None, 0
    for number, line in enumerate(lines):
        match = _SEPARATOR_LINE.fullmatch(line)
        if match and number == 0:
            separator = "\t" if match[1] in ("\\t", "tab") else match[1]
        elif line.startswith("#") and not _is_marked_header(line):
            n_comments += not comment
        elif line.strip() and not (comment and line.startswith(comment)):
            return number, separator, n_comments
    return len(lines), separator, n_comments


def _is_marked_header(line: str) -> bool:
    """Whether a line is a header with ``#`` before it, as in ``#user_id,item_id``."""
    names = re.split(r"[\t,;|]|::", line.lstrip("# "))
    return len(names) > 1 and sum(is_usual(name) for name in names) > 1


def _separator_of(rows: Sequence[str]) -> str:
    """The separator with the most fields in the first row, preferring one that fits all rows."""
    best, best_key = BLANKS if len(rows[0].split()) > 1 else ",", (False, 0)
    for separator in SEPARATORS:
        counts = [len(fields_of(row, separator, '"')) - 1 for row in rows]
        key = (len(set(counts)) == 1, counts[0])
        if counts[0] and key > best_key:
            best, best_key = separator, key
    return best


def _header(form: _Form, config: SourceConfig, *, pairs: bool) -> tuple[bool, list[str], list[str]]:
    """Whether the first row is a header, the names of the columns, and warnings."""
    first = form.rows[0]
    is_usual_header = any(map(is_usual, first))
    if config.columns:
        if is_usual_header and config.header is None:
            message = f"the first line of {form.file} looks like names of columns: "
            hint = "add --header to replace these names, or --no-header if it is an event"
            raise SourceError(message + ", ".join(first), hint)
        return config.header or False, _given_names(form, config.columns), []
    if config.header is False:
        return False, [f"column{i + 1}" for i in range(len(first))], []
    if config.header or is_usual_header or not pairs:
        return True, _header_names(first), []
    options = (config.user_column, config.item_column, config.time_column)
    names, warnings = ([], []) if any(options) else _names_without_header(form)
    if not names and is_probably_data(form.rows):
        raise _no_header_error(form, list_of_roles(form.rows))
    return not names, names or _header_names(first), warnings


def _names_without_header(form: _Form) -> tuple[list[str], list[str]]:
    """The columns of forms that have no header, and warnings; no columns for any other form."""
    first, name = form.rows[0], form.file.name
    blank_rows = [form.separator.join(row).split() for row in form.rows]
    is_tabbed = form.separator == "\t" and len(first) == 2 and are_numbered(blank_rows)
    if (form.separator == BLANKS or is_tabbed) and is_sequences(blank_rows):
        warning = f"{name}: read as one sequence per line, its id before the ids of its items"
        return ["user", "items"], [warning]
    is_blank = form.separator in (BLANKS, "\t") and not any(" " in field for field in first)
    if is_blank and len(first) == 2:
        return ["user", "item"], []
    roles = list_of_roles(form.rows)
    if form.separator == "::" and {"user", "item"} <= set(roles) and is_probably_data(form.rows):
        listed = ",".join(roles)
        return roles, [f"{name}: it has no header, so its columns were taken as {listed}"]
    return [], []


def _no_header_error(form: _Form, roles: list[str]) -> SourceError:
    separator = {"\t": "\\t", BLANKS: " "}.get(form.separator, form.separator)
    line = form.separator.join(form.rows[0])
    line = line if len(line) <= 60 else line[:57] + "..."
    message = f"the first line of {form.file} looks like an event, not like names of columns: "
    command = f"--columns {','.join(roles)}"
    may_be_sequences = is_sequences(form.rows) and "time" not in roles
    if may_be_sequences or (form.separator == BLANKS and len(roles) > 2):
        command = f"--columns user,items for one sequence per line, or {command}"
    hint = f"add {command}" if len(roles) > 1 else f"it has no separator {separator!r}"
    return SourceError(f"{message}{line!r}", f"{hint}; or --header if it is a header")


def _header_names(first: Sequence[str]) -> list[str]:
    stripped = [first[0].lstrip("# "), *first[1:]] if first[0].startswith("#") else first
    return [name.strip() or f"column{i}" for i, name in enumerate(stripped)]


def _given_names(form: _Form, columns: Sequence[str]) -> list[str]:
    """The names of ``--columns``; those that are left open get a name by their position."""
    if columns[-1] == "items":
        if len(columns) != 2:
            message = f"--columns names {','.join(columns)}: items stands for the rest of a line"
            raise SourceError(message, "expected one id before it, as in --columns user,items")
        return list(columns)
    n_fields = len(form.rows[0])
    if len(columns) != n_fields:
        message = f"--columns names {len(columns)} columns, but {form.file} has {n_fields} "
        message += f"in its first row (separator {form.separator!r})"
        raise SourceError(message, "name each column, and write - for one that is not used")
    return [f"column{i + 1}" if name == "-" else name for i, name in enumerate(columns)]
