"""Catalogue search as you type: latency, recall of misspelled titles, index size, build time.

    python benchmarks/catalogue_search.py [--items 20000] [--queries 100]
                                          [--misspelled 1000] [--dataset DATASET] [--seed 0]

The catalogue is synthetic: words of a Zipf distribution, up to 400,000 of them, in titles, artists
and albums, with endings such as "- Live" as in music catalogues. ``--dataset`` takes the items of a
prepared dataset instead. Queries are titles, artists, both or ids, of items drawn half uniformly
and half by training count. Latency (median, 99th percentile, maximum) is measured for every prefix
of every query, as it is typed. A
misspelled query is a title with its artist, or the title alone, with one random edit in a word of
five letters or more. It counts as found if the item is among the first ten; of the title alone, if
an item of the same title is. Prints a table and one JSON line.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sqlite3
import string
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float64, Int64
from rich.console import Console
from rich.table import Table

from segue.catalogue_search.build import build_index, popularity_rows
from segue.catalogue_search.edits import MIN_LETTERS
from segue.catalogue_search.index import SearchIndex
from segue.catalogue_search.words import folded_words
from segue.dataset import Dataset, Items
from segue.tokens import N_SPECIALS

SYLLABLES = ["".join(pair) for pair in itertools.product("bcdfghklmnprstvwz", "aeiou")]
FREQUENT = [
    "the",
    "of",
    "you",
    "in",
    "love",
    "me",
    "a",
    "to",
    "my",
    "and",
    "i",
    "on",
    "it",
    "night",
    "is",
    "for",
    "be",
    "no",
    "we",
    "your",
]
ENDINGS = ("", "", "", "", "", "", " - Live", " - Remastered 2011", " (feat. DJ)", " - Remix")
LIMIT = 10


def synthetic_items(n_items: int, seed: int) -> Items:
    """Items with the columns item_id, title, artist, album, year and training_count."""
    rng = np.random.default_rng(seed)
    words = _vocabulary(max(2_000, min(n_items // 5, 400_000)), rng)
    artists = _phrases(words, rng.integers(1, 4, max(n_items // 8, 10)), rng)
    artist_of = np.minimum(rng.zipf(1.3, n_items) - 1, len(artists) - 1)
    endings = pa.array(ENDINGS).take(pa.array(rng.integers(0, len(ENDINGS), n_items)))
    titles = _phrases(words, rng.integers(1, 6, n_items), rng)
    albums = _phrases(words, rng.integers(1, 4, max(n_items // 3, 10)), rng)
    letters = np.array(list(string.ascii_letters + string.digits))
    ids = letters[rng.integers(0, len(letters), (n_items, 22))].view("<U22")[:, 0]
    counts = np.sort(rng.zipf(1.6, n_items).clip(1, 50_000))[::-1].astype(np.int64)
    table = {
        "index": np.arange(N_SPECIALS, N_SPECIALS + n_items, dtype=np.int32),
        "item_id": pc.call_function("binary_join_element_wise", ["track:", pa.array(ids), ""]),
        "title": pc.call_function("binary_join_element_wise", [titles, endings, ""]),
        "artist": artists.take(pa.array(artist_of)),
        "album": albums.take(pa.array(rng.integers(0, len(albums), n_items))),
        "year": rng.integers(1950, 2026, n_items).astype(np.int32),
        "training_count": counts,
    }
    return Items(pa.table(table))


def _vocabulary(n_words: int, rng: np.random.Generator) -> pa.StringArray:
    """Distinct words of up to five syllables, the most frequent ones first."""
    syllables = np.array(SYLLABLES)
    lengths = rng.choice([1, 2, 3, 4, 5], 3 * n_words, p=[0.02, 0.28, 0.45, 0.2, 0.05])
    drawn = syllables[rng.integers(0, len(syllables), (len(lengths), 5))]
    endings = np.array(["", "n", "r", "s", "l", "t"])[rng.integers(0, 6, len(lengths))]
    words = [
        "".join(row[:n]) + end for row, n, end in zip(drawn.tolist(), lengths, endings, strict=True)
    ]
    return pa.array(list(dict.fromkeys([*FREQUENT, *words]))[:n_words])


def _phrases(
    words: pa.StringArray, lengths: Int64[np.ndarray, " n"], rng: np.random.Generator
) -> pa.StringArray:
    """A text of some words for each length, drawn from a Zipf distribution."""
    shares = 1.0 / (np.arange(len(words)) + 5.0)
    cumulative = np.cumsum(shares / shares.sum())
    drawn = np.searchsorted(cumulative, rng.random((len(lengths), int(lengths.max()))))
    drawn = np.minimum(drawn, len(words) - 1)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    flat = drawn[np.arange(drawn.shape[1]) < lengths[:, None]]
    lists = pa.ListArray.from_arrays(pa.array(offsets), words.take(pa.array(flat)))
    return pc.call_function("utf8_title", [pc.call_function("binary_join", [lists, " "])])


def draw_rows(items: Items, n: int, rng: np.random.Generator) -> Int64[np.ndarray, " n"]:
    """Rows of items, half of them uniform and half by training count."""
    counts = items.training_counts[N_SPECIALS:].astype(np.float64)
    popular = rng.choice(len(items), n, p=counts / counts.sum())
    return np.where(rng.random(n) < 0.5, popular, rng.integers(0, len(items), n))


def values(items: Items, column: str, rows: Int64[np.ndarray, " n"]) -> list[str]:
    """The texts of a column; empty where there are none."""
    if column not in items.table.column_names:
        return [""] * len(rows)
    return [text or "" for text in items.table.column(column).take(pa.array(rows)).to_pylist()]


def typed_queries(items: Items, n: int, rng: np.random.Generator) -> list[str]:
    """Titles, artists, titles with artists, and ids."""
    rows = draw_rows(items, n, rng)
    titles, artists = values(items, "title", rows), values(items, "artist", rows)
    ids, kinds = values(items, "item_id", rows), rng.choice(4, n, p=[0.3, 0.3, 0.3, 0.1])
    return [
        (title, artist or title, f"{title} {artist}".strip(), item_id)[kind]
        for title, artist, item_id, kind in zip(titles, artists, ids, kinds, strict=True)
    ]


def misspelled(text: str, rng: np.random.Generator) -> str | None:
    """A text with one edit in one of its words of five letters or more; None if it has none."""
    words = folded_words(text)
    places = [i for i, word in enumerate(words) if len(word) >= MIN_LETTERS and word.isalpha()]
    if not places:
        return None
    place = int(rng.choice(places))
    word = words[place]
    while (wrong := _edited(word, rng)) == word:
        pass
    return " ".join([*words[:place], wrong, *words[place + 1 :]])


def _edited(word: str, rng: np.random.Generator) -> str:
    i, letter = int(rng.integers(len(word))), rng.choice(list(string.ascii_lowercase))
    return (
        word[:i] + word[i + 1 :],
        word[:i] + letter + word[i:],
        word[:i] + letter + word[i + 1 :],
        word[:i] + word[i : i + 2][::-1] + word[i + 2 :],
    )[rng.integers(4)]


def measure_latency(
    index: SearchIndex, queries: list[str]
) -> tuple[Float64[np.ndarray, " searches"], Float64[np.ndarray, " searches"]]:
    """Wall-clock and processor time of every prefix of every query, in milliseconds."""
    times = []
    for query in queries:
        for length in range(1, len(query) + 1):
            start, core_start = time.perf_counter(), time.thread_time()
            index.search(query[:length], LIMIT, None)
            times.append((time.perf_counter() - start, time.thread_time() - core_start))
    wall, core = 1e3 * np.array(times).T
    return wall, core


def measure_recall(
    index: SearchIndex, items: Items, n: int, *, with_artist: bool, rng: np.random.Generator
) -> float:
    """The share of misspelled titles whose item, or an item of whose title, is found."""
    order, n_tried, n_found = popularity_rows(items), 0, 0
    while n_tried < n:
        rows = draw_rows(items, n, rng)
        titles, artists = values(items, "title", rows), values(items, "artist", rows)
        for row, title, artist in zip(rows.tolist(), titles, artists, strict=True):
            wrong = misspelled(title, rng)
            if wrong is None or n_tried == n:
                continue
            text = f"{wrong} {artist}".strip() if with_artist else wrong
            rows_listed = order[np.array(index.search(text, LIMIT, None), np.int64) - 1]
            n_tried += 1
            is_found = title in values(items, "title", rows_listed)
            n_found += (row in rows_listed) if with_artist else is_found
    return n_found / n


def measure(items: Items, n_queries: int, n_misspelled: int, seed: int) -> dict[str, Any]:
    """Build an index in a temporary folder, and measure it."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "search.sqlite"
        start, core_start = time.perf_counter(), time.process_time()
        with sqlite3.connect(file) as connection:
            build_index(connection, items, "")
        connection.close()
        build_s, core_s = time.perf_counter() - start, time.process_time() - core_start
        index = SearchIndex(sqlite3.connect(file))
        rng = np.random.default_rng(seed)
        wall, core = measure_latency(index, typed_queries(items, n_queries, rng))
        recall = {
            name: measure_recall(index, items, n_misspelled, with_artist=with_artist, rng=rng)
            for name, with_artist in (("title", False), ("title and artist", True))
        }
        return {
            "items": len(items),
            "size_mb": round(file.stat().st_size / 1e6, 1),
            "build_s": round(build_s, 1),
            "build_core_s": round(core_s, 1),
            "searches": len(wall),
            **{
                f"{name}_ms": [round(float(np.quantile(times, q)), 2) for q in (0.5, 0.99, 1)]
                for name, times in (("wall", wall), ("core", core))
            },
            "recall@10": recall,
            "misspelled": n_misspelled,
        }


def main() -> None:
    """Parse the arguments, measure, and print."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n\n", 1)[0])
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--misspelled", type=int, default=1_000)
    parser.add_argument("--dataset", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    items = (
        Dataset.open(options.dataset).items
        if options.dataset
        else synthetic_items(options.items, options.seed)
    )
    result = measure(items, options.queries, options.misspelled, options.seed)
    table = Table("figure", "value", title="catalogue search as you type")
    for name, value in result.items():
        table.add_row(name, str(value))
    Console().print(table)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
