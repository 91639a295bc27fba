"""The rankers of an evaluation: models, baselines and lists, opened in the order given."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol, TypeGuard, runtime_checkable

from segue.baselines import NAMES, ListRanker, defaults_for, fit
from segue.config import nearest_hint
from segue.dataset import Dataset
from segue.errors import RequestError
from segue.evaluation.tuning import fit_tuned
from segue.ranking import Ranker
from segue.recommender import ModelRanker, Recommender
from segue.runs import is_run
from segue.storage.paths import checked_path

LIST_SUFFIXES = (".parquet", ".csv")


@runtime_checkable
class Model(Protocol):
    """Anything that provides a ranker for a dataset, such as a ``Recommender``."""

    name: str

    def ranker(self, data: Dataset, *, use_sequence_features: bool = True) -> Ranker:
        """A ranker that takes and returns the item indices of ``data``."""
        ...


Evaluable = Ranker | Model | str | os.PathLike[str]
"""A ranker, a model, the name of a baseline, a run, or a file of ranked lists."""


def open_rankers(
    models: Evaluable | Iterable[Evaluable],
    data: Dataset,
    *,
    baselines: str | Sequence[str] | None,
    fit_on_validation: bool,
    use_sequence_features: bool,
    tune: bool = False,
    without_ensemble: bool = False,
    members: bool = False,
) -> list[Ranker]:
    """The rankers of the models in their order, followed by the baselines.

    See ``evaluate`` for the arguments.

    Raises:
        RequestError: a model is none of these, two have the same name, or an option does not
            apply to them.
    """
    is_single = isinstance(models, Ranker | Model | str | os.PathLike)
    models = [models] if is_single else list(models)
    if fit_on_validation:
        _check_all_baselines(models)
    if not use_sequence_features:
        _check_any_model(models, "sequence features can only be withheld from")
    if without_ensemble:
        _check_any_model(models, "ensembles can only be left out of")
        models = [_transformer_of(model) for model in models]
    if members:
        models = _with_members(models, data, use_sequence_features=use_sequence_features)
    fit_baseline = fit_tuned if tune else fit
    rankers = [
        fit_baseline(str(model), data, fit_on_validation)
        if _is_baseline(model)
        else _open(model, data, use_sequence_features)
        for model in models
    ]
    rankers += [
        fit_baseline(name, data, fit_on_validation) for name in _added(baselines, models, data)
    ]
    _check_names(rankers)
    return rankers


def _is_baseline(model: Evaluable) -> bool:
    """Whether a model is a baseline given by name."""
    return not isinstance(model, Ranker | Model) and model in NAMES


def _open(model: Evaluable, data: Dataset, use_sequence_features: bool) -> Ranker:
    """The ranker of anything but a baseline given by name."""
    if isinstance(model, Ranker):
        return model
    if isinstance(model, Model):
        return model.ranker(data, use_sequence_features=use_sequence_features)
    path = checked_path(model, RequestError)
    if is_run(path):
        return _open(Recommender.load(path), data, use_sequence_features)
    if path.suffix in LIST_SUFFIXES:
        return ListRanker.read(path, data)
    raise RequestError(
        f"{str(path)!r} is not a baseline, a run, or a file of lists",
        nearest_hint(str(path), list(NAMES)),
    )


def _transformer_of(model: Evaluable) -> Evaluable:
    """A run without its ensemble; anything that is not a model as it is.

    Raises:
        RequestError: it is a model in memory, which may have an ensemble.
    """
    if isinstance(model, Model | ModelRanker):
        raise RequestError(
            f"ensembles can only be left out of runs given by path, but {model.name} is in memory",
            "load it with Recommender.load(run, without_ensemble=True)",
        )
    return Recommender.load(model, without_ensemble=True) if _is_run(model) else model


def _with_members(
    models: Iterable[Evaluable], data: Dataset, *, use_sequence_features: bool
) -> list[Evaluable]:
    """Each model, followed by the members of its ensemble.

    Raises:
        RequestError: no model has an ensemble.
    """
    expanded: list[Evaluable] = []
    n_members = 0
    for model in models:
        loaded = Recommender.load(model) if _is_run(model) else model
        rankers: list[Ranker] = []
        if isinstance(loaded, Recommender):
            rankers = loaded.member_rankers(data, use_sequence_features=use_sequence_features)
        n_members += len(rankers)
        expanded += [loaded, *rankers]
    if not n_members:
        raise RequestError(
            "no model has an ensemble, whose members could be evaluated", "leave out members"
        )
    return expanded


def _added(
    baselines: str | Sequence[str] | None, models: Sequence[Evaluable], data: Dataset
) -> list[str]:
    """The baselines to add: the default ones only beside something that is no baseline."""
    given = {_baseline_name(model) for model in models}
    if baselines == "default":
        baselines = defaults_for(data) if None in given else []
    elif isinstance(baselines, str):
        baselines = [baselines]
    return [name for name in baselines or () if name not in given]


def _baseline_name(model: Evaluable) -> str | None:
    """The name of a baseline that was given by name or as a fitted ranker; else None."""
    name = model.name if isinstance(model, Ranker) else model
    return name if isinstance(name, str) and name in NAMES else None


def _label(model: Evaluable) -> str:
    """The path of a run or a file, or the name of a model."""
    return model.name if isinstance(model, Ranker | Model) else str(model)


def _check_all_baselines(models: Sequence[Evaluable]) -> None:
    for model in models:
        if model not in NAMES:
            raise RequestError(
                "fitting on the validation events is for baselines given by name, but "
                f"{_label(model)} is not one",
                "leave out fit_on_validation, or give names of baselines only",
            )


def _check_any_model(models: Sequence[Evaluable], purpose: str) -> None:
    if not any(_is_model(model) for model in models):
        names = ", ".join(map(_label, models))
        raise RequestError(
            f"{purpose} runs, but there is none in {names}",
            "leave the option out, or give a run",
        )


def _is_model(model: Evaluable) -> bool:
    return not isinstance(model, Ranker) and (isinstance(model, Model) or _is_run(model))


def _is_run(model: Evaluable) -> TypeGuard[str | os.PathLike[str]]:
    """Whether it is the path of a run."""
    if isinstance(model, Ranker | Model):
        return False
    return model not in NAMES and is_run(Path(model))


def _check_names(rankers: Sequence[Ranker]) -> None:
    names = [ranker.name for ranker in rankers]
    if not names:
        raise RequestError("there is nothing to evaluate", "give a model, a baseline or lists")
    for name in names:
        if names.count(name) > 1:
            raise RequestError(
                f"two rankers are called {name!r}",
                "rename one, so that the results can be distinguished",
            )
