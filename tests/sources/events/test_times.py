"""The rule for times: one notation per column, and what is bad, dropped, refused or warned of."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from table_logs import column_by_sequence, open_log, read_log, write, write_log

from examples import examples
from segue.errors import SourceError
from segue.sources.events import times

TODAY = datetime(2026, 6, 1, tzinfo=UTC)

NOTATIONS = {
    "s": lambda t: str(round(t.timestamp())),
    "ms": lambda t: str(round(t.timestamp() * 1e3)),
    "us": lambda t: str(round(t.timestamp()) * 10**6),
    "ns": lambda t: str(round(t.timestamp()) * 10**9),
    "fraction": lambda t: f"{t.timestamp():.3f}",
    "exponent": lambda t: f"{t.timestamp():.12e}",
    "compact 8": lambda t: t.strftime("%Y%m%d"),
    "compact 12": lambda t: t.strftime("%Y%m%d%H%M"),
    "compact 14": lambda t: t.strftime("%Y%m%d%H%M%S"),
    "compact 17": lambda t: t.strftime("%Y%m%d%H%M%S") + "000",
    "compact float": lambda t: t.strftime("%Y%m%d%H%M%S") + ".0",
    "iso": lambda t: t.strftime("%Y-%m-%dT%H:%M:%S"),
    "iso with zone": lambda t: t.strftime("%Y-%m-%d %H:%M:%SZ"),
    "iso with offset": lambda t: (t + timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%S+02:00"),
    "date": lambda t: t.strftime("%Y-%m-%d"),
}
PRECISION = {"compact 8": 86_400, "date": 86_400, "compact 12": 60}

INSTANTS = st.datetimes(datetime(1980, 1, 1), datetime(2027, 5, 31)).map(
    lambda t: t.replace(microsecond=0, tzinfo=UTC)
)


@pytest.fixture(autouse=True)
def today(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(times, "today_us", lambda: round(TODAY.timestamp() * 1e6))


def write_times(folder: Path, *texts: str) -> Path:
    return write_log(folder, *(f"u,i{row},{text}" for row, text in enumerate(texts)))


@settings(max_examples=examples(20), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(INSTANTS, min_size=1, max_size=6), st.sampled_from(list(NOTATIONS)))
def test_every_notation_is_read_as_the_moment_that_was_written(
    tmp_path: Path, instants: list[datetime], notation: str
) -> None:
    source = open_log(write_times(tmp_path, *map(NOTATIONS[notation], instants)))
    read_times = column_by_sequence(source, "times")["u"]
    step = PRECISION.get(notation, 1)
    expected = [t - timedelta(seconds=t.timestamp() % step) for t in instants]
    assert read_times == sorted(expected)
    assert source.report()["warnings"] == []


@pytest.mark.parametrize(
    ("most", "few"),
    list(itertools.permutations(["s", "ms", "us", "compact 14", "iso"], 2)),
)
def test_two_notations_in_a_column_are_refused_with_a_row_of_each(
    tmp_path: Path, most: str, few: str
) -> None:
    instants = [datetime(2021, 3, day, 12, tzinfo=UTC) for day in (1, 2, 3)]
    texts = [NOTATIONS[most](t) for t in instants]
    texts[1] = NOTATIONS[few](instants[1])
    with pytest.raises(SourceError) as error:
        read_log(write_times(tmp_path, *texts))
    assert f"data row 2 (line 3): invalid time {texts[1]!r}" in error.value.message
    assert f"{texts[0]!r} in data row 1 (line 2)" in error.value.message
    assert "in all rows" in error.value.hint


GOOD = [str(1_600_000_000 + row) for row in range(3)]


@pytest.mark.parametrize(
    "bad", ["0", "-1", "0.0", "epoch", "1970-01-01", "1970-01-01T00:00:00Z", "", "NULL", "nan",
            "1600000000000", "4000000000", "300000000", "1e300", "inf", "04/03/2021", "yesterday",
            "20211399", "12:00", "1600000000s"],
)  # fmt: skip
def test_a_bad_time_is_refused_or_its_row_dropped(tmp_path: Path, bad: str) -> None:
    path = write_times(tmp_path, GOOD[0], bad, *GOOD[1:])
    with pytest.raises(SourceError) as error:
        read_log(path)
    assert f"{path}: data row 2 (line 3): invalid time {bad!r}" in error.value.message
    assert "--bad-times drop leaves such rows out" in error.value.hint
    source = open_log(path, bad_times="drop")
    assert column_by_sequence(source, "items") == {"u": ["i0", "i2", "i3"]}
    assert "left out 1 row with a bad or missing time" in source.report()["warnings"][0]


def test_bad_dates_among_dates(tmp_path: Path) -> None:
    path = write_times(tmp_path, "2021-03-04", "0", "1970-01-01", "2033-01-01", "2021-03-05")
    with pytest.raises(SourceError, match=r"data row 2 .*invalid time '0'"):
        read_log(path)
    # Most times are bad, so that the notation is uncertain.
    with pytest.raises(SourceError, match=r"data row 2 .*invalid time '0'") as error:
        read_log(path, bad_times="drop")
    assert "drop" not in error.value.hint
    assert read_log(
        write_times(tmp_path, "2021-03-04", "0", "2033-01-01", "2021-03-05"), bad_times="drop"
    ) == {"u": ["i0", "i3"]}


@pytest.mark.parametrize("bad_times", ["refuse", "drop"])
def test_a_column_of_which_most_lies_outside_is_refused_as_mixed(
    tmp_path: Path, bad_times: str
) -> None:
    path = write_times(tmp_path, "0", "0", "0", *GOOD[:2])
    with pytest.raises(
        SourceError, match=r"data row 1 .*invalid time '0'.*'1600000000' in data row 4"
    ):
        read_log(path, bad_times=bad_times)


@pytest.mark.parametrize("texts", [("04/03/2021", "05/03/2021"), ("soon", "later", "2021-03-04")])
def test_dropping_is_not_suggested_where_it_would_not_help(
    tmp_path: Path, texts: tuple[str, ...]
) -> None:
    with pytest.raises(SourceError, match=r"data row 1 \(line 2\): invalid time") as error:
        read_log(write_times(tmp_path, *texts))
    assert "2021-03-04" in error.value.hint
    assert "drop" not in error.value.hint


def test_rows_without_a_time_may_be_most(tmp_path: Path) -> None:
    path = write_times(tmp_path, "", "", "", GOOD[0], GOOD[1])
    assert read_log(path, bad_times="drop") == {"u": ["i3", "i4"]}


@pytest.mark.parametrize("bad", ["0", ""])
def test_the_hint_for_a_bad_time_can_be_followed(tmp_path: Path, bad: str) -> None:
    path = write_times(tmp_path, bad, bad, bad, *GOOD[:2])
    with pytest.raises(SourceError) as error:
        read_log(path)
    assert ("or leave them empty; then --bad-times drop" in error.value.hint) == (bad == "0")
    assert "--bad-times drop" in error.value.hint


def test_a_typed_column_without_any_time_is_refused(tmp_path: Path) -> None:
    columns = {"user_id": ["u"], "item_id": ["i"], "timestamp": pa.nulls(1, pa.int64())}
    pq.write_table(pa.table(columns), tmp_path / "log.parquet")
    with pytest.raises(SourceError, match="data row 1: invalid time ''"):
        read_log(tmp_path / "log.parquet")


def test_a_column_without_any_time_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no row of .* has a time that can be read"):
        read_log(write_times(tmp_path, "", "soon"), bad_times="drop")


@pytest.mark.parametrize(
    ("texts", "first", "last", "kind"),
    [
        (("0", "86400"), "1970-01-01", "1970-01-02", "seconds"),
        (("1960-05-01", "1975-01-01"), "1960-05-01", "1975-01-01", "dates without a time zone"),
        (("2050-05-01 00:00Z", "2060-01-01 00:00Z"), "2050-05-01", "2060-01-01", "dates"),
        (("4102444800", "4102444801"), "2100-01-01", "2100-01-01", "seconds"),
        (("19750101", "19781231"), "1975-01-01", "1978-12-31", "dates of 8 digits"),
        (("20500101000000", "20510101000000"), "2050-01-01", "2051-01-01", "dates of 14 digits"),
    ],
)
def test_a_column_that_lies_outside_as_a_whole_is_read_with_a_warning(
    tmp_path: Path, texts: tuple[str, str], first: str, last: str, kind: str
) -> None:
    source = open_log(write_times(tmp_path, *texts))
    read_times = column_by_sequence(source, "times")["u"]
    assert [str(time.date()) for time in read_times] == [first, last]
    [warning] = source.report()["warnings"]
    assert f"from {first} to {last}, read as {kind}" in warning


def test_a_year_ahead_of_today_is_plausible_and_more_is_not(tmp_path: Path) -> None:
    near, far = TODAY + timedelta(days=360), TODAY + timedelta(days=370)
    texts = ["2021-03-04", near.strftime("%Y-%m-%d"), "2021-03-05"]
    assert read_log(write_times(tmp_path, *texts)) == {"u": ["i0", "i2", "i1"]}
    texts[1] = far.strftime("%Y-%m-%d")
    with pytest.raises(SourceError, match=r"which is not between 1980 and a year from today"):
        read_log(write_times(tmp_path, *texts))


def test_the_first_rows_do_not_decide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segue.sources.events.log_view.SAMPLE_ROWS", 2)
    path = write_times(tmp_path, "1600000000000", "0", *GOOD)
    assert read_log(path, bad_times="drop") == {"u": ["i2", "i3", "i4"]}


def test_zoned_and_local_dates_are_not_mixed(tmp_path: Path) -> None:
    path = write_times(
        tmp_path, "2021-03-04T12:00:00Z", "2021-03-04T12:00:00", "2021-03-05 01:00+01"
    )
    with pytest.raises(SourceError, match=r"data row 2 .*of the kind dates without a time zone"):
        read_log(path)


def test_bad_times_of_another_file_of_a_folder(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", f"user,item,time\nu,a,{GOOD[0]}\nu,b,{GOOD[1]}\n")
    write(tmp_path / "b.csv", "user,item,time\nu,c,1600000000000\n")
    with pytest.raises(SourceError) as error:
        read_log(tmp_path)
    assert "b.csv: data row 1 (line 2): invalid time '1600000000000'" in error.value.message
    assert f"in data row 1 (line 2) of {tmp_path / 'a.csv'}" in error.value.message


EPOCH_AND_2021 = [0, 1_614_859_200, 1_614_859_201]


@pytest.mark.parametrize("kind", [
    pa.timestamp("s"), pa.timestamp("ms"), pa.timestamp("us", "UTC"), pa.timestamp("ns"),
    pa.timestamp("ms", "Asia/Tokyo"), pa.date32(), pa.date64(),
], ids=str)  # fmt: skip
def test_typed_times_of_parquet_obey_the_same_rule(tmp_path: Path, kind: pa.DataType) -> None:
    seconds = pa.array(EPOCH_AND_2021, pa.timestamp("s"))
    table = pa.table({"user_id": ["u"] * 3, "item_id": ["a", "b", "c"], "time": seconds.cast(kind)})
    pq.write_table(table, tmp_path / "log.parquet")
    with pytest.raises(SourceError, match=r"log\.parquet: data row 1: invalid time '1970-01-01"):
        read_log(tmp_path / "log.parquet")
    assert read_log(tmp_path / "log.parquet", bad_times="drop") == {"u": ["b", "c"]}


@pytest.mark.parametrize("values", [
    pa.array([float("nan"), 1.6e9, 1.6e9]), pa.array([None, 1.6e9, 1.6e9], pa.float32()),
    pa.array([-1, 1_600_000_000, 1_600_000_000]), pa.array([None, 20210304, 20210304], pa.int32()),
    pa.array([0, 1_600_000_000_000, 1_600_000_000_000], pa.uint64()),
], ids=str)  # fmt: skip
def test_numbers_of_parquet_obey_the_same_rule(tmp_path: Path, values: pa.Array) -> None:
    table = pa.table({"user_id": ["u"] * 3, "item_id": ["a", "b", "c"], "time": values})
    pq.write_table(table, tmp_path / "log.parquet")
    with pytest.raises(SourceError, match=r"log\.parquet: data row 1: invalid time"):
        read_log(tmp_path / "log.parquet")
    assert read_log(tmp_path / "log.parquet", bad_times="drop") == {"u": ["b", "c"]}


@pytest.mark.parametrize("values", [
    pa.array([0], pa.time64("us")), pa.array([True]),
], ids=str)  # fmt: skip
def test_types_that_are_no_times_are_refused(tmp_path: Path, values: pa.Array) -> None:
    table = pa.table({"user_id": ["u"], "item_id": ["a"], "time": values})
    pq.write_table(table, tmp_path / "log.parquet")
    with pytest.raises(SourceError, match=r"the column 'time' contains .*, expected times"):
        read_log(tmp_path / "log.parquet")
