"""``evaluate``: ask rankers the questions of a part, and report by the protocol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol as Interface
from typing import runtime_checkable

from segue.baselines import ListRanker, fit
from segue.config import EvaluationConfig
from segue.dataset import Dataset
from segue.dataset.parts import Part
from segue.errors import RequestError
from segue.evaluation.background import background
from segue.evaluation.continuation import measure_continuation
from segue.evaluation.next_item import measure_next_item
from segue.evaluation.protocol import resolve
from segue.evaluation.results import Evaluation, Result
from segue.ranking import Ranker
from segue.wording import counted


@runtime_checkable
class Model(Interface):
    """What can turn itself into a ranker for a dataset, as a ``Recommender`` does."""

    def ranker(self, data: Dataset) -> Ranker:
        """Itself, asked in the indices of ``data``."""
        ...


def evaluate(
    rankers: Ranker | Model | str | Sequence[Ranker | Model | str],
    data: Dataset,
    on: Part = "test",
    config: EvaluationConfig | None = None,
    *,
    block_size: int | None = None,
) -> Evaluation:
    """Measure rankers on held-out events, over the whole catalogue, never a sample of it.

    Args:
        rankers: a model, a baseline (by name, or fitted), a list from elsewhere, or several;
            results keep their order, and no baseline is added.
        data: the prepared dataset that holds the questions; it may be another one than a
            model was trained on, items are then joined by their ids.
        on: ``test`` or ``validation``.
        config: the options; ``EvaluationConfig()`` when absent.
        block_size: questions asked at a time, 1024 when absent. It changes no figure.

    Returns:
        means over instances with 95 % intervals, by ranker and task, and the protocol.

    Raises:
        RequestError: the options contradict the dataset or the rankers.
        DatasetError: the part holds nothing to ask.
    """
    if isinstance(rankers, str | Ranker | Model):
        rankers = [rankers]
    ready = [_ready(each, data) for each in rankers]
    _check_names(ready)
    protocol = resolve(ready, data, on, config or EvaluationConfig())
    known = background(data) if protocol.options.behaviour else None
    similarity = {} if known is None else {"similarity": known.similarity}
    columns: list[list[Result]] = []
    if "next-item" in protocol.tasks:
        columns.append(measure_next_item(ready, data, protocol, block_size, known))
    if "continuation" in protocol.tasks:
        columns += measure_continuation(ready, data, protocol, block_size, known)
    results = [
        replace(column[i], notes=_notes(ranker, data, column[i]))
        for i, ranker in enumerate(ready)
        for column in columns
    ]
    return Evaluation(
        dataset={"name": data.name, "fingerprint": data.fingerprint},
        part=on,
        protocol=protocol.to_json() | similarity,
        results=results,
        sequence_ids=data.sequences.ids,
    )


def _ready(ranker: Ranker | Model | str, data: Dataset) -> Ranker:
    if isinstance(ranker, str):
        return fit(ranker, data)
    return ranker if isinstance(ranker, Ranker) else ranker.ranker(data)


def _check_names(rankers: Sequence[Ranker]) -> None:
    names = [ranker.name for ranker in rankers]
    if not names:
        raise RequestError("there is nothing to evaluate", "give a model, a baseline or lists")
    for name in names:
        if names.count(name) > 1:
            raise RequestError(
                f"two rankers are called {name!r}", "rename one, so that results can be told apart"
            )


def _notes(ranker: Ranker, data: Dataset, result: Result) -> tuple[str, ...]:
    notes = list(ranker.notes)
    for name, left_out in result.slices.items():
        targets = counted(left_out.n, f"{name} target is", f"{name} targets are")
        notes.append(f"{targets} a slice of their own, not in this mean")
    if ranker.data_fingerprint not in (None, data.fingerprint):
        notes.append(f"fitted on another dataset, with fingerprint {ranker.data_fingerprint}")
    if isinstance(ranker, ListRanker):
        missing = int((~ranker.covers(result.scores.rows)).sum())
        if missing:
            notes.append(f"{missing} of the sequences have no list, and count as misses")
        if ranker.not_candidates:
            entries = counted(ranker.not_candidates, "entry", "entries")
            notes.append(f"left out: {entries} outside the catalogue")
        notes.append("lists from elsewhere, called by the name of their file")
    return tuple(notes)
