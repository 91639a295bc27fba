"""Open the rankers that ``segue evaluate`` names: runs, baselines, or files of lists."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from segue import baselines
from segue.config import nearest_hint
from segue.dataset import Dataset
from segue.errors import RequestError
from segue.ranking import Ranker
from segue.recommender import Recommender
from segue.runs import is_run

LIST_SUFFIXES = (".parquet", ".csv")


def open_rankers(
    names: Sequence[str],
    data: Dataset,
    *,
    fit_on_validation: bool,
    with_baselines: bool,
    use_sequence_features: bool,
) -> list[Ranker]:
    """Open the named rankers, in order, followed by the default baselines.

    Args:
        names: run folders, names of baselines, or Parquet or CSV files of ranked lists.
        fit_on_validation: whether baselines are fitted on the validation events too.
        with_baselines: whether the default baselines are added, if ``names`` has anything but
            baselines.
        use_sequence_features: whether runs get the sequence features that they were trained
            with.

    Raises:
        RequestError: a name is none of these, or an option does not apply to any of them.
    """
    if fit_on_validation and (fixed := [name for name in names if name not in baselines.NAMES]):
        raise RequestError(
            f"--fit-on-validation only applies to baselines, but {fixed[0]} is not a baseline",
            "name baselines only, as in: segue evaluate popularity last-item --fit-on-validation",
        )
    if not use_sequence_features and not any(is_run(Path(name)) for name in names):
        raise RequestError(
            f"--no-sequence-features only applies to runs, but there is none in {', '.join(names)}",
            "leave it out, or name a run",
        )
    rankers = [_open(name, data, fit_on_validation, use_sequence_features) for name in names]
    if with_baselines and not set(names) <= set(baselines.NAMES):
        missing = [name for name in baselines.defaults_for(data) if name not in names]
        rankers += [baselines.fit(name, data, fit_on_validation) for name in missing]
    return rankers


def _open(name: str, data: Dataset, fit_on_validation: bool, use_sequence_features: bool) -> Ranker:
    path = Path(name)
    if name in baselines.NAMES:
        return baselines.fit(name, data, fit_on_validation)
    if is_run(path):
        return Recommender.load(path).ranker(data, use_sequence_features=use_sequence_features)
    if path.suffix in LIST_SUFFIXES:
        return baselines.ListRanker.read(path, data)
    raise RequestError(
        f"{name!r} is not a baseline, a run, or a file of lists",
        nearest_hint(name, list(baselines.NAMES)),
    )
