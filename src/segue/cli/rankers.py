"""What an argument of ``segue evaluate`` stands for: a run, a baseline, or a file of lists."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from segue import baselines
from segue.cli.folders import is_run
from segue.config import nearest
from segue.dataset import Dataset
from segue.errors import RequestError
from segue.ranking import Ranker
from segue.recommender import Recommender

LIST_FILES = (".parquet", ".csv")


def open_rankers(
    names: Sequence[str], data: Dataset, *, refit: bool, with_baselines: bool, told: bool
) -> list[Ranker]:
    """Open what was named, in order, and the default baselines behind a model or lists.

    Args:
        refit: whether baselines are fitted on the validation events too.
        told: whether models are told of the sequences what they read of them.

    Raises:
        RequestError: a name is nothing that can be evaluated.
    """
    if refit and (fixed := [name for name in names if name not in baselines.NAMES]):
        raise RequestError(
            f"--refit fits baselines again, but {fixed[0]} stays as it is",
            "name baselines alone, as in: segue evaluate popularity last-item --refit",
        )
    if not told and not any(is_run(Path(name)) for name in names):
        raise RequestError(
            f"--untold hides names and users from models, but none is among {', '.join(names)}",
            "leave it out, or name a run",
        )
    rankers = [_open(name, data, refit, told) for name in names]
    if with_baselines and not set(names) <= set(baselines.NAMES):
        missing = [name for name in baselines.defaults_for(data) if name not in names]
        rankers += [baselines.fit(name, data, refit) for name in missing]
    return rankers


def _open(name: str, data: Dataset, refit: bool, told: bool) -> Ranker:
    path = Path(name)
    if name in baselines.NAMES:
        return baselines.fit(name, data, refit)
    if is_run(path):
        return Recommender.load(path).ranker(data, told=told)
    if path.suffix in LIST_FILES:
        return baselines.ListRanker.read(path, data)
    raise RequestError(
        f"{name!r} is no baseline, no run and no file of lists",
        nearest(name, list(baselines.NAMES)),
    )
