"""People of the held-out part: their ranks are those of ``evaluate``, their lists those of it."""

from __future__ import annotations

import numpy as np
import pytest

from segue.baselines import fit
from segue.dataset import Dataset
from segue.errors import DatasetError
from segue.evaluation import evaluate
from segue.evaluation import people as people_module
from segue.evaluation.people import HeldOutPeople
from segue.ranking import Ranker


@pytest.fixture(scope="module")
def ranker(cycles: Dataset) -> Ranker:
    return fit("item-knn", cycles)


def test_ranks_are_those_of_evaluate(cycles: Dataset, ranker: Ranker) -> None:
    ranked = HeldOutPeople(ranker, cycles).rank()
    result = evaluate(ranker, cycles, baselines=None, ks=(1, 3), resamples=0).results[0]
    by_row = dict(
        zip(result.per_sequence.rows.tolist(), result.per_sequence.sums["mrr"], strict=True)
    )
    assert {person.row for person in ranked} == set(by_row)
    for person in ranked:
        expected = 1 / person.worst_rank if person.worst_rank else 0
        assert by_row[person.row] == pytest.approx(expected)


def test_the_worst_come_first_and_those_without_a_rank_last(
    cycles: Dataset, ranker: Ranker
) -> None:
    ranks = [person.worst_rank for person in HeldOutPeople(ranker, cycles).rank()]
    with_rank = [rank for rank in ranks if rank]
    assert with_rank == sorted(with_rank, reverse=True)
    assert ranks == [*with_rank, *[0] * (len(ranks) - len(with_rank))]


def test_a_person_has_history_truth_and_lists(cycles: Dataset, ranker: Ranker) -> None:
    people = HeldOutPeople(ranker, cycles)
    (first, *_) = people.rank()
    sequence = cycles.sequences.row(first.row)
    popular = fit("popularity", cycles)
    person = people.person(first.row, [ranker, popular], k=3)
    assert person.history.tolist() == sequence[:-1].tolist()
    assert person.targets.tolist() == sequence[-1:].tolist() == [first.target]
    assert person.ranks.tolist() == [first.worst_rank]
    assert person.shown_ranks[0] == first.worst_rank
    for items, rank in zip(person.lists, person.shown_ranks, strict=True):
        assert len(items) == 3
        assert (items[rank - 1] == first.target) if 1 <= rank <= 3 else first.target not in items


def test_people_are_found_by_id(cycles: Dataset, ranker: Ranker) -> None:
    people = HeldOutPeople(ranker, cycles)
    row = people.find("u7")
    assert row is not None
    assert cycles.sequences.ids[row].as_py() == "u7"
    assert people.find("nobody") is None


def test_of_many_people_a_sample_is_ranked(
    cycles: Dataset, ranker: Ranker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people_module, "MAX_PEOPLE", 10)
    people = HeldOutPeople(ranker, cycles)
    assert len(people.rank()) == len(people.rows) == 10 < people.n_people
    monkeypatch.setattr(people_module, "MAX_TARGETS", 4)
    fewer = HeldOutPeople(ranker, cycles)
    assert fewer.n_targets == 4
    assert set(fewer.rows) <= set(people.rows)
    by_row = {person.row: person for person in people.rank()}
    assert all(by_row[person.row] == person for person in fewer.rank())


def test_progress_is_reported_and_ends_the_work(cycles: Dataset, ranker: Ranker) -> None:
    people = HeldOutPeople(ranker, cycles)
    reports: list[int] = []
    people.rank(reports.append)
    assert reports == sorted(reports)
    assert reports[-1] == people.n_targets

    def stop(_: int) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        people.rank(stop)


def test_a_dataset_without_targets_has_no_people(
    cycles: Dataset, ranker: Ranker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(*_: object) -> None:
        raise DatasetError("no target", "")

    monkeypatch.setattr(people_module, "evaluation_instances", nothing)
    with pytest.raises(DatasetError, match="neither the test nor the validation part"):
        HeldOutPeople(ranker, cycles)


def test_the_worst_of_several_targets_is_shown() -> None:
    from segue.evaluation.people import _worst

    assert _worst(np.array([3, 0, 9, 9, 1])) == 2
