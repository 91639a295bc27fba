"""The files of MovieLens releases: titles, encodings, and invalid or missing files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from movielens_folders import CONFIG, read_chunks, write_1m, write_csv

from segue.config import SourceConfig
from segue.errors import ResourceError, SourceError
from segue.sources import open_source
from segue.sources.movielens.files import MEMORY_PER_CHARACTER, split_title
from segue.sources.movielens.source import MovielensSource


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Heat (1995)", ("Heat", 1995)),
        ("Matrix, The (1999)", ("Matrix, The", 1999)),
        ("Se7en (a.k.a. Seven) (1995) ", ("Se7en (a.k.a. Seven)", 1995)),
        ("Fawlty Towers (1975-1979)", ("Fawlty Towers", 1975)),
        ("Going On (2007\N{EN DASH})", ("Going On", 2007)),
        ("1984 (1984)", ("1984", 1984)),
        ("(500) Days of Summer", ("(500) Days of Summer", None)),
        ("Babylon 5", ("Babylon 5", None)),
        ("unknown", ("unknown", None)),
        ("", ("", None)),
    ],
)
def test_titles_and_years(text: str, expected: tuple[str, int | None]) -> None:
    assert split_title(text) == expected


def test_movies_without_header_may_be_utf_8(tmp_path: Path) -> None:
    folder = write_1m(tmp_path)
    (folder / "movies.dat").write_text("1::Misérables, Les (1995)::Drama\n", encoding="utf-8")
    assert read_chunks(folder)[0].items["title"].to_pylist() == ["Misérables, Les"]


def test_movies_are_described_once(tmp_path: Path) -> None:
    chunks = read_chunks(write_1m(tmp_path))
    assert len(chunks) > 1
    assert [chunk.items.num_rows for chunk in chunks] == [4, *[0] * (len(chunks) - 1)]
    assert all(chunk.items.schema == chunks[0].items.schema for chunk in chunks)


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        ("ratings.csv", "", "ratings.csv has no ratings"),
        ("ratings.csv", "userId,movieId,rating,timestamp\n", "has no ratings"),
        ("ratings.csv", "userId,movieId,rating\n1,2,3\n", "has the columns userId,movieId,rating"),
        ("ratings.csv", "user,movieId,rating,timestamp\n1,2,3,4\n", "has the columns user,"),
        ("movies.csv", "", "movies.csv has no columns, expected movieId,title,genres"),
        ("movies.csv", "movieId,genres\n1,Drama\n", "movies.csv has the columns movieId,genres"),
        ("movies.csv", "movieId,title,genres\n\n1,A, B,War\n", "movies.csv, line 3: got 4 fields"),
        (
            "movies.csv",
            b"movieId,title,genres\n1,A,\n2,\xe9,\n",
            "movies.csv, line 3: not UTF-8 text",
        ),
        (
            "movies.csv",
            'movieId,title,genres\n1,"A\nB",War\n2,"C,' + "War\n3,D,War\n" * 20_000,
            r"movies\.csv, line 4: field larger than .* \(check for a quote that is not closed\)",
        ),
        ("movies.csv", 'movieId,title,genres\n1,"A\nB",War\n2,C\n', "movies.csv, line 4: got 2"),
        ("movies.csv", '"' + "x" * 200_000, "movies.csv, line 1: field larger"),
    ],
)
def test_invalid_csv_files_are_refused(
    tmp_path: Path, file: str, text: str | bytes, expected: str
) -> None:
    folder = write_csv(tmp_path / "csv")
    (folder / file).write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(SourceError, match=expected):
        read_chunks(folder)


def test_a_wrong_header_suggests_how_to_read_other_tables(tmp_path: Path) -> None:
    folder = write_csv(tmp_path / "csv")
    (folder / "movies.csv").write_text("movie_id,title\n1,A\n")
    with pytest.raises(
        SourceError, match="has the columns movie_id,title, expected movieId,title,genres"
    ) as error:
        read_chunks(folder)
    expected = "for your own log give the file itself, and its items with --items-file"
    assert error.value.hint == expected


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        ("ratings.dat", "", "has no ratings"),
        (
            "movies.dat",
            "1::Heat (1995)::War\n2::Heat\n",
            "movies.dat, line 2: got 2 fields, expected 3",
        ),
        (
            "users.dat",
            "1::M::1::2::3\n2::M\n",
            "users.dat, line 2: got 2 fields, expected 5",
        ),
    ],
)
def test_invalid_tables_without_header_are_refused(
    tmp_path: Path, file: str, text: str, expected: str
) -> None:
    folder = write_1m(tmp_path)
    (folder / file).write_text(text)
    with pytest.raises(SourceError, match=expected):
        read_chunks(folder)


def test_missing_files_are_refused(tmp_path: Path) -> None:
    folder = write_1m(tmp_path / "1m")
    (folder / "movies.dat").unlink()
    with pytest.raises(SourceError, match=r"movies\.dat is missing"):
        read_chunks(folder)
    (folder / "ratings.dat").unlink()
    with pytest.raises(SourceError, match="has no ratings") as error:
        MovielensSource(folder, CONFIG)
    assert "ratings.dat, u.data, ratings.csv" in error.value.hint
    with pytest.raises(SourceError, match="is not a folder"):
        MovielensSource(tmp_path / "ml-1m.zip", CONFIG)


def test_users_with_other_columns_are_left_out_with_a_warning(tmp_path: Path) -> None:
    folder = write_1m(tmp_path)
    (folder / "users.dat").write_bytes(b"2::M\n\xff::F\n")
    source = MovielensSource(folder, CONFIG)
    assert "gender" not in next(iter(source.chunks())).sequences.schema.names
    [warning] = source.report()["warnings"]
    assert warning.startswith("users.dat has 2 columns, expected user_id, gender, age")


@pytest.mark.parametrize("file", ["movies.dat", "users.dat", "ratings.dat"])
def test_a_sparse_file_is_refused(
    tmp_path: Path, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("segue.sources.text.lines.MAX_LINE", 1 << 16)
    folder = write_1m(tmp_path)
    os.truncate(folder / file, 1 << 36)
    with pytest.raises(SourceError, match=rf"{file}.* (longer than|is not UTF-8 text)"):
        read_chunks(folder)


def test_movies_alone_are_no_log(tmp_path: Path) -> None:
    folder = write_1m(tmp_path)
    (folder / "ratings.dat").unlink()
    with pytest.raises(SourceError, match="has no ratings"):
        open_source(folder, CONFIG)


@pytest.mark.parametrize("file", ["movies.dat", "users.dat"])
def test_a_file_that_does_not_fit_in_memory_is_refused(tmp_path: Path, file: str) -> None:
    folder = write_1m(tmp_path)
    limit = MEMORY_PER_CHARACTER * 1000
    (folder / file).write_bytes((folder / file).read_bytes() + b"\n" * 1000)
    with pytest.raises(ResourceError, match=rf"{file} does not fit in 20,000 bytes") as error:
        list(MovielensSource(folder, SourceConfig(memory_limit=limit)).chunks())
    assert error.value.hint == "raise --memory-limit"
