"""Frames as logs and items: the same dataset as from the same rows in Parquet, and errors."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import segue
from segue.config import SourceConfig
from segue.errors import ConfigError, SegueError, SourceError
from segue.sources import open_log

NAN = float("nan")
START = 1_614_859_200
LOG = pa.table(
    {
        "user_id": [1.0, 1, 1, 1, 2, 2, 2, 2, NAN],
        "item_id": ["a", "b", "c", " d", "a", "c", "b", "d", "a"],
        "timestamp": pa.array(range(START, START + 9), pa.timestamp("s")).cast(
            pa.timestamp("us", "Asia/Tokyo")
        ),
        "rating": pa.array([5, 4, 3, 2, 1, 5, 4, 3, 2], pa.float32()),
    }
)
ITEMS = pa.table(
    {"item_id": ["a", "b", "x"], "title": ["A", "B", "X"], "sound": [[1.0], [2.0], None]}
)


NOT_UTF8 = pa.Array.from_buffers(pa.string(), 9, pa.array([b"\xff"] * 9).buffers())


class Stream:
    """The least that an object of a foreign library offers; it can be read once."""

    def __init__(self, table: pa.Table) -> None:
        self._reader = table.to_reader(max_chunksize=2)

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self._reader.__arrow_c_stream__(requested_schema)


def relation_of(table: pa.Table) -> duckdb.DuckDBPyRelation:
    return duckdb.connect().from_arrow(table)


def pandas_of(table: pa.Table) -> Any:
    pytest.importorskip("pandas", reason="pandas is not installed")
    frame = table.to_pandas()
    frame.index = frame.index + 7
    return frame


def categories_of(table: pa.Table) -> Any:
    frame = pandas_of(table)
    return frame.astype({"item_id": "category"})


def polars_of(table: pa.Table) -> Any:
    polars = pytest.importorskip("polars", reason="polars is not installed")
    return polars.from_arrow(table)


FRAMES: list[Callable[[pa.Table], Any]] = [
    lambda table: table,
    lambda table: table.combine_chunks().to_batches()[0],
    lambda table: table.to_reader(max_chunksize=3),
    Stream,
    relation_of,
    pandas_of,
    categories_of,
    polars_of,
    lambda table: table.set_column(1, "item_id", table["item_id"].dictionary_encode()),
    lambda table: table.set_column(1, "item_id", table["item_id"].cast(pa.string_view())),
    lambda table: table.set_column(1, "item_id", table["item_id"].cast(pa.large_string())),
    lambda table: table.append_column("pause", pa.array([1] * len(table), pa.duration("s"))),
    lambda table: table.rename_columns([f" {name}" for name in table.column_names]),
]
NAMES = [
    "table", "batch", "reader", "stream", "relation", "pandas", "pandas categories", "polars",
    "dictionary", "string view", "large string", "unused duration", "blanks in names",
]  # fmt: skip


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for temporary files, which is empty at the end of every test."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


@pytest.fixture
def expected(tmp_path: Path) -> segue.Dataset:
    pq.write_table(LOG, tmp_path / "log.parquet")
    return segue.prepare(tmp_path / "log.parquet", tmp_path / "expected")


@pytest.mark.fast_cases(2)
@pytest.mark.parametrize("frame_of", FRAMES, ids=NAMES)
def test_a_frame_gives_the_dataset_of_the_same_rows_in_parquet(
    tmp_path: Path, expected: segue.Dataset, frame_of: Callable[[pa.Table], Any]
) -> None:
    data = segue.prepare(frame_of(LOG), tmp_path / "data")
    assert data.fingerprint == expected.fingerprint
    for name in ("items.parquet", "sequences.arrow"):
        assert (data.path / name).read_bytes() == (expected.path / name).read_bytes()
    source = data.manifest.source
    assert source["report"] == expected.manifest.source["report"]
    assert source["fingerprint"]["rows"] == 9
    assert list(source["fingerprint"]["columns"]) == LOG.column_names
    assert str(tmp_path) not in (data.path / "manifest.json").read_text()


@pytest.mark.fast_cases(2)
@pytest.mark.parametrize("frame_of", FRAMES[:5], ids=NAMES[:5])
def test_items_may_be_a_frame(tmp_path: Path, frame_of: Callable[[pa.Table], Any]) -> None:
    pq.write_table(ITEMS, tmp_path / "items_file.parquet")
    expected = segue.prepare(LOG, tmp_path / "a", items_file=tmp_path / "items_file.parquet")
    data = segue.prepare(LOG, tmp_path / "b", items_file=frame_of(ITEMS))
    assert data.items.table.equals(expected.items.table)
    assert data.manifest.source["report"] == expected.manifest.source["report"]
    for name in ("manifest.json", "items.parquet"):
        assert (data.path / name).read_bytes() == (expected.path / name).read_bytes()


def test_a_path_and_a_frame_may_be_mixed(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(
        "user,item,time\nu,a,1600000000\nu,b,1600000001\nu,c,1600000002\n"
    )
    data = segue.prepare(tmp_path / "log.csv", tmp_path / "data", items_file=ITEMS)
    assert data.items.titles(data.items.find(["a", "x"])) == ["A", "X"]


def test_a_stream_is_read_in_batches(tmp_path: Path) -> None:
    """Never are two batches of the stream in memory."""
    alive: list[int] = [0]

    def batches() -> Iterator[pa.RecordBatch]:
        for user in range(50):
            alive[0] = max(alive[0], pa.total_allocated_bytes() - before)
            rows = 20_000
            yield pa.record_batch(
                {
                    "user_id": pa.array([user] * rows),
                    "item_id": pa.array([item % 100 for item in range(rows)]),
                    "timestamp": pa.array(range(START, START + rows)),
                }
            )

    schema = pa.schema({"user_id": pa.int64(), "item_id": pa.int64(), "timestamp": pa.int64()})
    before = pa.total_allocated_bytes()
    reader = pa.RecordBatchReader.from_batches(schema, batches())
    data = segue.prepare(reader, tmp_path / "data")
    assert data.sequences.n_events == 1_000_000
    assert alive[0] < 6 * 20_000 * 24  # of 24 MB in all


@pytest.mark.parametrize(
    ("frame", "options", "message"),
    [
        (LOG.drop_columns(["item_id"]), {}, "no column of the frame has a usual name for an item"),
        (LOG, {"item_column": "song"}, "names the column 'song', which the frame does not have"),
        (LOG.slice(0, 0), {}, "the frame has no rows"),
        (
            LOG.set_column(0, "user_id", pa.array([1.5] * 9)),
            {},
            "the frame: data row 1: invalid user",
        ),
        (
            LOG.set_column(2, "time", pa.array([0] + [START] * 8)),
            {},
            "the frame: data row 1: invalid time",
        ),
        (
            LOG.set_column(2, "time", pa.array([True] * 9)),
            {},
            "the frame: the column 'time' contains",
        ),
        (
            LOG.set_column(1, "item_id", NOT_UTF8),
            {},
            "the frame cannot be read",
        ),
        (LOG, {"format": "mpd"}, "format mpd reads files, but the log is a Table"),
        (LOG, {"sequences": 5}, "applies only to the built-in world"),
        (LOG["item_id"], {}, "the frame cannot be read"),
        (LOG, {"items_file": ITEMS.drop_columns(["item_id"])}, "the frame has no column"),
    ],
)
def test_an_error_about_a_frame_is_one_line(
    tmp_path: Path, temporary: Path, frame: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises((SourceError, ConfigError)) as error:
        segue.prepare(frame, tmp_path / "data", **options)
    assert message in str(error.value)
    assert str(temporary) not in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "data").exists()


def test_an_error_of_the_stream_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    def batches() -> Iterator[pa.RecordBatch]:
        yield LOG.combine_chunks().to_batches()[0]
        raise ValueError("the server went away")

    reader = pa.RecordBatchReader.from_batches(LOG.schema, batches())
    with pytest.raises(SegueError, match=r"the frame cannot be read: .*the server went away"):
        segue.prepare(reader, tmp_path / "data")
    assert not (tmp_path / "data").exists()


class OldFrame:
    """A data frame of an old version."""

    iloc = None


@pytest.mark.parametrize(
    ("log", "message"),
    [
        (["a"], "the log is of type list, expected a path or a table"),
        (7, "the log is of type int, expected a path or a table"),
        (OldFrame(), "no Arrow C stream interface .*update pandas"),
    ],
)
def test_what_is_neither_a_path_nor_a_table_is_refused(log: Any, message: str) -> None:
    with pytest.raises(SourceError, match=message), open_log(log, SourceConfig()):
        pass


def test_times_of_frames_are_in_utc(tmp_path: Path) -> None:
    data = segue.prepare(LOG, tmp_path / "data")
    assert data.sequences.times is not None
    assert data.sequences.times[0] == START * 10**6
    assert data.manifest.audit["times"]["from"].startswith(
        datetime.fromtimestamp(START, UTC).strftime("%Y-%m-%dT%H:%M")
    )


def test_columns_of_pandas_that_are_not_used_may_be_of_any_type(tmp_path: Path) -> None:
    frame = pandas_of(LOG)
    frame["note"] = [1, "x", None, object(), {}, [], 2.5, b"", ()]
    assert segue.prepare(frame, tmp_path / "data").sequences.n_events == 8
    frame["item_id"] = [1, "x", 2, 3, 4, 5, 6, 7, 8]
    with pytest.raises(SourceError, match="the frame cannot be read: ") as error:
        segue.prepare(frame, tmp_path / "more")
    assert "astype" in error.value.hint


def test_the_index_of_pandas_is_left_out(tmp_path: Path) -> None:
    frame = pandas_of(LOG).set_index(["user_id", "rating"])
    with pytest.raises(SourceError, match="usual name for a user id") as error:
        segue.prepare(frame, tmp_path / "data")
    assert error.value.hint == "the index (user_id, rating) is left out: call reset_index()"
    assert segue.prepare(frame.reset_index(), tmp_path / "data").sequences.n_events == 8


def sequences_of(frame: Any, **options: object) -> dict[str, list[str]]:
    sequences: dict[str, list[str]] = {}
    with open_log(frame, SourceConfig.model_validate(options)) as source:
        for chunk in source.chunks():
            ids = chunk.sequences["sequence_id"].to_pylist()
            sequences |= dict(zip(ids, chunk.sequences["items"].to_pylist(), strict=True))
    return sequences


def test_columns_of_lists_in_frames() -> None:
    frame = pa.table({"note": ["x", "y"], "user_id": [1, 2], "items": [["b", "a"], ["c"]]})
    assert sequences_of(frame) == {"1": ["b", "a"], "2": ["c"]}
    # A column with a name for lists is left out where there is one of single items.
    frame = pa.table({"user_id": [1], "item_id": ["a"], "items": [["b", "a"]]})
    assert sequences_of(frame) == {"1": ["a"]}


def test_dictionaries_of_views() -> None:
    views = pa.array(["a", None, "b"], pa.string_view())
    ids = pa.DictionaryArray.from_arrays(pa.array([2, 0, 1]), views)
    assert sequences_of(pa.table({"user_id": [1, 1, 1], "item_id": ids})) == {"1": ["b", "a"]}


def test_a_series_is_no_log() -> None:
    class Series:
        iloc = None

        def __arrow_c_stream__(self) -> None: ...

    with pytest.raises(SourceError, match="of type Series, expected a table"):
        sequences_of(Series())


def test_an_error_of_a_reader_is_one_line_without_a_traceback() -> None:
    def batches() -> Iterator[pa.RecordBatch]:
        yield pa.record_batch({"user_id": ["u"], "item_id": ["a"]})
        raise OSError("the disk is gone")

    schema = pa.schema({"user_id": pa.string(), "item_id": pa.string()})
    with pytest.raises(SourceError, match="the disk is gone") as error:
        sequences_of(pa.RecordBatchReader.from_batches(schema, batches()))
    assert "Traceback" not in str(error.value)
