"""Self-test of the installation: train and recommend on a tiny world, and check exact retrieval.

It takes a few seconds and writes only to a temporary folder.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from segue import preparation, trainer
from segue.errors import SegueError
from segue.recommender import search
from segue.recommender.masks import catalogue_mask
from segue.storage.temporary import temporary_folder
from segue.tokens import N_SPECIALS

TOP_K = 10


class Check(NamedTuple):
    """The result of one check.

    Attributes:
        name: what was checked.
        seconds: how long it took.
        error: type and message of the exception; None if the check passed.
    """

    name: str
    seconds: float
    error: str | None


def self_test() -> list[Check]:
    """Run all checks, even if one of them fails."""
    return [
        _run_check("prepare, train, save and load", _check_pipeline),
        _run_check("exact retrieval", _check_retrieval),
    ]


def _run_check(name: str, check: Callable[[], None]) -> Check:
    start = time.perf_counter()
    error = None
    try:
        check()
    except Exception as raised:  # noqa: BLE001 - any failure is the result of the check
        error = f"{type(raised).__name__}: {raised}"
    return Check(name, round(time.perf_counter() - start, 3), error)


def _check_pipeline() -> None:
    """Prepare a tiny world, train for two steps, load the run and recommend from it."""
    with temporary_folder() as folder:
        data = preparation.prepare(
            None, Path(folder, "data"), sequences=60, items=120, mean_length=8
        )
        run = trainer.train(
            data,
            Path(folder, "run"),
            layers=1,
            width=8,
            feed_forward=8,
            context=8,
            batch_size=16,
            max_steps=2,
        )
        answer = run.load().recommend(data.items.ids[:3], k=5)
    if len(answer.items) != 5:
        raise SegueError(f"got {len(answer.items)} recommendations, expected 5")


def _check_retrieval() -> None:
    """Compare the scores of the retrieved items with a full sort, on random vectors."""
    random = np.random.default_rng(0)
    hidden = random.normal(size=(4, 16)).astype(np.float32)
    embeddings = random.normal(size=(20_000, 16)).astype(np.float32)
    catalogue = catalogue_mask(np.ones(len(embeddings), bool))
    query = search.query_of_states((jnp.asarray(hidden),), catalogue)
    ranked = search.top(query, (jnp.asarray(embeddings),), TOP_K)
    expected = -np.sort(-(hidden @ embeddings[N_SPECIALS:].T), axis=1)[:, :TOP_K]
    if not np.allclose(ranked.scores, expected, rtol=1e-2):
        raise SegueError("the retrieved scores differ from those of a full sort")
