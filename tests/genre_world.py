"""A log that features explain: where a sequence begins, and how it goes on.

Women begin with a comedy and men with a horror film; after a movie of one genre comes one of
the next, any of that genre alike. Some movies of each genre were never seen by anyone: what
is known of them is all that there is to go by.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from segue.config import PrepareConfig, SourceConfig, SplitConfig
from segue.dataset import Dataset, prepare

GENRES = ("Comedy", "Drama", "Horror", "Western")
SEEN = 6
"""Movies of each genre that somebody saw."""
COLD = 3
"""And of those that nobody did."""
N_USERS = 120


def movie(genre: int, number: int) -> str:
    """The id of a movie; those from ``SEEN`` on are cold."""
    return str(100 * (genre % len(GENRES) + 1) + number)


def genre_of(item_id: str) -> int:
    return int(item_id) // 100 - 1


def is_cold(item_id: str) -> bool:
    return int(item_id) % 100 >= SEEN


def gender_of(user: int) -> str:
    return "FM"[user % 2]


def first_genre(gender: str) -> int:
    return {"F": 0, "M": 2}[gender]


def write_release(folder: Path) -> Path:
    """The files of a MovieLens release, and vectors of most movies beside them."""
    random = np.random.default_rng(8)
    folder.mkdir()
    movies, vectors = [], []
    for genre, name in enumerate(GENRES):
        for number in range(SEEN + COLD):
            movies.append(f"{movie(genre, number)}::Movie {number} ({1990 + number})::{name}|All")
            sound = np.eye(len(GENRES))[genre] + 0.1 * random.normal(size=len(GENRES))
            if number % SEEN:  # the first of each genre and its first cold one have none
                vectors.append({"item_id": movie(genre, number), "sound": sound.tolist()})
    ratings, users = [], []
    for user in range(1, N_USERS + 1):
        users.append(f"{user}::{gender_of(user)}::25::7::0")
        genre, seen = first_genre(gender_of(user)), set()
        for place in range(random.integers(6, 12)):
            left = [n for n in range(SEEN) if movie(genre, n) not in seen]
            item = movie(genre, random.choice(left))
            seen.add(item)
            ratings.append(f"{user}::{item}::{random.integers(1, 6)}::{1_000_000 + place}")
            genre += 1
    for name, lines in (("movies", movies), ("ratings", ratings), ("users", users)):
        (folder / f"{name}.dat").write_text("\n".join(lines) + "\n")
    lines = "\n".join(json.dumps(vector) for vector in vectors)
    (folder / "vectors.jsonl").write_text(lines + "\n")
    return folder


def prepare_genres(folder: Path, **split) -> Dataset:
    """Prepare the world; everything known can be recommended."""
    release = write_release(folder / "release")
    source = SourceConfig(items_file=str(release / "vectors.jsonl"))
    chosen = SplitConfig(**{"kind": "leave-one-out", "catalogue": "all", **split})
    return prepare(release, folder / "genres", PrepareConfig(source=source, split=chosen))
