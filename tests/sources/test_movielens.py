"""MovieLens in its three layouts: what is kept, in which order, and what is refused."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from segue.config import SourceConfig
from segue.errors import SourceError
from segue.sources.movielens import MovielensSource, recognises
from segue.sources.movielens_tables import split_title
from segue.sources.schema import ITEM_COLUMNS, SEQUENCE_COLUMNS, Chunk

CONFIG = SourceConfig()

RATINGS = [(10, 3, 5, 200), (2, 1, 4, 300), (2, 3, 3, 100), (2, 2, 1, 100), (10, 1, 2, 150)]
"""User, movie, rating, time: user 2 rates 3 and 2 in the same second."""


def write_1m(folder: Path, ratings: list[tuple[int, int, float, int]] = RATINGS) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["::".join(map(str, row)) for row in ratings]
    (folder / "ratings.dat").write_text("\n".join([*lines, ""]))
    movies = [
        "1::Misérables, Les (1995)::Drama|Musical",
        "2::Heat (1995)::Action",
        "3::Old::",
        "4::New (2000)::War",
        "",
    ]
    (folder / "movies.dat").write_bytes("\n".join(movies).encode("latin-1"))
    (folder / "users.dat").write_text("2::M::56::16::70072\n99::F::1::0::1\n")
    return folder


def write_100k(folder: Path) -> Path:
    folder.mkdir()
    lines = ["\t".join(map(str, row)) for row in RATINGS]
    (folder / "u.data").write_text("\n".join([*lines, ""]))
    flags = {1: {8, 12}, 2: {1}, 3: {0}, 4: {17}}
    titles = {1: "Misérables, Les (1995)", 2: "Heat (1995)", 3: "Old", 4: "New (2000)"}
    movies = [
        "|".join([str(i), titles[i], "01-Jan-1995", "", "http://x", *flags_of(flags[i])])
        for i in titles
    ]
    (folder / "u.item").write_bytes("\n".join([*movies, ""]).encode("latin-1"))
    (folder / "u.user").write_text("2|56|M|writer|70072\n99|1|F|none|1\n")
    return folder


def flags_of(chosen: set[int]) -> list[str]:
    return ["1" if i in chosen else "0" for i in range(19)]


def write_csv(folder: Path, newline: str = "\n") -> Path:
    folder.mkdir()
    lines = ["userId,movieId,rating,timestamp", *(",".join(map(str, row)) for row in RATINGS)]
    (folder / "ratings.csv").write_text("\n".join([*lines, ""]), newline=newline)
    movies = [
        "movieId,title,genres",
        '1,"Misérables, Les (1995)",Drama|Musical',
        "2,Heat (1995),Action",
        "3,Old,(no genres listed)",
        "4,New (2000),War",
        "",
    ]
    (folder / "movies.csv").write_text("\n".join(movies), encoding="utf-8", newline=newline)
    (folder / "links.csv").write_text("movieId,imdbId,tmdbId\n")
    return folder


def read(folder: Path) -> list[Chunk]:
    return list(MovielensSource(folder, CONFIG).chunks())


def users_of(chunks: list[Chunk]) -> dict[str, dict[str, Any]]:
    rows = [row for chunk in chunks for row in chunk.sequences.to_pylist()]
    return {row.pop("sequence_id"): row for row in rows}


@pytest.fixture(params=["1m", "100k", "csv", "csv with \\r\\n"])
def release(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    folder = tmp_path / "release"
    if request.param.startswith("csv"):
        return write_csv(folder, "\r\n" if "r" in request.param else "\n")
    return {"1m": write_1m, "100k": write_100k}[request.param](folder)


def test_every_layout_gives_the_same_log(release: Path) -> None:
    chunks = read(release)
    users = users_of(chunks)
    assert list(users) == ["2", "10"]
    assert users["2"]["items"] == ["3", "2", "1"]
    assert users["2"]["ratings"] == [3.0, 1.0, 4.0]
    assert [time.timestamp() for time in users["2"]["times"]] == [100, 100, 300]
    assert users["10"]["items"] == ["1", "3"]


def test_every_layout_gives_the_same_movies_rated_or_not(release: Path) -> None:
    chunk, *_ = read(release)
    assert chunk.items.to_pylist() == [
        {
            "item_id": "1",
            "title": "Misérables, Les",
            "genres": ["Drama", "Musical"],
            "year": 1995,
        },
        {"item_id": "2", "title": "Heat", "genres": ["Action"], "year": 1995},
        {"item_id": "3", "title": "Old", "genres": [], "year": None},
        {"item_id": "4", "title": "New", "genres": ["War"], "year": 2000},
    ]


def test_every_layout_has_the_types_of_the_schema(release: Path) -> None:
    chunk, *_ = read(release)
    for columns, batch in ((SEQUENCE_COLUMNS, chunk.sequences), (ITEM_COLUMNS, chunk.items)):
        for field in batch.schema:
            assert columns.get(field.name, field.type) == field.type
    assert set(chunk.sequences.schema.names) >= set(SEQUENCE_COLUMNS)


def test_what_is_known_of_users_is_kept_in_its_own_codes(tmp_path: Path) -> None:
    users = users_of(read(write_1m(tmp_path / "1m")))
    known = {"gender": "M", "age": "56", "occupation": "16", "zip_code": "70072"}
    assert {name: users["2"][name] for name in known} == known
    assert {users["10"][name] for name in known} == {None}
    users = users_of(read(write_100k(tmp_path / "100k")))
    assert {name: users["2"][name] for name in known} == known | {"occupation": "writer"}


def test_a_release_without_users_is_read_without_them(tmp_path: Path) -> None:
    folder = write_1m(tmp_path, [(1, 2, 3.5, 4)])
    (folder / "users.dat").unlink()
    assert set(users_of(read(folder))["1"]) == {"items", "times", "ratings"}
    assert users_of(read(folder))["1"]["ratings"] == [3.5]


def test_movies_without_header_may_be_utf_8(tmp_path: Path) -> None:
    folder = write_1m(tmp_path)
    (folder / "movies.dat").write_text("1::Misérables, Les (1995)::Drama\n", encoding="utf-8")
    assert read(folder)[0].items["title"].to_pylist() == ["Misérables, Les"]


def test_movies_are_described_once(tmp_path: Path) -> None:
    chunks = read(write_1m(tmp_path))
    assert len(chunks) > 1
    assert [chunk.items.num_rows for chunk in chunks] == [4, *[0] * (len(chunks) - 1)]
    assert all(chunk.items.schema == chunks[0].items.schema for chunk in chunks)


@hypothesis.given(
    ratings=st.lists(
        st.tuples(
            st.integers(1, 12),
            st.integers(1, 30),
            st.sampled_from([0.5, 1.0, 4.5]),
            st.integers(0, 5),
        ),
        min_size=1,
        max_size=80,
    )
)
@hypothesis.settings(max_examples=25)
def test_histories_agree_with_a_stable_sort(
    tmp_path_factory: pytest.TempPathFactory, ratings: list[tuple[int, int, float, int]]
) -> None:
    folder = write_1m(tmp_path_factory.mktemp("1m"), ratings)
    users = users_of(read(folder))
    expected: dict[int, list[tuple[int, int, float, int]]] = defaultdict(list)
    for row in sorted(ratings, key=lambda row: row[3]):
        expected[row[0]].append(row)
    assert list(users) == [str(user) for user in sorted(expected)]
    for user, rows in expected.items():
        assert users[str(user)]["items"] == [str(row[1]) for row in rows]
        assert users[str(user)]["ratings"] == [row[2] for row in rows]


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


def test_what_is_recognised(release: Path, tmp_path: Path) -> None:
    assert recognises(release)
    assert not recognises(tmp_path)
    assert not recognises(tmp_path / "nowhere")
    assert not recognises(next(release.iterdir()))


def test_the_fingerprint_and_the_report_are_plain(tmp_path: Path) -> None:
    source = MovielensSource(write_1m(tmp_path), CONFIG)
    assert [file["name"] for file in source.fingerprint()["files"]] == [
        "ratings.dat",
        "movies.dat",
        "users.dat",
    ]
    assert str(tmp_path) not in json.dumps([source.fingerprint(), source.report()])
    assert source.report() == {"warnings": [], "layout": "1m"}


def test_odd_folder_names_are_no_patterns(tmp_path: Path) -> None:
    assert list(users_of(read(write_1m(tmp_path / "it's *[1]?")))) == ["2", "10"]


@pytest.mark.parametrize("write", [write_1m, write_csv])
def test_a_folder_is_not_taken_for_another_that_its_name_matches(tmp_path: Path, write) -> None:
    write(tmp_path / "ml1")
    folder = write(tmp_path / "ml[1]")
    ratings = next(folder.glob("ratings.*"))
    lines = ratings.read_text().splitlines()[: 2 if write is write_csv else 1]
    ratings.write_text("\n".join(lines) + "\n")
    assert list(users_of(read(folder))) == ["10"]


# What is refused.


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("1::2::good::4", r"ratings\.dat: line 2 has 'good' for its rating"),
        ("1::2::3", r"ratings\.dat: line 2 has 3 columns, expected 4"),
        ("1::2::3::4::5", r"ratings\.dat: line 2 has 5 columns, expected 4"),
        ("1::::3::4", r"ratings\.dat: line 2 has '' for its movieId"),
        ("one::2::3::4", r"ratings\.dat: line 2 has 'one' for its userId"),
        ("1::2::3::yesterday", r"ratings\.dat: line 2 has 'yesterday' for its timestamp"),
        (f"1::2::3::{10**17}", r"ratings\.dat cannot be read: Overflow"),
        ("1,2,3,4", r"ratings\.dat: line 2 has '1,2,3,4' for its userId"),
    ],
)
def test_a_bad_rating_is_named_with_its_line(tmp_path: Path, line: str, expected: str) -> None:
    folder = write_1m(tmp_path)
    (folder / "ratings.dat").write_text(f"1::2::3::4\n{line}\n1::2::3::4\n")
    with pytest.raises(SourceError, match=expected) as caught:
        read(folder)
    assert "\n" not in str(caught.value)
    assert caught.value.hint == "expected a user, a movie, a rating and a time in seconds"


def test_a_bad_line_of_a_csv_counts_the_header(tmp_path: Path) -> None:
    folder = write_csv(tmp_path / "csv")
    (folder / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1,2,3.0,4\n1,2,x,4\n")
    with pytest.raises(SourceError, match=r"ratings\.csv: line 3 has 'x'"):
        read(folder)


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        ("ratings.csv", "", "ratings.csv has no ratings"),
        ("ratings.csv", "userId,movieId,rating,timestamp\n", "has no ratings"),
        ("ratings.csv", "userId,movieId,rating\n1,2,3\n", "has the columns userId,movieId,rating"),
        ("ratings.csv", "user,movieId,rating,timestamp\n1,2,3,4\n", "has the columns user,"),
        ("movies.csv", "", "movies.csv has the columns none"),
        ("movies.csv", "movieId,genres\n1,Drama\n", "movies.csv has the columns movieId,genres"),
        ("movies.csv", "movieId,title,genres\n\n1,A, B,War\n", "movies.csv, line 3: got 4 fields"),
        ("movies.csv", b"movieId,title,genres\n1,A,\n2,\xe9,\n", "movies.csv, line 3: not UTF-8"),
        (
            "movies.csv",
            'movieId,title,genres\n1,"A\nB",War\n2,"C,' + "War\n3,D,War\n" * 20_000,
            r"movies\.csv, line 4: field larger than .* \(is a quote left open\?\)",
        ),
        ("movies.csv", 'movieId,title,genres\n1,"A\nB",War\n2,C\n', "movies.csv, line 4: got 2"),
        ("movies.csv", '"' + "x" * 200_000, "movies.csv, line 1: field larger"),
    ],
)
def test_wrong_columns_are_said(
    tmp_path: Path, file: str, text: str | bytes, expected: str
) -> None:
    folder = write_csv(tmp_path / "csv")
    (folder / file).write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(SourceError, match=expected):
        read(folder)


def test_tables_of_ones_own_by_these_names_have_a_way_out(tmp_path: Path) -> None:
    folder = write_csv(tmp_path / "csv")
    (folder / "movies.csv").write_text("movie_id,title\n1,A\n")
    with pytest.raises(SourceError, match="has the columns movie_id,title") as caught:
        read(folder)
    assert "give the file itself, and its items with --items-file" in caught.value.hint


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        ("ratings.dat", "", "has no ratings"),
        (
            "movies.dat",
            "1::Heat (1995)::War\n2::Heat\n",
            "movies.dat, line 2: got 2 fields, expected 3",
        ),
        ("users.dat", "1::M\n", "users.dat, line 1: got 2 fields, expected 5"),
    ],
)
def test_bad_small_tables_are_said(tmp_path: Path, file: str, text: str, expected: str) -> None:
    folder = write_1m(tmp_path)
    (folder / file).write_text(text)
    with pytest.raises(SourceError, match=expected):
        read(folder)


def test_missing_files_are_said(tmp_path: Path) -> None:
    folder = write_1m(tmp_path / "1m")
    (folder / "movies.dat").unlink()
    with pytest.raises(SourceError, match=r"movies\.dat is missing"):
        read(folder)
    (folder / "ratings.dat").unlink()
    with pytest.raises(SourceError, match="has no ratings") as caught:
        MovielensSource(folder, CONFIG)
    assert "ratings.dat, u.data, ratings.csv" in caught.value.hint
    with pytest.raises(SourceError, match="is not a folder"):
        MovielensSource(tmp_path / "ml-1m.zip", CONFIG)


# The real files.


def stable_sort(path: Path, delimiter: str, skip: int) -> dict[str, list[str]]:
    """The slow reference: every user's movies by Python's stable sort."""
    lines = path.read_text().splitlines()[skip:]
    rows = [line.split(delimiter) for line in lines]
    histories: dict[str, list[str]] = defaultdict(list)
    for user, movie, _, _ in sorted(rows, key=lambda row: int(row[3])):
        histories[user].append(movie)
    return histories


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("folder", "file", "delimiter", "expected"),
    [
        ("ml-1m", "ratings.dat", "::", (6_040, 1_000_209, 3_883, 3_706)),
        ("ml-latest-small", "ratings.csv", ",", (610, 100_836, 9_742, 9_724)),
    ],
)
def test_real_ratings(
    segue_data: Path, folder: str, file: str, delimiter: str, expected: tuple[int, int, int, int]
) -> None:
    chunks = read(segue_data / folder)
    found: dict[str, list[str]] = {}
    for chunk in chunks:
        ids, items = chunk.sequences["sequence_id"], chunk.sequences["items"]
        found |= dict(zip(ids.to_pylist(), items.to_pylist(), strict=True))
    assert found == stable_sort(segue_data / folder / file, delimiter, skip=delimiter == ",")
    assert list(found) == sorted(found, key=int)
    rated = {movie for history in found.values() for movie in history}
    counts = (len(found), sum(map(len, found.values())), chunks[0].items.num_rows, len(rated))
    assert counts == expected


@pytest.mark.real_data
def test_real_movies_and_users(segue_data: Path) -> None:
    chunks = read(segue_data / "ml-1m")
    titles = dict(
        zip(*(chunks[0].items[name].to_pylist() for name in ("item_id", "title")), strict=True)
    )
    assert titles["73"] == "Misérables, Les"
    assert chunks[0].items["year"].null_count == 0
    for chunk in chunks:
        for name in ("gender", "age", "occupation", "zip_code"):
            assert chunk.sequences[name].null_count == 0
