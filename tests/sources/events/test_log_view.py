"""Times and ratings of table logs: formats, units, and the row of the first invalid value."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from table_logs import column_by_sequence, open_log, read_log, write, write_log

from segue.errors import SourceError

NOON = datetime(2021, 3, 4, 12, 0, 0, 250_000, tzinfo=UTC)


NOON_US = 1_614_859_200_250_000


@pytest.mark.parametrize(
    "text",
    [
        "1614859200.25",
        "1614859200250",
        "1614859200250000",
        "1614859200250000000",
        "1.61485920025e9",
        "2021-03-04T12:00:00.25Z",
        "2021-03-04 12:00:00.250",
        "2021-03-04T14:00:00.25+02:00",
        "2021-03-04T07:00:00.25-0500",
    ],
)
def test_formats_of_times(tmp_path: Path, text: str) -> None:
    assert column_by_sequence(open_log(write_log(tmp_path, f"u,i,{text}")), "times") == {
        "u": [NOON]
    }


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        (pa.array([NOON_US], pa.timestamp("us")), NOON),
        (pa.array([NOON_US * 1000], pa.timestamp("ns")), NOON),
        (pa.array([NOON_US // 1000], pa.timestamp("ms", tz="America/New_York")), NOON),
        (pa.array([NOON_US * 1000], pa.int64()), NOON),
        (pa.array([NOON_US / 1e6], pa.float64()), NOON),
        (pa.array(["2021-03-04T12:00:00.25Z"]), NOON),
        (pa.array([18_690], pa.date32()), datetime(2021, 3, 4, tzinfo=UTC)),
    ],
)
def test_types_of_times_in_parquet(tmp_path: Path, times: pa.Array, expected: datetime) -> None:
    path = tmp_path / "log.parquet"
    pq.write_table(pa.table({"user_id": ["u"], "item_id": ["i"], "timestamp": times}), path)
    assert column_by_sequence(open_log(path), "times") == {"u": [expected]}


@pytest.mark.parametrize(
    "times", [("1975-01-02", "1969-12-31", "1960-01-01T12:00:00"), ("200000", "-1.5", "-100000")]
)
def test_dates_and_times_before_1970(tmp_path: Path, times: tuple[str, ...]) -> None:
    path = write_log(tmp_path, *(f"u,{i},{t}" for i, t in zip("cba", times, strict=True)))
    assert read_log(path) == {"u": ["a", "b", "c"]}


@pytest.mark.parametrize(
    ("times", "row", "bad"),
    [
        (["978300760", "978300761", "2001-01-01"], 3, "2001-01-01"),
        (["978300760", "2001-01-01T00:00:00Z", "978300761"], 2, "2001-01-01T00:00:00Z"),
        (["2001-01-01", "2001-01-02", "978300760"], 3, "978300760"),
        (["978300760", "2001-01-01", "2001-01-02"], 1, "978300760"),
        (["978300760", "2001-01-01"], 2, "2001-01-01"),
    ],
)
@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_numbers_and_dates_in_one_column_are_refused_at_the_first_different_row(
    tmp_path: Path, times: list[str], row: int, bad: str, form: str
) -> None:
    path = tmp_path / f"log.{form}"
    if form == "csv":
        write_log(tmp_path, *(f"u,i,{time}" for time in times))
    elif form == "jsonl":
        as_json = [json.loads(t) if t.isdigit() else t for t in times]
        lines = [json.dumps({"user": "u", "item": "i", "time": time}) for time in as_json]
        write(path, "\n".join(lines))
    else:
        ids = ["x"] * len(times)
        pq.write_table(pa.table({"user": ids, "item": ids, "time": times}), path)
    with pytest.raises(SourceError, match=f"data row {row}.*: invalid time '{bad}'") as error:
        read_log(path)
    assert "in all rows" in error.value.hint


def test_a_first_date_after_the_sampled_rows_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("segue.sources.events.log_view.SAMPLE_ROWS", 3)
    path = write_log(tmp_path, *["u,i,978300760"] * 3, *["u,i,2001-01-01"] * 9)
    with pytest.raises(SourceError, match="data row 4 "):
        read_log(path)


def test_the_unit_is_decided_for_the_entire_column(tmp_path: Path) -> None:
    # 5e10 alone would be seconds in the year 3554; among milliseconds of 1970 it is milliseconds.
    path = write_log(tmp_path, "u,b,150000000000", "u,c,160000000000", "u,a,50000000000")
    times = column_by_sequence(open_log(path), "times")["u"]
    assert times[0] == datetime(1971, 8, 2, 16, 53, 20, tzinfo=UTC)


def test_a_counter_in_the_time_column_gives_a_warning(tmp_path: Path) -> None:
    source = open_log(write_log(tmp_path, "u,b,2", "u,a,1"))
    assert column_by_sequence(source, "items") == {"u": ["a", "b"]}
    assert source.report()["warnings"] == [
        "all times lie before 1980 or more than a year ahead, from 1970-01-01 to 1970-01-01, read "
        "as seconds since 1970: does the column 'timestamp' contain times?"
    ]


@pytest.mark.parametrize(
    "bad", ["yesterday", "nan", "inf", "infinity", "04/03/2021", "2021-02-30", "1e300", ""]
)
def test_an_invalid_time_is_refused_with_its_row(tmp_path: Path, bad: str) -> None:
    path = write_log(tmp_path, '"u\nv",i,1', "", f"u,i,{bad}", "u,i,worse")
    with pytest.raises(SourceError) as error:
        read_log(path)
    # The first row spans two lines, and a blank line follows it.
    assert error.value.message == f"{path}: data row 2 (line 5): invalid time {bad!r}"
    assert "ISO 8601" in error.value.hint


def test_an_invalid_time_in_a_folder_is_refused_with_its_file(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", "user,item,time\n1,2,3\n")
    write(tmp_path / "b.csv", "user,item,time\n1,2,3\n1,2,soon\n")
    with pytest.raises(SourceError, match=r"b\.csv: data row 2 \(line 3\): invalid time 'soon'"):
        read_log(tmp_path)


def test_a_missing_time_in_json_and_parquet_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "log.jsonl", '{"user":1,"item":2,"ts":3}\n{"user":1,"item":2}\n')
    with pytest.raises(SourceError, match=r"data row 2: invalid time ''"):
        read_log(tmp_path / "log.jsonl")
    table = pa.table({"user": [1, 1], "item": [1, 1], "ts": pa.array([1, None], pa.int32())})
    pq.write_table(table, tmp_path / "log.parquet")
    with pytest.raises(SourceError, match=r"data row 2: invalid time ''"):
        read_log(tmp_path / "log.parquet")


@pytest.mark.parametrize(
    ("name", "delimiter"), [("log.tsv", "\t"), ("log.csv", ";"), ("log.csv", "|")]
)
def test_quoted_line_breaks_are_counted_for_any_delimiter(
    tmp_path: Path, name: str, delimiter: str
) -> None:
    rows = ["user_id,item_id,timestamp,note", 'u,a,1,"two\nlines"', "u,b,soon,x"]
    path = write(tmp_path / name, "\n".join(rows).replace(",", delimiter) + "\n")
    with pytest.raises(SourceError, match=r"data row 2 \(line 4\): invalid time 'soon'"):
        read_log(path)


def test_an_error_after_a_very_long_field_has_its_row_and_line(tmp_path: Path) -> None:
    header = "user_id,item_id,timestamp,note"
    path = write_log(tmp_path, "u,a,1," + "x" * 200_000, "u,b,soon,x", header=header)
    with pytest.raises(SourceError, match=r"log\.csv: data row 2 \(line 3\): invalid time 'soon'"):
        read_log(path)


def test_ratings_follow_their_events(tmp_path: Path) -> None:
    header = "user_id,item_id,timestamp,rating"
    path = write_log(tmp_path, "u,b,2,4.5", "u,a,1,-1", "u,c,3,", header=header)
    ratings = column_by_sequence(open_log(path), "ratings")["u"]
    np.testing.assert_array_equal(ratings, np.array([-1.0, 4.5, np.nan], np.float32))


def test_an_invalid_rating_is_refused_with_its_row(tmp_path: Path) -> None:
    path = write_log(tmp_path, "u,i,3", "u,i,good", header="user_id,item_id,rating")
    with pytest.raises(SourceError, match=r"data row 2 \(line 3\): invalid rating 'good'"):
        read_log(path)
