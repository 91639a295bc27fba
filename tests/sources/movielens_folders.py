"""Small MovieLens releases in each of the file layouts, and reading them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from segue.config import SourceConfig
from segue.sources.movielens.source import MovielensSource
from segue.sources.schema import Chunk

CONFIG = SourceConfig()


RATINGS = [(10, 3, 5, 200), (2, 1, 4, 300), (2, 3, 3, 100), (2, 2, 1, 100), (10, 1, 2, 150)]
"""User, movie, rating, time in seconds; user 2 rates movies 3 and 2 in the same second."""


def write_1m(folder: Path, ratings: list[tuple[int, int, float, int]] = RATINGS) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["::".join(map(str, row)) for row in ratings]
    (folder / "ratings.dat").write_text("\n".join([*lines, ""]))
    movies = [
        "1::Misérables, Les (1995)::Drama|Musical",
        "2::Heat (1995)::Action",
        "3::Old::",
        "4::New (2000)::War",
        "",
    ]
    (folder / "movies.dat").write_bytes("\n".join(movies).encode("latin-1"))
    (folder / "users.dat").write_text("2::M::56::16::70072\n99::F::1::0::1\n")
    return folder


def write_100k(folder: Path) -> Path:
    folder.mkdir()
    lines = ["\t".join(map(str, row)) for row in RATINGS]
    (folder / "u.data").write_text("\n".join([*lines, ""]))
    flags = {1: {8, 12}, 2: {1}, 3: {0}, 4: {17}}
    titles = {1: "Misérables, Les (1995)", 2: "Heat (1995)", 3: "Old", 4: "New (2000)"}
    movies = [
        "|".join([str(i), titles[i], "01-Jan-1995", "", "http://x", *flags_of(flags[i])])
        for i in titles
    ]
    (folder / "u.item").write_bytes("\n".join([*movies, ""]).encode("latin-1"))
    (folder / "u.user").write_text("2|56|M|writer|70072\n99|1|F|none|1\n")
    return folder


def flags_of(chosen: set[int]) -> list[str]:
    return ["1" if i in chosen else "0" for i in range(19)]


def write_csv(folder: Path, newline: str = "\n") -> Path:
    folder.mkdir()
    lines = ["userId,movieId,rating,timestamp", *(",".join(map(str, row)) for row in RATINGS)]
    (folder / "ratings.csv").write_text("\n".join([*lines, ""]), newline=newline)
    movies = [
        "movieId,title,genres",
        '1,"Misérables, Les (1995)",Drama|Musical',
        "2,Heat (1995),Action",
        "3,Old,(no genres listed)",
        "4,New (2000),War",
        "",
    ]
    (folder / "movies.csv").write_text("\n".join(movies), encoding="utf-8", newline=newline)
    (folder / "links.csv").write_text("movieId,imdbId,tmdbId\n")
    return folder


def read_chunks(folder: Path) -> list[Chunk]:
    return list(MovielensSource(folder, CONFIG).chunks())


def users_of(chunks: list[Chunk]) -> dict[str, dict[str, Any]]:
    rows = [row for chunk in chunks for row in chunk.sequences.to_pylist()]
    return {row.pop("sequence_id"): row for row in rows}
