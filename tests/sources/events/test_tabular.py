"""The format ``tabular``: ids, event types, the order of events, reports and invalid files."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from table_logs import column_by_sequence, open_log, read_log, write, write_log

from examples import examples
from segue.errors import SourceError


def test_ids_that_the_rule_does_not_change_are_kept_as_written(tmp_path: Path) -> None:
    ids = ["007", "7", "1.5", "1e3", "x y", "NULLS", "né", "true", "0x1F"]
    path = write_log(tmp_path, *(f"{i},{i}" for i in ids), header="user_id,item_id")
    assert read_log(path) == {i: [i] for i in ids}


def test_quoted_ids_may_contain_any_character(tmp_path: Path) -> None:
    path = write_log(
        tmp_path, '1,"a,b"', '1,"say ""hi"""', '1,"two\nlines"', header="user_id,item_id"
    )
    assert read_log(path) == {"1": ["a,b", 'say "hi"', "two\nlines"]}


def test_json_ids_become_their_text(tmp_path: Path) -> None:
    lines = ['{"user": 7, "item": 1.0}', '{"item": "007", "user": "7"}', '{"user": 7, "item": 2}']
    path = write(tmp_path / "log.jsonl", "\n".join(lines))
    assert read_log(path) == {"7": ["1", "007", "2"]}


@pytest.mark.parametrize("name", ["log.csv", "log.jsonl"])
def test_rows_without_an_id_are_left_out_and_counted(tmp_path: Path, name: str) -> None:
    rows = [("a", "x"), ("", "y"), ("a", ""), ("a", "z")]
    text = "".join(f"{u},{i}\n" for u, i in [("user", "item"), *rows])
    if name.endswith("jsonl"):
        text = "".join(json.dumps({"user": u or None, "item": i}) + "\n" for u, i in rows)
    source = open_log(write(tmp_path / name, text))
    assert column_by_sequence(source, "items") == {"a": ["x", "z"]}
    expected = "left out 2 rows without a user id or an item id"
    assert source.report()["warnings"][-1] == expected


def event_log(tmp_path: Path) -> Path:
    rows = ["u,a,view", "u,b,buy", "v,c,view", "u,d,", "u,e,cart"]
    return write_log(tmp_path, *rows, header="user_id,item_id,event")


def test_only_selected_event_types_are_read(tmp_path: Path) -> None:
    source = open_log(event_log(tmp_path), event_type=("buy", "cart"))
    assert column_by_sequence(source, "items") == {"u": ["b", "e"]}
    assert "2 of 5 rows are of type buy, cart" in source.report()["warnings"]
    assert source.report()["columns"]["event"] == "event"


def test_attributes_in_a_log_lead_to_a_warning(tmp_path: Path) -> None:
    path = write_log(tmp_path, "u,a,A song,9", header="user_id,item_id,Track Title,price")
    (warning,) = [text for text in open_log(path).report()["warnings"] if "not used" in text]
    assert "'Track Title'" in warning
    assert "price" not in warning
    assert "items_file" in warning
    items = write(tmp_path / "items.csv", "item_id,title\na,A song\n")
    described = open_log(path, items_file=items).report()["warnings"]
    assert not any("not used" in text for text in described)


def test_an_unknown_event_type_is_refused_with_the_nearest_one(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no event of type 'veiw'") as error:
        read_log(event_log(tmp_path), event_type=("buy", "veiw"))
    assert error.value.hint == "did you mean 'view'?"


def test_invalid_values_in_rows_of_other_event_types_are_ignored(tmp_path: Path) -> None:
    header = "user_id,item_id,timestamp,event"
    path = write_log(tmp_path, "u,a,never,view", "u,b,1,buy", header=header)
    assert read_log(path, event_type=("buy",)) == {"u": ["b"]}


EVENTS = st.lists(
    st.tuples(st.sampled_from(["a", "b", "10", "9"]), st.integers(0, 99), st.integers(0, 3)),
    min_size=1,
    max_size=40,
)


@settings(
    max_examples=examples(25),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(events=EVENTS, timed=st.booleans())
def test_sequences_equal_a_stable_sort(
    tmp_path: Path, events: list[tuple[str, int, int]], timed: bool
) -> None:
    header = "user,item,time" if timed else "user,item,moment"
    path = write_log(tmp_path, *(f"{u},{i},{t}" for u, i, t in events), header=header)
    expected: dict[str, list[str]] = {}
    for user, item, _ in sorted(events, key=lambda event: event[2] if timed else 0):
        expected.setdefault(user, []).append(str(item))
    sequences = read_log(path)
    assert sequences == expected
    assert list(sequences) == sorted(expected)


def test_ties_keep_the_order_of_files_and_rows(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    users = rng.integers(0, 50, 30_000)
    times = rng.integers(0, 3, 30_000)
    lines = [f"{u},{row},{t}\n" for row, (u, t) in enumerate(zip(users, times, strict=True))]
    for part in range(3):
        text = "".join(lines[part * 10_000 : (part + 1) * 10_000])
        write(tmp_path / f"part{part}.csv", "user,item,time\n" + text)
    sequences = read_log(tmp_path)
    for user in range(50):
        rows = np.flatnonzero(users == user)
        expected = rows[np.argsort(times[rows], kind="stable")]
        assert sequences[str(user)] == [str(row) for row in expected]


def test_a_small_memory_limit_gives_the_same_sequences(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    rows = [f"{u},{i},{t}" for u, i, t in rng.integers(0, 1000, (50_000, 3))]
    path = write_log(tmp_path, *rows)
    assert read_log(path, memory_limit=100_000_000) == read_log(path)


def test_the_fingerprint_contains_no_path(tmp_path: Path) -> None:
    path = write_log(tmp_path, "u,i,1")
    expected = {"format": "tabular", "files": [{"name": "log.csv", "bytes": path.stat().st_size}]}
    assert open_log(path).fingerprint() == expected


def test_sequences_of_sessions_are_not_users(tmp_path: Path) -> None:
    assert open_log(write_log(tmp_path, "u,i,1")).sequences_are_users
    sessions = write_log(tmp_path, "u,i,1", header="session_id,item_id,timestamp")
    assert not open_log(sessions).sequences_are_users


BAD_FILES = [
    ("empty.csv", b"", "is empty"),
    ("blank.jsonl", b"\n\n", "is empty"),
    ("header.csv", b"user_id,item_id\n", "has no rows, expected one event per row"),
    ("latin1.csv", "user_id,item_id\n1,café\n".encode("latin-1"), "is not UTF-8 text"),
    ("late.csv", b"user_id,item_id\n" + b"1,2\n" * 400_000 + b"1,\xe9\n", "is not UTF-8 text"),
    ("utf16.csv", "user_id,item_id\n1,2\n".encode("utf-16-le"), "is not UTF-8 text"),
    ("bytes.jsonl", b'{"user":"\xff","item":1}\n', "is not UTF-8 text"),
    ("wide.csv", b"user_id,item_id\n1,2\n1,2,3\n", "line 3 has 3 columns, expected 2"),
    ("narrow.csv", b"user_id,item_id\n1,2\n1\n", "line 3 has 1 column, expected 2"),
    ("open.csv", b'user_id,item_id\n1,"2\n', "line 2 has a quote that is not closed"),
    ("pairs.txt", b"1 2\n3 4 5\n", "line 2 has 3 columns, expected 2"),
    ("twice.csv", b"user_id,item_id,Item_ID\n1,2,3\n", "more than one column called 'item_id'"),
    ("cut.jsonl", b'{"user":1,"item":2}\n{"user":1,"it', "line 2 is not a JSON object"),
    (
        "list.json",
        b'[{"user":1,"item":2}]',
        "contains one JSON array, expected one object per line",
    ),
    ("lists.jsonl", b'{"user":1,"items":[[1,2]]}\n', "contains lists or objects"),
    ("users.jsonl", b'{"user":[1],"item":2}\n', "contains lists or objects"),
    ("cut.csv.gz", gzip.compress(b"user_id,item_id\n1,2\n" * 99, mtime=0)[:40], "cannot be read"),
    ("cut.csv.bz2", bz2.compress(b"user_id,item_id\n1,2\n" * 99)[:40], "cannot be read"),
    ("cut.csv.xz", lzma.compress(b"user_id,item_id\n1,2\n" * 99)[:60], "cannot be read"),
    ("log.csv", b"PK\x03\x04" + bytes(99), "is a zip archive, expected a table .unpack it"),
    ("log.xlsx", b"PK\x03\x04" + bytes(99), "is a spreadsheet, expected a table .export it as CSV"),
    ("log.csv", b"ARROW1" + bytes(99), "is an Arrow file, expected a table .convert it to Parquet"),
    ("log.csv.gz", gzip.compress(bytes(257) + b"ustar" + bytes(99), mtime=0), "is a tar archive"),
    ("log", b'\n[\n {"user":1,"item":2}]', "contains one JSON array"),
    ("log.parquet", b"user_id,item_id\n1,2\n" * 9, "cannot be read"),
    ("no_users.csv", b"user_id,item_id\n,2\n,3\n", "every row of .* lacks a user id or an item id"),
    ("headless.csv", b"196,242,3,881250949\n", "add --columns user,item,rating,time"),
    ("headless.tsv", b"u1\ti1\t978300760\n", "add --columns user,item,time"),
    ("long_header.csv", b"user_id," + b"x" * 2_000_000 + b"\n", "is longer than 1,048,576 bytes"),
    ("quote.csv", b'"user_id' + b"x" * 200_000 + b"\n", "is not a valid header"),
]


@pytest.mark.parametrize(("name", "data", "message"), BAD_FILES, ids=[bad[0] for bad in BAD_FILES])
def test_an_invalid_file_is_refused_with_a_one_line_error(
    tmp_path: Path, name: str, data: bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(SourceError, match=message) as error:
        read_log(path)
    assert "\n" not in str(error.value)
    assert name in error.value.message


@pytest.mark.real_data
def test_ml_latest_small(segue_data: Path) -> None:
    folder = segue_data / "ml-latest-small"
    source = open_log(folder / "ratings.csv")
    sequences = pa.Table.from_batches([chunk.sequences for chunk in source.chunks()])
    assert sequences.num_rows == 610
    assert len(sequences["items"].combine_chunks().flatten()) == 100_836
    assert source.report()["columns"]["item"] == "movieId"
    assert source.report()["warnings"] == []


@pytest.mark.real_data
def test_the_canonical_file(segue_data: Path) -> None:
    path = segue_data / "ml-1m-canonical" / "ml-1m.txt"
    sequences = read_log(path)
    assert len(sequences) == 6_040
    assert sum(len(items) for items in sequences.values()) == 999_611
    assert len({item for items in sequences.values() for item in items}) == 3_416
    assert sequences["1"][:3] == ["1", "2", "3"]
