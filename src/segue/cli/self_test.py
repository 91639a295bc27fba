"""A self-test of the installation: seconds, in a temporary folder, on the built-in world."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from segue import dataset, retrieval, trainer
from segue.axes import N_SPECIALS, Ragged
from segue.config import (
    Config,
    DemoConfig,
    ModelConfig,
    PrepareConfig,
    SourceConfig,
    TrainingConfig,
)
from segue.errors import SegueError
from segue.recommender import Recommender

TOP = 10


class Check(NamedTuple):
    """One thing that was tried; ``error`` is None where it worked."""

    name: str
    seconds: float
    error: str | None


def self_test() -> list[Check]:
    """Try everything; a check that fails does not keep the others from being tried."""
    return [
        _check("prepare, train, save and load", _whole_path),
        _check("exact retrieval", _exact_top),
    ]


def _check(name: str, attempt: Callable[[], None]) -> Check:
    began = time.perf_counter()
    error = None
    try:
        attempt()
    except Exception as raised:  # noqa: BLE001 - whatever fails is what the doctor reports
        error = f"{type(raised).__name__}: {raised}"
    return Check(name, round(time.perf_counter() - began, 3), error)


def _whole_path() -> None:
    """Two training steps on a tiny world, and an answer from the run that they leave."""
    world = SourceConfig(format="demo", demo=DemoConfig(sequences=60, items=120, mean_length=8))
    config = Config(
        model=ModelConfig(layers=1, width=8, feed_forward=8, context=8),
        training=TrainingConfig(batch_size=16, max_steps=2),
    )
    with tempfile.TemporaryDirectory(prefix="segue-doctor-") as folder:
        data = dataset.prepare(None, Path(folder, "data"), PrepareConfig(source=world))
        run = trainer.train(data, Path(folder, "run"), config=config)
        answer = Recommender.load(run).recommend(data.items.ids[:3], k=5)
    if len(answer.items) != 5:
        raise SegueError(f"got {len(answer.items)} recommendations, expected 5")


def _exact_top() -> None:
    """Retrieval against a full sort, on random vectors."""
    random = np.random.default_rng(0)
    hidden = random.normal(size=(4, 16)).astype(np.float32)
    table = random.normal(size=(20_000, 16)).astype(np.float32)
    nothing = Ragged.of([[]] * len(hidden))
    found = retrieval.top(jnp.asarray(hidden), jnp.asarray(table), nothing, TOP)
    best = -np.sort(-(hidden @ table[N_SPECIALS:].T), axis=1)[:, :TOP]
    if not np.allclose(found.scores, best, rtol=1e-2):
        raise SegueError("the best items found are not those of a full sort")
