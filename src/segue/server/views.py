"""What the views of the page show besides answers, computed when it is first used."""

from __future__ import annotations

from typing import Any

from segue.dataset import Dataset
from segue.inspection import description
from segue.runs import RunFolder
from segue.server.log import Log
from segue.server.long_computation import PerModel, Report
from segue.server.registry import ServedModel
from segue.server.served_map import open_map
from segue.server.served_people import ServedPeople, people_data


class Views:
    """The contents of the views, per version of each model.

    Attributes:
        data: the dataset whose people are shown; None for those of the histories of each run.
        maps: the maps.
        people: the people.
        cards: the descriptions.
    """

    def __init__(self, data: Dataset | None, log: Log) -> None:
        """Prepare; nothing is computed yet."""
        self.data = data
        self.maps = PerModel("map", open_map, log)
        self.people = PerModel("people", self._people, log)
        self.cards = PerModel("card", self._card, log)

    def drop(self, name: str) -> None:
        """Forget what was computed for a model that was loaded again."""
        for view in (self.maps, self.people, self.cards):
            view.drop(name)

    def close(self) -> None:
        """End what is being computed."""
        for view in (self.maps, self.people, self.cards):
            view.close()

    def _people(self, model: ServedModel, report: Report) -> ServedPeople:
        return ServedPeople(model, people_data(model, self.data), report)

    def _card(self, model: ServedModel, _: Report) -> dict[str, Any]:
        config, _dataset = model.folder.read_config()
        return {
            "sentences": [
                sentence._asdict()
                for sentence in description.describe_card(model.recommender, model.card, config)
            ],
            "audit": description.audit(self.data, model.recommender, model.card),
            "graph": description.graph(model.recommender),
        }


def curves_of(folder: RunFolder) -> dict[str, Any]:
    """The training curves of a run; see ``segue.inspection.description.curves``."""
    return description.curves(folder)


def scores_of(model: ServedModel) -> dict[str, Any] | None:
    """The results of a run as they are now: an evaluation may be written while it is served."""
    scores = description.scores(model.folder, model.card, model.recommender)
    if scores is None:
        return None
    return scores._asdict() | {"scores": [score._asdict() for score in scores.scores]}
