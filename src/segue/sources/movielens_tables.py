"""The small tables of a MovieLens release: its movies, and what is known of its users."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from segue.errors import SourceError
from segue.sources.schema import ITEM_COLUMNS

_TITLE_AND_YEAR = re.compile(r"(.*?)\s*\((\d{4})(?:[-\u2013]\d{0,4})?\)\s*")
_NO_GENRES = frozenset({"", "unknown", "(no genres listed)"})

# fmt: off
_FLAGGED_GENRES = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime",
    "Documentary", "Drama", "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance",
    "Sci-Fi", "Thriller", "War", "Western",
)
# fmt: on
"""What the last 19 columns of ``u.item`` stand for, as the release's README lists them."""

RATING_HEADER = ("userId", "movieId", "rating", "timestamp")
MOVIE_HEADER = ("movieId", "title", "genres")


@dataclass(frozen=True)
class Layout:
    """How one family of releases writes its files.

    Attributes:
        name: how reports call it.
        ratings, movies, users: names of files; not every release of a family has users.
        ratings_delimiter, delimiter: between fields, of the ratings and of the other files.
        user_columns: of ``users``, after the id, which comes first.
        has_header: whether the first line of a file names its columns, and fields may be quoted.
    """

    name: str
    ratings: str
    ratings_delimiter: str
    movies: str
    delimiter: str
    users: str | None = None
    user_columns: tuple[str, ...] = ()
    has_header: bool = False


LAYOUTS = (
    Layout(
        name="1m",
        ratings="ratings.dat",
        ratings_delimiter="::",
        movies="movies.dat",
        delimiter="::",
        users="users.dat",
        user_columns=("gender", "age", "occupation", "zip_code"),
    ),
    Layout(
        name="100k",
        ratings="u.data",
        ratings_delimiter="\t",
        movies="u.item",
        delimiter="|",
        users="u.user",
        user_columns=("age", "gender", "occupation", "zip_code"),
    ),
    Layout(
        name="csv",
        ratings="ratings.csv",
        ratings_delimiter=",",
        movies="movies.csv",
        delimiter=",",
        has_header=True,
    ),
)


def read_movies(folder: Path, layout: Layout) -> pa.RecordBatch:
    """The items of a release: ``item_id``, ``title``, ``genres`` and ``year``.

    Raises:
        SourceError: the file is missing, or a row has another number of fields.
    """
    expected = 5 + len(_FLAGGED_GENRES) if layout.delimiter == "|" else 3
    ids, titles, genres, years = [], [], [], []
    for row in _rows(folder / layout.movies, layout, expected):
        title, year = split_title(row[1])
        ids.append(row[0])
        titles.append(title)
        years.append(year)
        genres.append(_flagged_genres(row[5:]) if expected > 3 else _listed_genres(row[2]))
    columns = {"item_id": ids, "title": titles, "genres": genres, "year": years}
    arrays = {name: pa.array(values, ITEM_COLUMNS[name]) for name, values in columns.items()}
    return pa.RecordBatch.from_pydict(arrays)


def read_users(folder: Path, layout: Layout) -> pa.RecordBatch | None:
    """What is known of the users, as written: ``user_id`` and the layout's columns, all text.

    None for a release without such a file.

    Raises:
        SourceError: a row has another number of fields.
    """
    if layout.users is None or not (folder / layout.users).exists():
        return None
    names = ("user_id", *layout.user_columns)
    rows = list(_rows(folder / layout.users, layout, len(names)))
    columns = zip(*rows, strict=True) if rows else [[]] * len(names)
    arrays = [pa.array(column, pa.string()) for column in columns]
    return pa.RecordBatch.from_arrays(arrays, names=names)


def check_header(path: Path, found: list[str], expected: tuple[str, ...]) -> None:
    """Raise a SourceError unless a file's columns are named as they should be."""
    if tuple(found) != expected:
        message = f"{path.name} has the columns {','.join(found) or 'none'}"
        hint = f"expected {','.join(expected)}, as in a MovieLens release; "
        hint += "of a log of your own give the file itself, and its items with --items-file"
        raise SourceError(message, hint)


def split_title(text: str) -> tuple[str, int | None]:
    """Part "Heat (1995)" into the title and the year; of "(1975-1979)" the first year.

    A title without a year is left as it is, and so is the article in "Matrix, The (1999)".
    """
    match = _TITLE_AND_YEAR.fullmatch(text)
    return (match[1], int(match[2])) if match else (text.strip(), None)


def _listed_genres(text: str) -> list[str]:
    return [genre for genre in text.split("|") if genre not in _NO_GENRES]


def _flagged_genres(flags: list[str]) -> list[str]:
    names = zip(_FLAGGED_GENRES, flags, strict=True)
    return [genre for genre, flag in names if flag == "1" and genre not in _NO_GENRES]


def _rows(path: Path, layout: Layout, expected: int) -> Iterator[list[str]]:
    """The fields of every row after the header; blank lines are passed over."""
    text = _read_text(path, layout)
    if layout.has_header:
        rows = _csv_rows(text, path)
        check_header(path, next(rows, (1, []))[1], MOVIE_HEADER)
    else:
        lines = enumerate(text.split("\n"), start=1)
        rows = ((n, line.removesuffix("\r").split(layout.delimiter)) for n, line in lines)
    for number, row in rows:
        if not any(row):
            continue
        if len(row) != expected:
            message = f"{path.name}, line {number}: got {len(row)} fields, expected {expected}"
            raise SourceError(message, f"fields are parted by {layout.delimiter!r}")
        yield row


def _csv_rows(text: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    """The rows of a CSV, each with the line that it begins on."""
    rows = csv.reader(io.StringIO(text, newline=""))
    line = 1
    try:
        for row in rows:
            yield line, row
            line = rows.line_num + 1
    except csv.Error as error:
        message = f"{path.name}, line {line}: {error}"
        raise SourceError(message, "is a quote left open?") from None


def _read_text(path: Path, layout: Layout) -> str:
    """A file's text. Of the files without a header some are UTF-8 and most are Latin-1."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        hint = "unpack the whole release into one folder"
        raise SourceError(f"{path} is missing", hint) from None
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}", "may you read it?") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if not layout.has_header:
            return data.decode("latin-1")
        line = data.count(b"\n", 0, error.start) + 1
        raise SourceError(f"{path.name}, line {line}: not UTF-8", "convert the file") from None
