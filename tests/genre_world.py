"""A small MovieLens release in which features determine the sequences.

Sequences of women start with a comedy, those of men with a horror film. A movie of one genre is
followed by one of the next genre, each movie of it equally likely. Some movies of each genre have
no events: a model can rank them by their features only.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from segue.config import PrepareConfig, SourceConfig, SplitConfig
from segue.dataset import Dataset
from segue.preparation import prepare

GENRES = ("Comedy", "Drama", "Horror", "Western")
N_SEEN = 6
"""Movies per genre that have events."""
N_COLD = 3
"""Movies per genre without events (cold items)."""
N_USERS = 120


def movie_id(genre: int, number: int) -> str:
    """The item id of a movie; numbers from ``N_SEEN`` on are cold."""
    return str(100 * (genre % len(GENRES) + 1) + number)


def genre_of(item_id: str) -> int:
    return int(item_id) // 100 - 1


def is_cold(item_id: str) -> bool:
    return int(item_id) % 100 >= N_SEEN


def gender_of(user: int) -> str:
    return "FM"[user % 2]


def first_genre(gender: str) -> int:
    return {"F": 0, "M": 2}[gender]


def write_release(folder: Path) -> Path:
    """Write the files of a MovieLens release, and a file with vectors of most movies."""
    random = np.random.default_rng(8)
    folder.mkdir()
    movies, vectors = [], []
    for genre, name in enumerate(GENRES):
        for number in range(N_SEEN + N_COLD):
            movies.append(
                f"{movie_id(genre, number)}::Movie {number} ({1990 + number})::{name}|All"
            )
            sound = np.eye(len(GENRES))[genre] + 0.1 * random.normal(size=len(GENRES))
            if number % N_SEEN:  # per genre, the first movie and the first cold one have none
                vectors.append({"item_id": movie_id(genre, number), "sound": sound.tolist()})
    ratings, users = [], []
    for user in range(1, N_USERS + 1):
        users.append(f"{user}::{gender_of(user)}::25::7::0")
        genre, watched = first_genre(gender_of(user)), set()
        for position in range(random.integers(6, 12)):
            unwatched = [n for n in range(N_SEEN) if movie_id(genre, n) not in watched]
            item = movie_id(genre, random.choice(unwatched))
            watched.add(item)
            ratings.append(f"{user}::{item}::{random.integers(1, 6)}::{1_000_000 + position}")
            genre += 1
    for name, lines in (("movies", movies), ("ratings", ratings), ("users", users)):
        (folder / f"{name}.dat").write_text("\n".join(lines) + "\n")
    lines = "\n".join(json.dumps(vector) for vector in vectors)
    (folder / "vectors.jsonl").write_text(lines + "\n")
    return folder


def prepare_genres(folder: Path, **split) -> Dataset:
    """Prepare the release; all movies are in the catalogue."""
    release = write_release(folder / "release")
    source = SourceConfig(items_file=str(release / "vectors.jsonl"))
    split_config = SplitConfig(**{"kind": "leave-one-out", "catalogue": "all", **split})
    return prepare(
        release, folder / "genres", config=PrepareConfig(source=source, split=split_config)
    )
