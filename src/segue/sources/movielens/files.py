"""The file layouts of the MovieLens releases, and their tables of movies and users."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from segue.errors import ResourceError, SourceError, quantity
from segue.ids import id_array, id_of
from segue.sources.byte_streams import read_start
from segue.sources.schema import ITEM_COLUMNS
from segue.sources.text.lines import encoding_of, is_decoded, lines
from segue.storage.paths import check_regular

_TITLE_AND_YEAR = re.compile(r"(.*?)\s*\((\d{4})(?:[-\u2013]\d{0,4})?\)\s*")
_NO_GENRES = frozenset({"", "unknown", "(no genres listed)"})

# fmt: off
_FLAGGED_GENRES = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime",
    "Documentary", "Drama", "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance",
    "Sci-Fi", "Thriller", "War", "Western",
)
# fmt: on
"""The genres of the last 19 columns of ``u.item``, in the order of the release's README."""

MEMORY_PER_CHARACTER = 20
"""Bytes of memory that reading a file of movies or users takes at most, per character: users take
19."""

RATINGS_HEADER = ("userId", "movieId", "rating", "timestamp")
MOVIES_HEADER = ("movieId", "title", "genres")


@dataclass(frozen=True)
class FileLayout:
    """File names and delimiters of a family of MovieLens releases.

    Attributes:
        name: the name in reports.
        ratings, movies, users: file names; some releases of a family have no file of users.
        ratings_delimiter: separates the fields of the ratings.
        delimiter: separates the fields of the other files.
        user_columns: the columns of ``users`` after the first one, which is the id.
        has_header: whether the first line of a file names its columns and fields may be quoted.
    """

    name: str
    ratings: str
    ratings_delimiter: str
    movies: str
    delimiter: str
    users: str | None = None
    user_columns: tuple[str, ...] = ()
    has_header: bool = False


FILE_LAYOUTS = (
    FileLayout(
        name="1m",
        ratings="ratings.dat",
        ratings_delimiter="::",
        movies="movies.dat",
        delimiter="::",
        users="users.dat",
        user_columns=("gender", "age", "occupation", "zip_code"),
    ),
    FileLayout(
        name="100k",
        ratings="u.data",
        ratings_delimiter="\t",
        movies="u.item",
        delimiter="|",
        users="u.user",
        user_columns=("age", "gender", "occupation", "zip_code"),
    ),
    FileLayout(
        name="csv",
        ratings="ratings.csv",
        ratings_delimiter=",",
        movies="movies.csv",
        delimiter=",",
        has_header=True,
    ),
)


def read_movies(folder: Path, layout: FileLayout, memory_limit: int) -> pa.RecordBatch:
    """Read the items of a release: ``item_id``, ``title``, ``genres`` and ``year``.

    A file of other projects may have no genres.

    Args:
        memory_limit: most memory that reading may take, in bytes.

    Raises:
        ResourceError: the file is too large for it.
        SourceError: the file is missing, or a row has a wrong number of fields.
    """
    n_fields = (5 + len(_FLAGGED_GENRES),) if layout.delimiter == "|" else (3, 2)
    ids, titles, genres, years = [], [], [], []
    for row in _rows(folder / layout.movies, layout, n_fields, memory_limit):
        item_id = id_of(row[0])
        if item_id is None:
            continue
        title, year = split_title(row[1])
        ids.append(item_id)
        titles.append(title)
        years.append(year)
        genres.append(_flagged_genres(row[5:]) if len(row) > 3 else _listed_genres(*row[2:]))
    columns = {"item_id": ids, "title": titles, "genres": genres, "year": years}
    arrays = {name: pa.array(values, ITEM_COLUMNS[name]) for name, values in columns.items()}
    return pa.RecordBatch.from_pydict(arrays)


def read_users(
    folder: Path, layout: FileLayout, memory_limit: int
) -> tuple[pa.RecordBatch | None, list[str]]:
    """Read the users of a release: ``user_id`` and the columns of the layout, all as text.

    Args:
        memory_limit: most memory that reading may take, in bytes.

    Returns:
        The users, None if the release has no file of users, or one with other columns; and
        warnings.

    Raises:
        ResourceError: the file is too large for the memory limit.
        SourceError: a row has another number of fields than the first one.
    """
    if layout.users is None or not (folder / layout.users).exists():
        return None, []
    names = ("user_id", *layout.user_columns)
    rows = list(_rows(folder / layout.users, layout, None, memory_limit))
    if rows and len(rows[0]) != len(names):
        count = quantity(len(rows[0]), "column")
        warning = f"{layout.users} has {count}, expected {', '.join(names)}: it is left out"
        return None, [warning]
    columns = zip(*rows, strict=True) if rows else [[]] * len(names)
    arrays = [pa.array(column, pa.string()) for column in columns]
    arrays[0] = id_array(arrays[0])
    return pa.RecordBatch.from_arrays(arrays, names=names), []


def check_header(path: Path, columns: list[str], expected: tuple[str, ...]) -> None:
    """Raise a SourceError unless a file has exactly the expected columns."""
    if tuple(columns) != expected:
        header = ",".join(columns)
        problem = f"has the columns {header}" if header else "has no columns"
        message = f"{path.name} {problem}, expected {','.join(expected)} as in a MovieLens release"
        hint = "for your own log give the file itself, and its items with --items-file"
        raise SourceError(message, hint)


def split_title(text: str) -> tuple[str, int | None]:
    """Split "Heat (1995)" into title and year; a range such as "(1975-1979)" gives the first year.

    A title without a year is only stripped. An article stays where it is: "Matrix, The".
    """
    match = _TITLE_AND_YEAR.fullmatch(text)
    return (match[1], int(match[2])) if match else (text.strip(), None)


def _listed_genres(text: str = "") -> list[str]:
    return [genre for genre in text.split("|") if genre not in _NO_GENRES]


def _flagged_genres(flags: list[str]) -> list[str]:
    names = zip(_FLAGGED_GENRES, flags, strict=True)
    return [genre for genre, flag in names if flag == "1" and genre not in _NO_GENRES]


def _rows(
    path: Path, layout: FileLayout, n_fields: tuple[int, ...] | None, memory_limit: int
) -> Iterator[list[str]]:
    """The fields of every row after the header; blank lines are skipped.

    Args:
        n_fields: the possible numbers of fields, the usual one first; None for any. The first row
            decides.
    """
    expected = None
    texts = _lines(path, layout, memory_limit)
    if layout.has_header:
        rows = _csv_rows(texts, path)
        check_header(path, next(rows, (1, []))[1], MOVIES_HEADER)
    else:
        rows = ((n, text.rstrip("\r\n").split(layout.delimiter)) for n, text in enumerate(texts, 1))
    for number, row in rows:
        if not any(row):
            continue
        if expected is None:
            varies = n_fields is None or (len(row) in n_fields and not layout.has_header)
            expected = len(row) if n_fields is None or varies else n_fields[0]
        if len(row) != expected:
            message = f"{path.name}, line {number}: got {len(row)} fields, expected {expected}"
            raise SourceError(message, f"fields are separated by {layout.delimiter!r}")
        yield row


def _csv_rows(texts: Iterator[str], path: Path) -> Iterator[tuple[int, list[str]]]:
    """The rows of a CSV file, each with its first line number."""
    rows = csv.reader(texts)
    line = 1
    try:
        for row in rows:
            yield line, row
            line = rows.line_num + 1
    except csv.Error as error:
        message = f"{path.name}, line {line}: {error}"
        raise SourceError(message, "check for a quote that is not closed") from None


def _lines(path: Path, layout: FileLayout, memory_limit: int) -> Iterator[str]:
    """The lines of a file. Those of a file without a header are UTF-8 or, mostly, Latin-1."""
    check_regular(path)
    if not path.exists():
        hint = "unpack the whole release into one folder"
        raise SourceError(f"{path} is missing", hint)
    encoding = encoding_of(read_start(path)) or "utf-8"
    longest, n_characters = memory_limit // MEMORY_PER_CHARACTER, 0
    for number, line in enumerate(lines(path, encoding), start=1):
        n_characters += len(line)
        if n_characters > longest:
            message = f"{path} does not fit in {memory_limit:,} bytes of memory, which is enough "
            message += f"for {longest:,} characters"
            raise ResourceError(message, "raise --memory-limit")
        if is_decoded(line):
            yield line
        elif layout.has_header:
            message = f"{path.name}, line {number}: not UTF-8 text"
            raise SourceError(message, "convert the file to UTF-8")
        else:
            yield line.encode(errors="surrogateescape").decode("latin-1")
