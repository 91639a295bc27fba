"""A second, obvious parser of logs, to compare counts with those of ``segue prepare``.

It shares no code with the library: a state machine for text in quotes, ``json`` for JSONL and the
slices of playlists, and the rule of ids written out once more.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

MISSING_WORDS = {"", "null", "nan", "none", "\\n", "<na>", "nat"}
"""Lower-case spellings of a missing id."""

EARLIEST, LATEST = 315_532_800, 1_900_000_000
"""Seconds since 1970 between which a time is certainly plausible: 1980 to 2030."""


class NotComparableError(Exception):
    """The text has no obvious reading, so that an error and several results are all right."""


class LogCounts(NamedTuple):
    """What a dataset made from a log has to count."""

    sequences: int
    events: int
    items: int


def count(events: Iterable[tuple[Any, Any]]) -> LogCounts:
    """Count the events that have both ids."""
    pairs = [(plain_id(user), plain_id(item)) for user, item in events]
    complete = [(user, item) for user, item in pairs if user is not None and item is not None]
    users, items = {user for user, _ in complete}, {item for _, item in complete}
    return LogCounts(len(users), len(complete), len(items))


def plain_id(value: Any) -> str | None:
    """The id of a value in a log; None if it is missing."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bool | list | dict):
        raise NotComparableError(value)
    if isinstance(value, float):
        if not value.is_integer() or abs(value) > 2**53:
            raise NotComparableError(value)
        value = int(value)
    text = str(value).strip(" \t\r\n\f\v\u00a0\ufeff")
    if text != text.strip() or "\0" in text:
        raise NotComparableError(value)
    if re.fullmatch(r"[+-]?\d+\.0*", text):
        if not re.fullmatch(r"(0|[1-9]\d*)\.0+", text):
            raise NotComparableError(value)
        text = text.partition(".")[0]
    return None if text.lower() in MISSING_WORDS else text


def split_records(text: str, separator: str, *, quoted: bool) -> list[list[str]]:
    """Cut a text into records and fields; blank lines are no records.

    Raises:
        NotComparableError: a quote stands where quotes have no agreed meaning.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if not quoted:
        return [line.split(separator) for line in text.split("\n") if line.strip()]
    records, record, i = [], [], 0
    while i < len(text):
        if text[i] == '"':
            field, i = _quoted_field(text, i + 1)
        else:
            end = min(_find(text, separator, i), _find(text, "\n", i))
            field, i = text[i:end], end
            if '"' in field:
                raise NotComparableError(field)
        record.append(field)
        if text.startswith(separator, i):
            i += len(separator)
            if i == len(text):
                record.append("")
        elif i == len(text) or text[i] == "\n":
            if record != [""]:
                records.append(record)
            record, i = [], i + 1
        else:
            raise NotComparableError(text[i : i + 20])
    if record:
        records.append(record)
    return records


def _quoted_field(text: str, start: int) -> tuple[str, int]:
    """The text of a field in quotes, and the position after its closing quote."""
    parts, i = [], start
    while True:
        end = text.find('"', i)
        if end < 0:
            raise NotComparableError("a quote that is not closed")
        parts.append(text[i:end])
        if not text.startswith('""', end):
            return "".join(parts), end + 1
        parts.append('"')
        i = end + 2


def _find(text: str, part: str, start: int) -> int:
    position = text.find(part, start)
    return len(text) if position < 0 else position


def table_counts(
    records: list[list[str]], columns: list[str], *, has_header: bool, times: str | None
) -> LogCounts:
    """Counts of a table with the columns ``user``, ``item`` and perhaps ``time`` and ``rating``.

    Args:
        columns: the role of each column; other words are columns without a role.
        times: how times are written: ``seconds``, or None where they are not compared.

    Raises:
        NotComparableError: rows of different lengths, or values that may be refused.
    """
    rows = records[has_header:]
    if not rows or any(len(row) != len(columns) for row in rows):
        raise NotComparableError("rows of different lengths")
    user, item = columns.index("user"), columns.index("item")
    for row in rows:
        if "time" in columns:
            _check_time(row[columns.index("time")], times)
        if "rating" in columns:
            _check_number(row[columns.index("rating")])
    return count((row[user], row[item]) for row in rows)


def jsonl_counts(text: str, keys: dict[str, str]) -> LogCounts:
    """Counts of objects, one per line; ``keys`` has the key of each role."""
    events = []
    for line in text.removeprefix("\ufeff").splitlines():
        if not line.strip():
            continue
        try:
            row = json.loads(line, object_pairs_hook=_without_repeats)
        except (ValueError, RecursionError) as error:
            raise NotComparableError(line) from error
        if not isinstance(row, dict):
            raise NotComparableError(line)
        if "time" in keys:
            _check_time(str(row.get(keys["time"], "")), "seconds")
        if "rating" in keys:
            _check_number(str(row.get(keys["rating"], "")))
        user, item = row.get(keys["user"]), row.get(keys["item"])
        if isinstance(user, float) or isinstance(item, float):
            raise NotComparableError("a float in JSON may be written in several ways")
        events.append((user, item))
    return count(events)


def slice_counts(data: bytes) -> LogCounts:
    """Counts of one slice of the Million Playlist Dataset."""
    try:
        content = json.loads(data, object_pairs_hook=_without_repeats)
        playlists = content["playlists"]
        events = [
            (str(playlist["pid"]), track["track_uri"])
            for playlist in playlists
            for track in playlist["tracks"]
        ]
        pids = {str(playlist["pid"]) for playlist in playlists}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise NotComparableError("not a slice") from error
    if any(not isinstance(item, str) for _, item in events) or len(pids) != len(playlists):
        raise NotComparableError("ids that are no texts, or pids that repeat")
    return count(events)


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a key repeats")
    return dict(pairs)


def _check_time(text: str, times: str | None) -> None:
    if times is None:
        return
    if not re.fullmatch(r"\d{9,10}", text) or not EARLIEST <= int(text) <= LATEST:
        raise NotComparableError(text)


def _check_number(text: str) -> None:
    if not re.fullmatch(r"\d{1,3}(\.\d{1,3})?", text):
        raise NotComparableError(text)
