"""The format ``movielens``: users, histories, reports, invalid ratings, and the real files."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies as st
from movielens_folders import (
    CONFIG,
    read_chunks,
    users_of,
    write_1m,
    write_100k,
    write_csv,
)

from examples import examples
from segue.config import SourceConfig
from segue.errors import SourceError
from segue.sources.movielens.source import MovielensSource, recognises
from segue.sources.schema import ITEM_COLUMNS, SEQUENCE_COLUMNS


@pytest.fixture(params=["1m", "100k", "csv", "csv with \\r\\n"])
def release(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    folder = tmp_path / "release"
    if request.param.startswith("csv"):
        return write_csv(folder, "\r\n" if "r" in request.param else "\n")
    return {"1m": write_1m, "100k": write_100k}[request.param](folder)


def test_every_layout_gives_the_same_log(release: Path) -> None:
    chunks = read_chunks(release)
    users = users_of(chunks)
    assert list(users) == ["2", "10"]
    assert users["2"]["items"] == ["3", "2", "1"]
    assert users["2"]["ratings"] == [3.0, 1.0, 4.0]
    assert [time.timestamp() for time in users["2"]["times"]] == [100, 100, 300]
    assert users["10"]["items"] == ["1", "3"]


def test_every_layout_gives_the_same_movies(release: Path) -> None:
    chunk, *_ = read_chunks(release)
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
    chunk, *_ = read_chunks(release)
    for columns, batch in ((SEQUENCE_COLUMNS, chunk.sequences), (ITEM_COLUMNS, chunk.items)):
        for field in batch.schema:
            assert columns.get(field.name, field.type) == field.type
    assert set(chunk.sequences.schema.names) >= set(SEQUENCE_COLUMNS)


def test_user_attributes_keep_the_codes_of_the_release(tmp_path: Path) -> None:
    users = users_of(read_chunks(write_1m(tmp_path / "1m")))
    attributes = {"gender": "M", "age": "56", "occupation": "16", "zip_code": "70072"}
    assert {name: users["2"][name] for name in attributes} == attributes
    assert {users["10"][name] for name in attributes} == {None}
    users = users_of(read_chunks(write_100k(tmp_path / "100k")))
    assert {name: users["2"][name] for name in attributes} == attributes | {"occupation": "writer"}


def test_a_release_without_users_is_read_without_them(tmp_path: Path) -> None:
    folder = write_1m(tmp_path, [(1, 2, 3.5, 4)])
    (folder / "users.dat").unlink()
    assert set(users_of(read_chunks(folder))["1"]) == {"items", "times", "ratings"}
    assert users_of(read_chunks(folder))["1"]["ratings"] == [3.5]


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
@hypothesis.settings(max_examples=examples(25))
def test_histories_agree_with_a_stable_sort(
    tmp_path_factory: pytest.TempPathFactory, ratings: list[tuple[int, int, float, int]]
) -> None:
    folder = write_1m(tmp_path_factory.mktemp("1m"), ratings)
    users = users_of(read_chunks(folder))
    expected: dict[int, list[tuple[int, int, float, int]]] = defaultdict(list)
    for row in sorted(ratings, key=lambda row: row[3]):
        expected[row[0]].append(row)
    assert list(users) == [str(user) for user in sorted(expected)]
    for user, rows in expected.items():
        assert users[str(user)]["items"] == [str(row[1]) for row in rows]
        assert users[str(user)]["ratings"] == [row[2] for row in rows]


def test_releases_are_recognised_by_file_names(release: Path, tmp_path: Path) -> None:
    assert recognises(release)
    assert not recognises(tmp_path)
    assert not recognises(tmp_path / "nowhere")
    assert not recognises(next(release.iterdir()))


def test_the_fingerprint_and_the_report_contain_no_path(tmp_path: Path) -> None:
    source = MovielensSource(write_1m(tmp_path), CONFIG)
    assert [file["name"] for file in source.fingerprint()["files"]] == [
        "ratings.dat",
        "movies.dat",
        "users.dat",
    ]
    assert str(tmp_path) not in json.dumps([source.fingerprint(), source.report()])
    assert source.report() == {"warnings": [], "layout": "1m"}


def test_a_folder_name_is_not_a_glob_pattern(tmp_path: Path) -> None:
    assert list(users_of(read_chunks(write_1m(tmp_path / "it's *[1]?")))) == ["2", "10"]


@pytest.mark.parametrize("write", [write_1m, write_csv])
def test_a_folder_whose_name_matches_another_is_read_itself(tmp_path: Path, write) -> None:
    write(tmp_path / "ml1")
    folder = write(tmp_path / "ml[1]")
    ratings = next(folder.glob("ratings.*"))
    lines = ratings.read_text().splitlines()[: 2 if write is write_csv else 1]
    ratings.write_text("\n".join(lines) + "\n")
    assert list(users_of(read_chunks(folder))) == ["10"]


def ratings_of(folder: Path, *rows: str) -> Path:
    write_1m(folder)
    (folder / "ratings.dat").write_text("".join(f"{row}\n" for row in rows))
    return folder


def test_rows_with_a_missing_id_are_left_out_and_counted(tmp_path: Path) -> None:
    rows = ["1::2::3::978300760", "NULL::2::3::978300760", "1::NULL::3::978300760"]
    rows += ["::2::3::978300760", "1::::3::978300760"]
    source = MovielensSource(ratings_of(tmp_path, *rows, "1::3::3::978300761"), CONFIG)
    assert users_of(list(source.chunks()))["1"]["items"] == ["2", "3"]
    assert source.report()["warnings"] == ["left out 4 rows without a user id or an item id"]


def test_numbers_with_decimals_follow_the_rule_for_ids(tmp_path: Path) -> None:
    rows = ["1::2::3::978300760", "1::11.6::3::978300761", "1.0::12.0::3::978300762"]
    source = MovielensSource(ratings_of(tmp_path, *rows), CONFIG)
    assert users_of(list(source.chunks()))["1"]["items"] == ["2", "11.6", "12"]
    assert any("12.0 became 12" in warning for warning in source.report()["warnings"])


@pytest.mark.parametrize("bad", ["0", "-1", "978300760000", "4000000000", "NULL"])
def test_a_bad_time_is_refused_or_dropped(tmp_path: Path, bad: str) -> None:
    rows = ["1::2::3::978300760", f"1::4::3::{bad}", "1::3::3::978300761"]
    folder = ratings_of(tmp_path, *rows)
    value = "" if bad == "NULL" else bad
    with pytest.raises(SourceError, match=rf"data row 2: invalid time '{value}'") as error:
        read_chunks(folder)
    assert "--bad-times drop" in error.value.hint
    source = MovielensSource(folder, SourceConfig(bad_times="drop"))
    assert users_of(list(source.chunks()))["1"]["items"] == ["2", "3"]
    assert "left out 1 row with a bad or missing time" in source.report()["warnings"][0]


def test_mostly_bad_times_are_refused_and_entirely_early_ones_give_a_warning(
    tmp_path: Path,
) -> None:
    folder = ratings_of(tmp_path, "1::2::3::5", "1::3::3::978300761", "1::4::3::6")
    with pytest.raises(SourceError, match=r"data row 1: invalid time '5'.*most times are bad"):
        list(MovielensSource(folder, SourceConfig(bad_times="drop")).chunks())
    source = MovielensSource(ratings_of(tmp_path, "1::2::3::5", "1::3::3::86405"), CONFIG)
    list(source.chunks())
    [warning] = source.report()["warnings"]
    assert "from 1970-01-01 to 1970-01-02" in warning


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("1::2::good::978300760", r"ratings\.dat: data row 2 \(line 2\): invalid rating 'good'"),
        ("1::2::3", r"ratings\.dat: line 2 has 3 columns, expected 4"),
        ("1::2::3::4::5", r"ratings\.dat: line 2 has 5 columns, expected 4"),
        ("1::2::3::now", r"ratings\.dat: data row 2 \(line 2\): invalid time 'now'"),
        (f"1::2::3::{10**17}", r"ratings\.dat: data row 2 \(line 2\): invalid time '10{17}'"),
        ("1,2,3,4", r"ratings\.dat: line 2 has 1 column, expected 4"),
    ],
)
def test_an_invalid_rating_is_refused_with_its_line(
    tmp_path: Path, line: str, expected: str
) -> None:
    folder = write_1m(tmp_path)
    (folder / "ratings.dat").write_text(f"1::2::3::978300760\n{line}\n1::2::3::978300760\n")
    with pytest.raises(SourceError, match=expected) as error:
        read_chunks(folder)
    assert "\n" not in str(error.value)
    assert error.value.hint


def test_line_numbers_of_a_csv_include_the_header(tmp_path: Path) -> None:
    folder = write_csv(tmp_path / "csv")
    (folder / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1,2,3.0,4\n1,2,x,4\n")
    with pytest.raises(
        SourceError, match=r"ratings\.csv: data row 2 \(line 3\): invalid rating 'x'"
    ):
        read_chunks(folder)


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
    chunks = read_chunks(segue_data / folder)
    histories: dict[str, list[str]] = {}
    for chunk in chunks:
        ids, items = chunk.sequences["sequence_id"], chunk.sequences["items"]
        histories |= dict(zip(ids.to_pylist(), items.to_pylist(), strict=True))
    assert histories == stable_sort(segue_data / folder / file, delimiter, skip=delimiter == ",")
    assert list(histories) == sorted(histories, key=int)
    rated = {movie for history in histories.values() for movie in history}
    n_events = sum(map(len, histories.values()))
    counts = (len(histories), n_events, chunks[0].items.num_rows, len(rated))
    assert counts == expected


@pytest.mark.real_data
def test_real_movies_and_users(segue_data: Path) -> None:
    chunks = read_chunks(segue_data / "ml-1m")
    titles = dict(
        zip(*(chunks[0].items[name].to_pylist() for name in ("item_id", "title")), strict=True)
    )
    assert titles["73"] == "Misérables, Les"
    assert chunks[0].items["year"].null_count == 0
    for chunk in chunks:
        for name in ("gender", "age", "occupation", "zip_code"):
            assert chunk.sequences[name].null_count == 0
