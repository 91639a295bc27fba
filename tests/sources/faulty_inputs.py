"""The same small log, items and lists in every format, and reading them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from segue.baselines import ListRanker
from segue.config import SourceConfig
from segue.dataset import Dataset
from segue.ragged import Ragged
from segue.ranking import Query
from segue.sources import open_log
from segue.sources.items.items_file import read_items_file
from segue.tokens import N_SPECIALS, PAD

Row = tuple[Any, Any, Any, Any]
"""User, item, time in seconds and rating."""

START = 1_600_000_000
EVENTS = [("1", "11"), ("1", "12"), ("1", "13"), ("2", "12"), ("2", "11"), ("3", "13")]
ROWS: list[Row] = [(user, item, START + n, n + 1.0) for n, (user, item) in enumerate(EVENTS)]
SEQUENCES = {"1": ["11", "12", "13"], "2": ["12", "11"], "3": ["13"]}


class Input(NamedTuple):
    """A written input: what is given to the library, and the file that may be damaged."""

    given: Any
    file: Path


def text_of(value: Any) -> str:
    return "" if value is None else str(value)


def write_text(path: Path, rows: Iterable[Iterable[Any]], separator: str = ",") -> Input:
    lines = (separator.join(map(text_of, row)) + "\n" for row in rows)
    path.write_text("".join(lines), "utf-8")
    return Input(path, path)


def csv(names: tuple[str, ...]) -> Callable[[Path, list[Any]], Input]:
    return lambda folder, rows: write_text(folder / "input.csv", [names, *rows])


def jsonl(names: tuple[str, ...]) -> Callable[[Path, list[Any]], Input]:
    def write(folder: Path, rows: list[Any]) -> Input:
        path = folder / "input.jsonl"
        objects = (json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in rows)
        path.write_text("".join(objects), "utf-8")
        return Input(path, path)

    return write


def table_of(names: tuple[str, ...], rows: list[Any]) -> pa.Table:
    columns = zip(*rows, strict=True)
    return pa.table({name: list(column) for name, column in zip(names, columns, strict=True)})


def parquet(names: tuple[str, ...]) -> Callable[[Path, list[Any]], Input]:
    def write(folder: Path, rows: list[Any]) -> Input:
        path = folder / "input.parquet"
        pq.write_table(table_of(names, rows), path)
        return Input(path, path)

    return write


def lines(folder: Path, rows: list[Row]) -> Input:
    groups = groupby(rows, key=lambda row: row[0])
    sequences = ([user, *(row[1] for row in events)] for user, events in groups)
    return write_text(folder / "input.txt", sequences, " ")


def dat(folder: Path, rows: list[Row]) -> Input:
    (folder / "movies.dat").write_text("11::Misérables, Les (1995)::Drama\n", "utf-8")
    ratings = [(user, item, rating, time) for user, item, time, rating in rows]
    return Input(folder, write_text(folder / "ratings.dat", ratings, "::").file)


def movies(folder: Path, rows: list[Row]) -> Input:
    return Input(folder, dat(folder, rows).file.with_name("movies.dat"))


def ratings_csv(folder: Path, rows: list[Row]) -> Input:
    (folder / "movies.csv").write_text("movieId,title,genres\n11,Heat (1995),Drama\n")
    ratings = [(user, item, rating, time) for user, item, time, rating in rows]
    names = ("userId", "movieId", "rating", "timestamp")
    return Input(folder, write_text(folder / "ratings.csv", [names, *ratings]).file)


def mpd(folder: Path, rows: list[Row]) -> Input:
    groups = groupby(rows, key=lambda row: row[0])
    playlists = [
        {"pid": user, "name": "é", "tracks": [{"track_uri": row[1]} for row in events]}
        for user, events in groups
    ]
    path = folder / "mpd.slice.0-999.json"
    path.write_text(json.dumps({"playlists": playlists}, ensure_ascii=False), "utf-8")
    return Input(folder, path)


LOG = ("user_id", "item_id", "timestamp", "rating")
LOGS: dict[str, Callable[[Path, list[Row]], Input]] = {
    "CSV": csv(LOG),
    "JSONL": jsonl(LOG),
    "Parquet": parquet(LOG),
    "lines": lines,
    "dat": dat,
    "ratings.csv": ratings_csv,
    "MPD": mpd,
    "frame": lambda folder, rows: Input(table_of(LOG, rows), folder / "none"),
}


def read_log(given: Any, **options: Any) -> tuple[dict[str, list[str]], list[str]]:
    """The items by sequence, and the warnings."""
    config = SourceConfig.model_validate(options)
    with open_log(given, config) as source:
        sequences: dict[str, list[str]] = {}
        for chunk in list(source.chunks()):
            names = chunk.sequences["sequence_id"].to_pylist()
            sequences |= zip(names, chunk.sequences["items"].to_pylist(), strict=True)
        return sequences, source.report()["warnings"]


def of_items(write: Callable[[tuple[str, ...]], Callable[[Path, list[Any]], Input]]) -> Any:
    """A writer of an items file with the items of the rows, each with a title."""
    writer = write(("item_id", "title"))
    return lambda folder, rows: writer(folder, [(row[1], f"é{n}") for n, row in enumerate(rows)])


ITEMS: dict[str, Callable[[Path, list[Row]], Input]] = {
    "items CSV": of_items(csv),
    "items JSONL": of_items(jsonl),
    "items Parquet": of_items(parquet),
}


def read_items(given: Path) -> tuple[list[tuple[str, str]], list[str]]:
    """The ids and titles, and the warnings."""
    items, report = read_items_file(given, SourceConfig())
    ids, titles = items["item_id"].to_pylist(), items["title"].to_pylist()
    return list(zip(ids, titles, strict=True)), report["warnings"]


def of_lists(write: Callable[[tuple[str, ...]], Callable[[Path, list[Any]], Input]]) -> Any:
    """A writer of lists: the rows of a user are its list, best first."""
    writer = write(("sequence_id", "item_id", "rank"))
    return lambda folder, rows: writer(folder, [(*row[:2], n) for n, row in enumerate(rows)])


LISTS: dict[str, Callable[[Path, list[Row]], Input]] = {
    "lists CSV": of_lists(csv),
    "lists Parquet": of_lists(parquet),
}


def read_lists(given: Path, dataset: Dataset) -> dict[str, list[str]]:
    """The lists by sequence id."""
    ranker = ListRanker.read(given, dataset)
    names = dataset.sequences.ids.to_pylist()
    nothing = Ragged.from_rows([[] for _ in names])
    ranked = ranker.top(Query(nothing, nothing, np.arange(len(names))).with_k(5))
    ids = [[dataset.items.ids[i - N_SPECIALS] for i in row if i != PAD] for row in ranked.items]
    return dict(zip(names, ids, strict=True))
