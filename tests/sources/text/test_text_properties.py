"""Property tests of text tables: what Python's csv and json modules write is read back."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import re
from collections.abc import Callable
from pathlib import Path

import hypothesis.strategies as st
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from table_logs import read_log

from examples import examples
from segue.errors import SourceError

PROFILE = settings(
    max_examples=examples(25),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

COMPRESSIONS: list[Callable[[bytes], bytes]] = [
    bytes, gzip.compress, zstandard.compress, bz2.compress, lzma.compress
]  # fmt: skip

# No blanks around ids, and no words for missing values: other tests are about those.
IDS = st.text("ab\"'\\#é,;|\t:", min_size=1, max_size=5).map(lambda text: f"x{text}y")
NOTES = st.text("ab \"'\\#é,;|\t:\n\r", max_size=8)
ROWS = st.lists(st.tuples(IDS, IDS, NOTES), min_size=1, max_size=8)


def by_user(rows: list[tuple[str, str]]) -> dict[str, list[str]]:
    sequences: dict[str, list[str]] = {}
    for user, item in rows:
        sequences.setdefault(user, []).append(item)
    return sequences


def read_or_refuse(path: Path) -> dict[str, list[str]] | str:
    """The log, or the message with which it is refused."""
    try:
        return read_log(path)
    except SourceError as error:
        return str(error)


@PROFILE
@given(
    rows=ROWS,
    separator=st.sampled_from([",", ";", "\t", "|"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    ends=st.lists(st.sampled_from(["\n", "\r\n", "\r"]), min_size=1, max_size=3),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
    compress=st.sampled_from(COMPRESSIONS),
    last_end=st.booleans(),
)
def test_quoted_text_is_read_as_python_reads_it(
    tmp_path: Path,
    rows: list[tuple[str, str, str]],
    separator: str,
    quoting: int,
    ends: list[str],
    encoding: str,
    compress: Callable[[bytes], bytes],
    last_end: bool,
) -> None:
    lines = []
    for i, row in enumerate([("user_id", "item_id", "note"), *rows]):
        text = io.StringIO()
        writer = csv.writer(text, delimiter=separator, quoting=quoting, lineterminator="\r\n")
        writer.writerow(row)
        lines.append(text.getvalue()[:-2] + ends[i % len(ends)])
    content = "".join(lines) if last_end else "".join(lines).rstrip("\r\n")
    path = tmp_path / "log.csv"
    path.write_bytes(compress(content.encode(encoding)))
    parsed = list(csv.reader(io.StringIO(content, newline=""), delimiter=separator))
    assert len(parsed) == len(rows) + 1
    expected = by_user([(user, item) for user, item, _ in parsed[1:]])
    assert read_log(path, quote='"') == expected
    # Without the option, quotes around several lines, each a row by itself, are not plausible.
    if not any(map(is_ambiguous, lines, [separator] * len(lines))):
        assert read_log(path) == expected


def is_ambiguous(record: str, separator: str) -> bool:
    lines = [line for line in re.split(r"[\r\n]+", record) if line.strip()]
    return len(lines) > 1 and all(line.count(separator) == 2 for line in lines)


@PROFILE
@given(
    rows=ROWS,
    separator=st.sampled_from(["::", "\t", "~", "||"]),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_literal_quotes(
    tmp_path: Path, rows: list[tuple[str, str, str]], separator: str, end: str
) -> None:
    clean = [[field.replace(separator[0], "").strip("\r\n") for field in row[:2]] for row in rows]
    text = "".join(separator.join(row) + end for row in [["user_id", "item_id"], *clean])
    path = tmp_path / "log.txt"
    path.write_text(text, "utf-8", newline="")
    sequences = read_log(path, quote="none", separator=separator)
    assert sequences == by_user([(user, item) for user, item in clean])


@PROFILE
@given(rows=ROWS, quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]))
def test_backslash_escapes(tmp_path: Path, rows: list[tuple[str, str, str]], quoting: int) -> None:
    text = io.StringIO()
    writer = csv.writer(
        text, doublequote=False, escapechar="\\", quoting=quoting, lineterminator="\n"
    )
    writer.writerows([("user_id", "item_id", "note"), *rows])
    path = tmp_path / "log.csv"
    path.write_text(text.getvalue(), "utf-8", newline="")
    expected = by_user([(user, item) for user, item, _ in rows])
    assert read_log(path, escape="\\") == expected


@PROFILE
@given(
    rows=st.lists(
        st.fixed_dictionaries(
            {"user": IDS, "item": IDS},
            optional={"note": NOTES, "x": st.lists(st.none()), "y": st.floats(allow_nan=True)},
        ),
        min_size=1,
        max_size=8,
    ),
    ends=st.lists(st.sampled_from(["\n", "\r\n", "\r", "\n\n"]), min_size=1, max_size=3),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    ascii_only=st.booleans(),
    compress=st.sampled_from(COMPRESSIONS),
)
def test_json_lines(
    tmp_path: Path,
    rows: list[dict],
    ends: list[str],
    encoding: str,
    ascii_only: bool,
    compress: Callable[[bytes], bytes],
) -> None:
    lines = [
        json.dumps(row, ensure_ascii=ascii_only) + ends[i % len(ends)] for i, row in enumerate(rows)
    ]
    path = tmp_path / "log.jsonl"
    path.write_bytes(compress("".join(lines).encode(encoding)))
    assert read_log(path) == by_user([(row["user"], row["item"]) for row in rows])


@pytest.mark.fast_cases(1)
@PROFILE
@given(
    data=st.binary(max_size=60), head=st.sampled_from([b"", b"user_id,item_id\n", b"1 2\n3 4\n"])
)
@pytest.mark.parametrize("name", ["log.csv", "log.jsonl", "log.parquet", "log"])
def test_any_bytes_are_read_or_refused_in_one_line(
    tmp_path: Path, name: str, data: bytes, head: bytes
) -> None:
    path = tmp_path / name
    path.write_bytes(head + data)
    assert "\n" not in str(read_or_refuse(path))
