"""``LoadedModel``: what a recommender is made of, apart from the questions that it answers."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from segue.catalogue_search import CatalogueSearch
from segue.dataset import Dataset, Items
from segue.errors import RequestError
from segue.features import USER
from segue.ranking import Ranker
from segue.recommender.answer_builder import AnswerBuilder
from segue.recommender.counts import check_count
from segue.recommender.encoder import Encoder
from segue.recommender.ensemble import Ensemble
from segue.recommender.histories import Histories, TrainingHistories
from segue.recommender.item_attributes import ItemAttributes
from segue.recommender.members import Window
from segue.recommender.model_ranker import ModelRanker
from segue.recommender.request_reader import RequestReader
from segue.recommender.sampling import Sampling
from segue.recommender.second_transformer import SecondTransformer
from segue.recommender.single_members import single_members
from segue.recommender.warm_up import warm_up

ModelT = TypeVar("ModelT", bound="LoadedModel")


class LoadedModel:
    """The ensemble of a run with its items, and what reads requests and builds answers.

    ``Recommender`` adds the questions: for a history, about items, and for all rows of a file.
    """

    def __init__(  # noqa: PLR0913 - one parameter per part of a run
        self,
        ensemble: Ensemble,
        items: Items,
        *,
        name: str,
        dataset: dict[str, Any],
        always_has_sequence_features: bool = False,
        includes_seen: bool = False,
        histories: Histories | None = None,
        catalogue_search: CatalogueSearch | None = None,
        temperature: float | None = None,
        fingerprint: str = "",
    ) -> None:
        """Create a model from an ensemble.

        Args:
            ensemble: the encoder and the other members.
            items: the items of the training dataset; the model's catalogue comes first.
            name: name in answers and results.
            dataset: ``fingerprint`` and ``path`` of the training dataset.
            always_has_sequence_features: whether training never dropped the sequence features.
            includes_seen: whether items of the history may be recommended unless a request says
                otherwise.
            histories: the histories of known users; by default those of the training dataset.
            catalogue_search: the search of the items; by default with an index of its own.
            temperature: of the next-item probabilities; None if none was fitted.
            fingerprint: what identifies the files of the run; empty for a model without a run.
        """
        self.ensemble = ensemble
        self.items = items
        self.name = name
        self.includes_seen = includes_seen
        self.window: Window = "last"
        self.temperature = temperature
        self.fingerprint = fingerprint
        self._dataset = dataset
        self._catalogue_search = catalogue_search or CatalogueSearch(items)
        self._training = TrainingHistories(dataset["path"], dataset["fingerprint"], name)
        self._requests = RequestReader(
            items,
            ensemble.vocabulary_size,
            ensemble.vocabulary,
            has_start=ensemble.encoder.layout.start,
            knows_users=USER in ensemble.encoder.vocabulary.values,
            always_has_sequence_features=always_has_sequence_features,
            model=name,
            histories=histories or self._training,
            attributes=ItemAttributes(items, ensemble.vocabulary_size),
        )

    def _with_ensemble(self: ModelT, ensemble: Ensemble) -> ModelT:
        """A copy with another ensemble of the same catalogue."""
        model = copy(self)
        model.ensemble = ensemble
        vars(model).pop("_members_alone", None)  # they are those of the other ensemble
        return model

    @property
    def encoder(self) -> Encoder:
        """The transformer."""
        return self.ensemble.encoder

    @property
    def histories(self) -> Histories:
        """The histories of known users."""
        return self._requests.histories

    @property
    def dataset(self) -> Dataset:
        """The training dataset, opened on first use.

        Raises:
            DatasetError: the dataset is not at its path any more, or it has changed.
        """
        return self._training.dataset

    @property
    def _answers(self) -> AnswerBuilder:
        return AnswerBuilder(
            self.items,
            self.ensemble.catalogue,
            self.encoder.layout.n_truncated,
            self.name,
            is_calibrated=self.temperature is not None,
        )

    def warm_up(
        self, max_rows: int = 64, max_k: int = 100, *, controls: bool = False
    ) -> list[dict[str, int]]:
        """Compile ``recommend`` and ``generate`` for the numbers of histories and items given.

        Without it, the first request of each shape takes a second or more. What was compiled is
        stored on disk, so that another process with the same model loads it.

        Args:
            max_rows: largest number of histories per call; larger calls use the same shapes.
            max_k: largest ``k``, and ``top_k`` of ``generate``.
            controls: whether to compile what dials, examples, caps and diversity need, too, which
                takes three times as long.

        Returns:
            The compiled shapes: number of histories, input tokens and results of each.

        Raises:
            RequestError: a number is out of range.
        """
        if max_rows < 1:
            raise RequestError(f"max_rows is {max_rows}, expected 1 or more", "64 is usual")
        self._check_count("max_k", max_k)
        return warm_up(self.ensemble, max_rows, max_k, controls=controls)

    def ranker(self, data: Dataset, *, use_sequence_features: bool = True) -> Ranker:
        """The model as a ``Ranker`` for evaluation on a dataset, joined by item id.

        Args:
            data: the dataset to rank on.
            use_sequence_features: whether to give the model the sequence features of the
                dataset.
        """
        return self._ranker(self.ensemble, self.name, data, use_sequence_features)

    def member_rankers(self, data: Dataset, *, use_sequence_features: bool = True) -> list[Ranker]:
        """Each member of the ensemble alone as a ``Ranker``, the transformer first.

        They are called after the model and the member, such as ``run: co-occurrence``. Items that
        a count-based member does not score are ordered by popularity. Without an ensemble, the
        list is empty. Without sequence features, a member that needs the user is left out.

        Args:
            data: as in ``ranker``.
            use_sequence_features: as in ``ranker``.
        """
        if not self.ensemble.members:
            return []
        return [
            self._ranker(ensemble, f"{self.name}: {name}", data, use_sequence_features)
            for name, ensemble in self._members_alone.items()
            if use_sequence_features or not _needs_user(ensemble)
        ]

    @cached_property
    def _members_alone(self) -> dict[str, Ensemble]:
        """Each member of the ensemble as an ensemble of its own, by name."""
        counts = self.items.training_counts[: self.ensemble.vocabulary_size]
        return single_members(self.ensemble, counts)

    def _ranker(
        self, ensemble: Ensemble, name: str, data: Dataset, use_sequence_features: bool
    ) -> ModelRanker:
        return ModelRanker(
            ensemble,
            self.items,
            data,
            name=name,
            fingerprint=self._dataset["fingerprint"],
            use_sequence_features=use_sequence_features,
        )

    def _check_count(self, name: str, value: Any) -> None:
        check_count(name, value)
        if value > self.ensemble.n_candidates:
            message = (
                f"{name} is {value}, more than the catalogue of {self.ensemble.n_candidates} items"
            )
            raise RequestError(message, "ask for fewer")

    def _checked(self, sampling: Sampling) -> Sampling:
        """Sampling that was checked, from no more items than there are."""
        sampling.check(has_end=self.encoder.layout.end)
        return replace(sampling, top_k=min(sampling.top_k, self.ensemble.n_candidates))

    def _includes_seen(self, include_seen: bool | None) -> bool:
        if not isinstance(include_seen, bool | np.bool_ | None):
            message = f"include_seen is {include_seen!r}, expected True, False or None"
            raise RequestError(message, "None leaves it to the run")
        return self.includes_seen if include_seen is None else bool(include_seen)


def _needs_user(ensemble: Ensemble) -> bool:
    """Whether a single member has no scores without a known user."""
    return any(
        isinstance(member, SecondTransformer) and member.needs_user for member in ensemble.dense
    )
