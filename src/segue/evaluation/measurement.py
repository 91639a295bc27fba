"""``evaluate``: measure rankers on the held-out events of a dataset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol as Interface
from typing import runtime_checkable

from segue.baselines import ListRanker, fit
from segue.config import EvaluationConfig
from segue.dataset import Dataset
from segue.dataset.targets import SplitPart
from segue.errors import RequestError, quantity
from segue.evaluation.beyond_accuracy import item_statistics
from segue.evaluation.continuation import measure_continuation
from segue.evaluation.next_item import measure_next_item
from segue.evaluation.protocol import resolve_protocol
from segue.evaluation.results import Evaluation, Result
from segue.ranking import Ranker


@runtime_checkable
class Model(Interface):
    """Anything that provides a ranker for a dataset, such as a ``Recommender``."""

    def ranker(self, data: Dataset) -> Ranker:
        """A ranker that takes and returns the item indices of ``data``."""
        ...


def evaluate(
    rankers: Ranker | Model | str | Sequence[Ranker | Model | str],
    data: Dataset,
    part: SplitPart = "test",
    config: EvaluationConfig | None = None,
    *,
    block_size: int | None = None,
) -> Evaluation:
    """Measure rankers on held-out events, ranking the whole catalogue.

    Candidates are never sampled.

    Args:
        rankers: a model, a baseline (by name, or fitted), a file of lists read by
            ``ListRanker``, or several of these. No baseline is added.
        data: the prepared dataset whose held-out events are the targets. It may differ from
            the one a model was trained on; items are then joined by their ids.
        part: ``test`` or ``validation``.
        config: the options; ``EvaluationConfig()`` by default.
        block_size: queries passed to a ranker at a time, 1024 by default. It does not change
            the results.

    Returns:
        Means over instances with 95 % confidence intervals, by ranker (in the given order) and
        task, and the protocol.

    Raises:
        RequestError: the options contradict the dataset or the rankers.
        DatasetError: the part has no target.
    """
    if isinstance(rankers, str | Ranker | Model):
        rankers = [rankers]
    resolved_rankers = [_to_ranker(ranker, data) for ranker in rankers]
    _check_names(resolved_rankers)
    protocol = resolve_protocol(resolved_rankers, data, part, config or EvaluationConfig())
    statistics = item_statistics(data) if protocol.options.beyond_accuracy else None
    similarity = {} if statistics is None else {"similarity": statistics.similarity}
    results_by_setting: list[list[Result]] = []
    if "next-item" in protocol.tasks:
        results_by_setting.append(
            measure_next_item(resolved_rankers, data, protocol, block_size, statistics)
        )
    if "continuation" in protocol.tasks:
        results_by_setting += measure_continuation(
            resolved_rankers, data, protocol, block_size, statistics
        )
    results = [
        replace(setting_results[i], notes=_notes(ranker, data, setting_results[i]))
        for i, ranker in enumerate(resolved_rankers)
        for setting_results in results_by_setting
    ]
    return Evaluation(
        dataset={"name": data.name, "fingerprint": data.fingerprint},
        part=part,
        protocol=protocol.to_dict() | similarity,
        results=results,
        sequence_ids=data.sequences.ids,
    )


def _to_ranker(ranker: Ranker | Model | str, data: Dataset) -> Ranker:
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
                f"two rankers are called {name!r}",
                "rename one, so that the results can be distinguished",
            )


def _notes(ranker: Ranker, data: Dataset, result: Result) -> tuple[str, ...]:
    notes = list(ranker.notes)
    for name, slice_result in result.slices.items():
        n_targets = quantity(slice_result.n, f"{name} target is", f"{name} targets are")
        notes.append(f"{n_targets} reported as a separate slice, not in this mean")
    if ranker.data_fingerprint not in (None, data.fingerprint):
        notes.append(f"fitted on another dataset, with fingerprint {ranker.data_fingerprint}")
    if isinstance(ranker, ListRanker):
        missing = int((~ranker.covers(result.per_sequence.rows)).sum())
        if missing:
            notes.append(f"{missing} of the sequences have no list and count as misses")
        if ranker.n_dropped:
            entries = quantity(ranker.n_dropped, "entry", "entries")
            notes.append(f"ignored {entries} outside the catalogue")
        notes.append("ranked lists read from a file, named after the file")
    return tuple(notes)
