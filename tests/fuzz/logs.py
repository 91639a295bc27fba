"""Random logs in every format and dialect, some of them damaged, with the counts to expect."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from plain_parse import (
    LogCounts,
    NotComparableError,
    count,
    jsonl_counts,
    slice_counts,
    split_records,
    table_counts,
)

START = 1_600_000_000
HEADERS = {
    "user": ("user_id", "userId", "User ID", "customer_id"),
    "item": ("item_id", "movieId", "track_uri", "itemid"),
    "time": ("timestamp", "time", "event_time"),
    "rating": ("rating", "score"),
    "extra": ("comment", "note"),
}
NASTY = (
    *(
        b"\0",
        b'"',
        b"\r",
        b"\n",
        b"\xff",
        b"\xed\xa0\x80",
        b",",
        b"\t",
        b"::",
        b"\\",
        b"'",
        b"[",
        b"{",
    ),
    *(b"NaN", b"null", b"1e999", b"-1", b"9" * 400, b"\xef\xbb\xbf", b"#", b"sep=;\n", b'""'),
    *(b"[" * 5000, b"\x1b[31m", b"\xe2\x80\xae", b"9223372036854775808", b"0x10", b"1970-01-01"),
)
"""Bytes that are inserted into logs."""

Event = tuple[str, str, int, float]
"""User, item, seconds since 1970 and rating."""


@dataclass
class FuzzLog:
    """A log in files, and what reading it must give.

    Attributes:
        path: the log's file or folder.
        options: further arguments of ``segue prepare``.
        counts: what the dataset has to count if it is made; None if that is not known.
        must_be_read: whether an error would be wrong.
        story: how it was made, for reports.
        is_frame: whether the Parquet file is read into memory and given as a table.
    """

    path: Path
    options: list[str] = field(default_factory=list)
    counts: LogCounts | None = None
    must_be_read: bool = False
    story: str = ""
    is_frame: bool = False


def random_events(random: Random) -> list[Event]:
    """Events of 6 to 12 users with 4 to 9 distinct items each, in a random order of users."""
    style = random.choice(("plain", "number", "padded", "unicode", "blanks inside"))
    spell: Callable[[str, int], str] = {
        "plain": lambda kind, n: f"{kind}{n}",
        "number": lambda kind, n: str(n + 1),
        "padded": lambda kind, n: f"{n:05}",
        "unicode": lambda kind, n: f"{kind}é你{n}",
        "blanks inside": lambda kind, n: f"{kind} no {n}",
    }[style]
    events = []
    for user in range(random.randint(6, 12)):
        for position, item in enumerate(random.sample(range(15), random.randint(4, 9))):
            time = START + 86_400 * user + 600 * position
            events.append((spell("u", user), spell("i", item), time, float(random.randint(1, 10))))
    if random.random() < 0.5:
        random.shuffle(events)
    return events


class Dialect(NamedTuple):
    """How a table is written as text."""

    separator: str
    is_quoted: bool
    roles: tuple[str, ...]
    has_header: bool
    times: str


def random_dialect(random: Random, *, seconds: float) -> Dialect:
    """Any separator, order of columns and notation of times; ``seconds`` weighs the plain one."""
    separator = random.choice((",", ",", "\t", ";", "|", "::"))
    roles = ["user", "item", "time"]
    roles += ["rating"] * (random.random() < 0.5) + ["extra"] * (random.random() < 0.3)
    random.shuffle(roles)
    is_quoted = separator in ",;" or (separator == "|" and random.random() < 0.5)
    styles = ("milliseconds", "iso", "compact")
    times = "seconds" if random.random() < seconds else random.choice(styles)
    return Dialect(separator, is_quoted, tuple(roles), random.random() < 0.8, times)


def text_log(random: Random, folder: Path) -> FuzzLog:
    """A table in text: any separator, quoting, line ends, encoding, compression, with a header."""
    is_damaged = random.random() < 0.5
    dialect = random_dialect(random, seconds=0.8 if is_damaged else 0.4)
    separator, _, roles, has_header, times = dialect
    rows = [
        [_cell(event, role, times, random) for role in roles] for event in random_events(random)
    ]
    if has_header:
        rows.insert(0, [random.choice(HEADERS[role]) for role in roles])
    text, options = _write_rows(rows, dialect, random), ["--format", "tabular"]
    if not has_header:
        options += ["--columns", ",".join("unused" if role == "extra" else role for role in roles)]
    if separator == "::" and random.random() < 0.5:
        options += ["--separator", "::"]
    if has_header and separator == ";" and random.random() < 0.3:
        text = "sep=;\n" + text
    elif random.random() < 0.1:
        text = "# made by hand\n" + text
    if is_damaged:
        return _damaged_text_file(random, folder, text, dialect, options)
    return _plain_text_file(random, folder, text, options, _counts(rows, dialect), str(dialect))


def _counts(records: list[list[str]], dialect: Dialect) -> LogCounts:
    times = "seconds" if dialect.times == "seconds" else None
    return table_counts(records, list(dialect.roles), has_header=dialect.has_header, times=times)


def _cell(event: Event, role: str, time_style: str, random: Random) -> str:
    user, item, time, rating = event
    match role:
        case "user":
            return user
        case "item":
            return item
        case "rating":
            return f"{rating:g}"
        case "time":
            return _time_text(time, time_style)
    return random.choice(("", "plain", "some words", "it's"))


def _time_text(time: int, style: str) -> str:
    instant = datetime.fromtimestamp(time, UTC)
    match style:
        case "seconds":
            return str(time)
        case "milliseconds":
            return str(time * 1000)
        case "iso":
            return instant.strftime("%Y-%m-%dT%H:%M:%SZ")
    return instant.strftime("%Y%m%d%H%M%S")


def _write_rows(rows: list[list[str]], dialect: Dialect, random: Random) -> str:
    separator, quoted = dialect.separator, dialect.is_quoted
    end = random.choice(("\n", "\n", "\r\n", "\r"))
    ends = ("\n", "\r\n") if random.random() < 0.15 else (end,)
    quote_all = quoted and random.random() < 0.3
    lines = []
    for row in rows:
        cells = row
        if quoted and len(separator) == 1:
            cells = [
                '"' + cell.replace('"', '""') + '"'
                if quote_all or any(mark in cell for mark in (separator, '"', "\n", "\r"))
                else cell
                for cell in row
            ]
        lines.append(separator.join(cells) + random.choice(ends))
    text = "".join(lines)
    return text.rstrip("\r\n") if random.random() < 0.3 else text


def _plain_text_file(
    random: Random, folder: Path, text: str, options: list[str], counts: LogCounts, story: str
) -> FuzzLog:
    """An undamaged text in a random encoding and compression: it must be read."""
    encoding = random.choice(("utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1"))
    if encoding == "latin-1":
        try:
            data = text.encode("latin-1")
        except UnicodeEncodeError:
            encoding, data = "utf-8", text.encode()
        else:
            options = [*options, "--encoding", "latin-1"]
    else:
        data = text.encode(encoding)
    data, suffix = compressed(random, data)
    name = "log" + random.choice((".csv", ".csv", ".txt", ".dat")) + suffix
    path = folder / name
    path.write_bytes(data)
    return FuzzLog(path, options, counts, must_be_read=True, story=f"{story} {encoding} {name}")


def compressed(random: Random, data: bytes) -> tuple[bytes, str]:
    """Perhaps compressed bytes, and the suffix of their name, which may be missing."""
    kind = random.choice(("", "", "", ".gz", ".bz2", ".xz", ".zst"))
    match kind:
        case ".gz":
            data = gzip.compress(data, mtime=0)
        case ".bz2":
            data = bz2.compress(data)
        case ".xz":
            data = lzma.compress(data)
        case ".zst":
            data = bytes(pa.compress(data, codec="zstd", asbytes=True))
    return data, kind if random.random() < 0.7 else ""


def _damaged_text_file(
    random: Random, folder: Path, text: str, dialect: Dialect, options: list[str]
) -> FuzzLog:
    """A damaged text, with its counts where a second parser can read it, too."""
    data = mutated(random, text.encode())
    path = folder / "log.csv"
    path.write_bytes(data)
    try:
        counts = _damaged_counts(data.decode(), text, dialect)
    except (UnicodeDecodeError, NotComparableError):
        counts = None
    return FuzzLog(path, options, counts, story=f"{dialect}, damaged")


def _damaged_counts(damaged: str, text: str, dialect: Dialect) -> LogCounts | None:
    # What a damaged header or an unquoted quote means is a matter of taste.
    if damaged.splitlines()[:2] != text.splitlines()[:2] or "\\" in damaged:
        return None
    if dialect.separator == "::" or (not dialect.is_quoted and '"' in damaged):
        return None
    records = split_records(damaged, dialect.separator, quoted=dialect.is_quoted)
    return _counts(records, dialect)


def jsonl_log(random: Random, folder: Path) -> FuzzLog:
    """One JSON object per line, some with further keys."""
    keys = {role: random.choice(HEADERS[role]) for role in ("user", "item", "time")}
    numbers = random.random() < 0.5
    lines = []
    for user, item, time, rating in random_events(random):
        row: dict[str, Any] = {keys["user"]: user, keys["item"]: item, keys["time"]: time}
        if numbers and user.isdigit() and str(int(user)) == user:
            row[keys["user"]] = int(user)
        if random.random() < 0.3:
            row["rating"] = rating
        if random.random() < 0.2:
            row["extra"] = random.choice((None, [1, 2], {"a": "b"}, "text"))
        lines.append(json.dumps(row, ensure_ascii=random.random() < 0.5))
    text = "\n".join(lines) + random.choice(("", "\n", "\n\n"))
    data = text.encode("utf-8-sig" if random.random() < 0.2 else "utf-8")
    path = folder / "log.jsonl"
    if random.random() < 0.4:
        path.write_bytes(data)
        events = [json.loads(line) for line in lines]
        counts = count((row[keys["user"]], row[keys["item"]]) for row in events)
        return FuzzLog(path, [], counts, must_be_read=True, story="jsonl")
    data = mutated(random, data)
    path.write_bytes(data)
    try:
        counts = jsonl_counts(data.decode(), keys)
    except (UnicodeDecodeError, NotComparableError):
        counts = None
    return FuzzLog(path, [], counts, story="jsonl, damaged")


def parquet_log(random: Random, folder: Path) -> FuzzLog:
    """A Parquet file with one of many types of ids and times, or with lists, or several parts."""
    events = random_events(random)
    users, items, times, ratings = map(list, zip(*events, strict=True))
    columns: dict[str, Any] = {"user_id": users, "item_id": items, "timestamp": times}
    style = random.choice(("text", "integers", "floats", "timestamps", "dictionary", "missing"))
    codes = {name: float(n) for n, name in enumerate(dict.fromkeys(users + items), start=1)}
    if style in ("integers", "floats", "missing"):
        kind = {"integers": random.choice((pa.int32(), pa.int64(), pa.uint16()))}.get(
            style, random.choice((pa.float32(), pa.float64()))
        )
        columns["user_id"] = [codes[user] for user in users]
        columns["item_id"] = [codes[item] for item in items]
        if style == "missing":
            columns["user_id"][0], columns["item_id"][1] = float("nan"), None
        counts = count(zip(columns["user_id"], columns["item_id"], strict=True))
        for name in ("user_id", "item_id"):
            columns[name] = pa.array(columns[name], kind, from_pandas=False)
    else:
        counts = count(zip(users, items, strict=True))
    if style == "timestamps":
        unit = random.choice(("s", "ms", "us", "ns"))
        instants = [datetime.fromtimestamp(time, UTC) for time in times]
        zone = random.choice((None, "UTC", "Europe/Berlin"))
        columns["timestamp"] = pa.array(instants, pa.timestamp("us", "UTC")).cast(
            pa.timestamp(unit, zone)
        )
    if style == "dictionary":
        columns["item_id"] = pa.array(items).dictionary_encode()
    if random.random() < 0.3:
        columns["rating"] = ratings
    table = pa.table(columns)
    path = folder / "log.parquet"
    if random.random() < 0.2:
        path = folder / "parts"
        path.mkdir()
        cut = random.randint(1, len(events) - 1)
        pq.write_table(table.slice(0, cut), path / "a.parquet")
        pq.write_table(table.slice(cut), path / "b.parquet")
        return FuzzLog(path, [], counts, must_be_read=True, story=f"parquet parts {style}")
    pq.write_table(table, path)
    if random.random() < 0.4:
        path.write_bytes(mutated(random, path.read_bytes()))
        return FuzzLog(path, [], None, story=f"parquet {style}, damaged")
    return FuzzLog(path, [], counts, must_be_read=True, story=f"parquet {style}")


def frame_log(random: Random, folder: Path) -> FuzzLog:
    """A table in memory with one of many types of ids and times."""
    log = parquet_log(random, folder)
    while log.path.is_dir() or not log.must_be_read:
        log = parquet_log(random, Path(tempfile.mkdtemp(dir=folder)))
    log.is_frame, log.story = True, log.story.replace("parquet", "frame")
    return log


def sequences_log(random: Random, folder: Path) -> FuzzLog:
    """One sequence per line: its id, then its items."""
    lines, events = [], []
    for user in range(random.randint(6, 12)):
        items = [str(random.randint(10, 30)) for _ in range(random.randint(3, 9))]
        events += [(str(user + 1), item) for item in items]
        lines.append(" ".join([str(user + 1), *items]))
    path = folder / "log.txt"
    text = "\n".join(lines) + "\n"
    if random.random() < 0.6:
        path.write_text(text)
        is_clear = len({len(line.split()) for line in lines}) > 1
        counts = count(events) if is_clear else None
        return FuzzLog(path, [], counts, must_be_read=is_clear, story="sequences")
    path.write_bytes(mutated(random, text.encode()))
    return FuzzLog(path, [], None, story="sequences, damaged")


def movielens_log(random: Random, folder: Path) -> FuzzLog:
    """A folder in the layout of a MovieLens release, perhaps with damaged files."""
    path = folder / "release"
    path.mkdir()
    events = [
        (str(user), str(item), START + 60 * (10 * user + item), random.randint(1, 5))
        for user in range(1, random.randint(7, 12))
        for item in random.sample(range(1, 15), random.randint(4, 9))
    ]
    layout = random.choice(("dat", "csv", "tab"))
    ratings = [(user, item, str(rating), str(time)) for user, item, time, rating in events]
    movies = [(str(item), f"Film {item} ({1990 + item})", "Drama") for item in range(1, 15)]
    if layout == "dat":
        files = {"ratings.dat": ("::", ratings, None), "movies.dat": ("::", movies, None)}
        if random.random() < 0.5:
            users = [(str(n), "F", "25", "3", "10115") for n in range(1, 12)]
            files["users.dat"] = ("::", users, None)
    elif layout == "csv":
        files = {
            "ratings.csv": (",", ratings, "userId,movieId,rating,timestamp"),
            "movies.csv": (",", movies, "movieId,title,genres"),
        }
    else:
        rows = [
            (str(n), f"Film {n} (1990)", "01-Jan-1990", "", "", *"0" * 19) for n in range(1, 15)
        ]
        files = {"u.data": ("\t", ratings, None), "u.item": ("|", rows, None)}
    for name, (separator, rows, header) in files.items():
        lines = ([header] if header else []) + [separator.join(row) for row in rows]
        (path / name).write_text("\n".join(lines) + "\n")
    counts = count((user, item) for user, item, _, _ in events)
    # Movies without a rating belong to the dataset.
    counts = counts._replace(items=14)
    if random.random() < 0.5:
        return FuzzLog(path, [], counts, must_be_read=True, story=f"movielens {layout}")
    damaged = path / random.choice(list(files))
    damaged.write_bytes(mutated(random, damaged.read_bytes()))
    return FuzzLog(path, [], None, story=f"movielens {layout}, {damaged.name} damaged")


def mpd_log(random: Random, folder: Path) -> FuzzLog:
    """A slice of playlists in a folder or a zip."""
    playlists = []
    for pid in range(random.randint(6, 12)):
        tracks = [
            {
                "pos": pos,
                "track_uri": f"spotify:track:{track}",
                "track_name": f"song {track}",
                "artist_name": f"band {track % 4}",
                "artist_uri": f"spotify:artist:{track % 4}",
                "album_uri": f"spotify:album:{track % 5}",
                "album_name": f"record {track % 5}",
                "duration_ms": 1000 * track,
            }
            for pos, track in enumerate(random.sample(range(20), random.randint(5, 10)))
        ]
        playlists.append(
            {"name": f"list {pid}", "pid": pid, "modified_at": START, "tracks": tracks}
        )
    data = json.dumps({"info": {"version": "v1"}, "playlists": playlists}).encode()
    name, is_damaged = "mpd.slice.0-999.json", random.random() < 0.6
    inner = mutated(random, data) if is_damaged and random.random() < 0.7 else data
    try:
        counts = slice_counts(inner)
    except NotComparableError:
        counts = None
    if random.random() < 0.5:
        path = folder / name
        path.write_bytes(inner)
        is_damaged = inner != data
    else:
        path = folder / "mpd.zip"
        kind = random.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA))
        with zipfile.ZipFile(path, "w", kind) as archive:
            archive.writestr(f"data/{name}", inner)
        if is_damaged and inner == data:
            path.write_bytes(mutated(random, path.read_bytes()))
            counts = None
    must = not is_damaged
    return FuzzLog(path, [], counts, must_be_read=must, story=f"mpd {path.suffix}")


def mutated(random: Random, data: bytes) -> bytes:
    """Some bytes changed, inserted, repeated or removed, at one to four places."""
    content = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        at = random.randrange(len(content) + 1)
        end = min(len(content), at + random.choice((1, 1, 5, 50, 500)))
        match random.randrange(7):
            case 0:
                content[at:at] = random.choice(NASTY)
            case 1:
                del content[at:end]
            case 2:
                content[at:at] = content[at:end]
            case 3:
                del content[at:]
            case 4:
                content[at:end] = bytes(random.randrange(256) for _ in range(end - at))
            case 5:
                content[at:end] = random.choice(NASTY)
            case 6:
                content = _with_line_changed(random, content)
    return bytes(content)


def _with_line_changed(random: Random, content: bytearray) -> bytearray:
    """One line removed, repeated, or with one of its cells replaced."""
    lines = content.splitlines(keepends=True)
    if not lines:
        return content
    at = random.randrange(len(lines))
    change = random.randrange(3)
    if change == 0:
        del lines[at]
    elif change == 1:
        lines.insert(at, lines[random.randrange(len(lines))])
    else:
        cells = lines[at].split(b",")
        cells[random.randrange(len(cells))] = random.choice(NASTY)
        lines[at] = bytearray(b",".join(cells))
    return bytearray(b"".join(map(bytes, lines)))


FORMATS: dict[str, Callable[[Random, Path], FuzzLog]] = {
    "text": text_log,
    "jsonl": jsonl_log,
    "parquet": parquet_log,
    "frame": frame_log,
    "sequences": sequences_log,
    "movielens": movielens_log,
    "mpd": mpd_log,
}
"""A maker of random logs for each format."""
