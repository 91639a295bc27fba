"""The demo: prepare the built-in world, train, evaluate against its oracle, and generate.

The playlists of the built-in world are drawn from a known generative model. The oracle is the
Bayes-optimal predictor of that model: no recommender has a better expected score.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from segue import preparation, trainer
from segue.dataset import Dataset, Items
from segue.evaluation import Evaluation, evaluate
from segue.recommender import Answer, Recommender
from segue.runs import RunFolder
from segue.tokens import N_SPECIALS
from segue.trainer import Progress

METRIC = "ndcg@10"
BUDGET_S = 90.0
"""Core-seconds of the training: under a minute on two idle cores."""
ORACLE = "oracle"
SEASONAL_GENRE = "christmas"
"""The genre of the built-in world that occurs only in seasonal playlists."""

N_PLAYLISTS, N_GIVEN, N_ADDED = 3, 3, 5
"""Number of test playlists to continue, of given tracks per playlist, and of tracks to add."""
N_SEASONAL_ADDED = 10
"""Number of tracks to add to a seasonal track."""


class Continuation(NamedTuple):
    """The first items of a playlist, and how the model continues them.

    Attributes:
        given: item ids.
        answer: the generated items.
    """

    given: list[str]
    answer: Answer

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"given": self.given, "continuation": self.answer.to_dict()}


@dataclass(frozen=True)
class Demo:
    """The results of a demo.

    Attributes:
        items: the items of the built-in world.
        evaluation: the model, the default baselines and the oracle on the test part.
        ratios: NDCG@10 of the model divided by that of ``best_baseline`` and of ``oracle``.
        playlists: test playlists, continued.
        christmas: one seasonal track, continued.
        n_seasonal: number of seasonal tracks among those added to it.
    """

    items: Items
    evaluation: Evaluation
    ratios: dict[str, float]
    playlists: list[Continuation]
    christmas: Continuation
    n_seasonal: int

    def to_dict(self) -> dict[str, Any]:
        """The object that ``segue demo --json`` prints."""
        return {
            "evaluation": self.evaluation.to_dict(),
            "ratios": self.ratios,
            "playlists": [playlist.to_dict() for playlist in self.playlists],
            "christmas": self.christmas.to_dict(),
            "seasonal": self.n_seasonal,
        }


def run_demo(
    out: str | os.PathLike[str],
    *,
    seed: int = 0,
    watch: Callable[[Progress], None] = lambda _: None,
    report: Callable[[str], None] = lambda _: None,
) -> Demo | None:
    """Prepare the built-in world, train a model on it, evaluate it and generate with it.

    Takes a few minutes. Writes the dataset to ``out/data`` and the run to ``out/run``.

    Args:
        out: where to write; must not contain a run.
        seed: seed of the world, the split, the training and the generation.
        watch: called every few training steps.
        report: called with one line of text at the start of a stage and after the preparation.

    Returns:
        The results; None if a signal stopped the training. The run can then be resumed.

    Raises:
        SegueError: a folder cannot be written, or memory is too small.
    """
    out = Path(out)
    report("preparing")
    data = preparation.prepare(None, out / "data", format="demo", seed=seed)
    report(f"prepared {data.manifest.counts.events:,} events in {data.path}")
    run = trainer.train(
        data, out / "run", budget=BUDGET_S, watch=watch, with_histories=True, seed=seed
    )
    if not run.is_finished:
        return None
    report("evaluating")
    model = run.load()
    evaluation = evaluate(model, data, task="next-item")
    folder = RunFolder(run.path)
    folder.write_json(folder.evaluation, evaluation.to_dict())
    return _with_continuations(evaluation, data, model, seed)


def _with_continuations(
    evaluation: Evaluation, data: Dataset, model: Recommender, seed: int
) -> Demo:
    """Continue a seasonal track and some test playlists, and collect all results."""
    seasonal_id = next(item_id for item_id in data.items.ids if _is_seasonal(data.items, item_id))
    christmas = model.generate([seasonal_id], N_SEASONAL_ADDED, seed=seed)
    return Demo(
        items=data.items,
        evaluation=evaluation,
        ratios=_ratios(evaluation, model.name),
        playlists=[
            Continuation(given, model.generate(given, N_ADDED, seed=seed))
            for given in _first_tracks(data)
        ],
        christmas=Continuation([seasonal_id], christmas),
        n_seasonal=sum(_is_seasonal(data.items, item.item_id) for item in christmas.items),
    )


def _is_seasonal(items: Items, item_id: str) -> bool:
    return SEASONAL_GENRE in items.describe(int(items.find([item_id])[0]))["genres"]


def _ratios(evaluation: Evaluation, model: str) -> dict[str, float]:
    """The metric of a model divided by those of the best baseline and of the oracle."""
    means = {result.model: result.metrics[METRIC].mean for result in evaluation.results}
    model_mean, oracle_mean = means.pop(model), means.pop(ORACLE)
    return {"best_baseline": model_mean / max(means.values()), "oracle": model_mean / oracle_mean}


def _first_tracks(data: Dataset) -> list[list[str]]:
    """Item ids of the first tracks of the first test playlists."""
    rows = dict.fromkeys(data.targets("test").rows.tolist())
    first_tracks = [data.sequences.row(row)[:N_GIVEN].tolist() for row in list(rows)[:N_PLAYLISTS]]
    return [[data.items.ids[index - N_SPECIALS] for index in tracks] for tracks in first_tracks]
