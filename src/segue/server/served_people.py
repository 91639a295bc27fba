"""The people of a split as a served model sees them: ranked once, then opened one by one."""

from __future__ import annotations

from typing import Any

from segue import baselines
from segue.dataset import Dataset
from segue.evaluation.people import HeldOutPeople, RankedPerson
from segue.ranking import Ranker
from segue.recommender.histories import RunHistories
from segue.server.item_descriptions import ItemDescriptions
from segue.server.long_computation import Report
from segue.server.registry import ServedModel

BASELINE = "popularity"
"""The list beside that of the model, unless another model is named."""
SHOWN_EVENTS = 100
"""Events of a history that are shown: the last ones."""

_HOW = "segue attach RUN DATASET, then load the run again, or serve it with --data DATASET"
NO_HISTORIES = f"the run has no histories of people: copy those of a dataset with {_HOW}"
OF_ANOTHER_DATASET = (
    "they are of another dataset than that of the training, which may have had some of these events"
)
NO_SPLIT = (
    "an older version attached the histories of the run, without saying which of their events are "
    f"held out: attach them again with {_HOW}"
)


def why_no_people(model: ServedModel, data: Dataset | None) -> str | None:
    """Why a model has no people, and what to do about it; None if it has.

    Args:
        model: the model.
        data: the dataset whose people are shown; None for those of the histories of the run.
    """
    histories = model.recommender.histories
    if data is not None or (isinstance(histories, RunHistories) and histories.has_split):
        return None
    return NO_SPLIT if isinstance(histories, RunHistories) else NO_HISTORIES


def people_data(model: ServedModel, data: Dataset | None) -> Dataset:
    """The dataset of the people of a model that has some; see ``why_no_people``.

    Raises:
        RunError: the histories of the run are damaged.
    """
    histories = model.recommender.histories
    if data is None and isinstance(histories, RunHistories):
        data = histories.dataset
    assert data is not None
    return data


class ServedPeople:
    """The people of a dataset, with the worst rank that a model gives to what came next.

    Attributes:
        data: the dataset.
        held_out: the people.
        ranked: those of the sample, worst first.
        remark: what to know of them; may be empty.
    """

    def __init__(self, model: ServedModel, data: Dataset, report: Report) -> None:
        """Rank the people, which leaves the machine to requests half of the time."""
        self.data = data
        is_of_training = data.fingerprint == model.card["dataset"]["fingerprint"]
        self.remark = "" if is_of_training else OF_ANOTHER_DATASET
        self._descriptions = ItemDescriptions(data.items)
        self._ranker = model.recommender.ranker(data)
        self._baseline: Ranker = baselines.fit(BASELINE, data)
        self.held_out = HeldOutPeople(self._ranker, data)
        n_targets = max(self.held_out.n_targets, 1)
        self.ranked = self.held_out.rank(lambda n: report(n / n_targets), rests=True)
        ids = data.sequences.ids
        self._ids = [ids[person.row].as_py() for person in self.ranked]

    def page(self, text: str, start: int, limit: int) -> tuple[int, list[dict[str, Any]]]:
        """The number of people whose id contains a text, and some of them, worst rank first."""
        text = text.casefold()
        matches = [
            number for number, name in enumerate(self._ids) if not text or text in name.casefold()
        ]
        shown = matches[start : start + limit]
        return len(matches), [self._row(self._ids[n], self.ranked[n]) for n in shown]

    def open(self, person_id: str, k: int, against: ServedModel | None) -> dict[str, Any] | None:
        """A person with history, truth and lists; None if the part has no such person."""
        row = self.held_out.find(person_id)
        if row is None:
            return None
        second = self._baseline if against is None else against.recommender.ranker(self.data)
        rankers = [self._ranker, second]
        person = self.held_out.person(row, rankers, min(k, self.data.n_candidates))
        if against is not None and not person.lists[1]:  # a model of other items
            return self.open(person_id, k, None)
        truth = set(person.targets.tolist())
        history, names = person.history.tolist(), [ranker.name for ranker in rankers]
        return {
            "person_id": person_id,
            "n_events": len(history),
            "history": self._items(history[-SHOWN_EVENTS:]),
            "truth": [
                {**item, "rank": rank or None, "is_shown": number == person.shown}
                for number, (item, rank) in enumerate(
                    zip(self._items(person.targets.tolist()), person.ranks.tolist(), strict=True)
                )
            ],
            "lists": [
                {
                    "name": name,
                    "rank": rank or None,
                    "items": [
                        {**item, "rank": place, "is_hit": index in truth}
                        for place, (item, index) in enumerate(
                            zip(self._items(items), items, strict=True), start=1
                        )
                    ],
                }
                for name, rank, items in zip(names, person.shown_ranks, person.lists, strict=True)
            ],
        }

    def _row(self, person_id: str, person: RankedPerson) -> dict[str, Any]:
        events = int(self.data.sequences.lengths[person.row])
        (target,) = self._items([person.target])
        return {
            "person_id": person_id,
            "n_events": events,
            "n_targets": person.n_targets,
            "worst_rank": person.worst_rank or None,
            "target": target,
        }

    def _items(self, indices: list[int]) -> list[dict[str, Any]]:
        return [self._descriptions.describe(index) for index in indices]
