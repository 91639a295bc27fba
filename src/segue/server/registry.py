"""The models of a server by name: loading, warm-up, and replacement while requests go on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from segue.recommender import Recommender
from segue.runs import RunFolder
from segue.server.catalogue_summary import summarise
from segue.server.errors import unknown_name
from segue.server.item_descriptions import ItemDescriptions

VERSION_DIGITS = 12


@dataclass(frozen=True, eq=False)
class ServedModel:
    """A loaded model. A request keeps the one that it began with.

    Attributes:
        name: by which requests name it.
        version: says which content was loaded: the beginning of a hash of the run's card, which
            has the checksums of its files.
        loaded_at: the time in UTC, in ISO 8601.
        recommender: the model.
        card: the card of the run.
        folder: the folder of the run, which no answer names.
    """

    name: str
    version: str
    loaded_at: str
    recommender: Recommender
    card: Mapping[str, Any]
    folder: RunFolder

    @cached_property
    def descriptions(self) -> ItemDescriptions:
        """The attributes of the items, for answers."""
        return ItemDescriptions(self.recommender.items)

    @cached_property
    def catalogue_summary(self) -> dict[str, Any]:
        """The attributes, levels of popularity and examples of the catalogue."""
        return summarise(self.recommender)


def load_model(name: str, path: Path) -> ServedModel:
    """Load the run that lies at a path.

    Raises:
        SegueError: there is no run, it is damaged, or its version is another.
    """
    folder = RunFolder(path)
    recommender = Recommender.load(path)
    recommender.name = name
    card = folder.read_card()
    digest = hashlib.sha256(msgspec.json.encode(card, order="sorted")).hexdigest()
    loaded_at = datetime.now(UTC).isoformat(timespec="seconds")
    return ServedModel(name, digest[:VERSION_DIGITS], loaded_at, recommender, card, folder)


class ModelRegistry:
    """Models by name, each from the path that it was given at the start.

    Looking a model up is safe from any thread. A model is loaded and warmed up beside the old one,
    and replaces it in one step.
    """

    def __init__(
        self,
        paths: Mapping[str, Path],
        load: Callable[[str, Path], ServedModel] = load_model,
    ) -> None:
        """Load all models; they are not warmed up yet.

        Args:
            paths: the folder of each run by name; the first is the default.
            load: loads the model of a name and path.

        Raises:
            SegueError: a run cannot be loaded.
        """
        self._paths = dict(paths)
        self._load = load
        self._models = {name: load(name, path) for name, path in self._paths.items()}

    @property
    def names(self) -> list[str]:
        """The names, the default first."""
        return list(self._paths)

    @property
    def models(self) -> list[ServedModel]:
        """The current models, the default first."""
        return list(self._models.values())

    def find(self, name: str | None = None) -> ServedModel:
        """The current model of a name; the default without one.

        Raises:
            ApiError: there is none of this name.
        """
        model = self._models.get(self.names[0] if name is None else name)
        if model is None:
            raise unknown_name("model", name or "", self.names)
        return model

    def reload(self, name: str, warm_up: Callable[[ServedModel], None]) -> ServedModel:
        """Load what now lies at the path of a name, warm it up, then let it replace the old one.

        Raises:
            SegueError: it cannot be loaded; the old model stays.
        """
        model = self._load(name, self._paths[name])
        warm_up(model)
        self._models[name] = model
        return model
