"""Recommending and continuing, for one caller at a time."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from flax import nnx
from jaxtyping import Float32, Int32

from segue.axes import INDEX_DTYPE, N_SPECIALS, UNK, Ragged
from segue.batches import Layout
from segue.checkpoints import load_weights
from segue.dataset import Dataset, Items
from segue.dataset.prepared import read_items
from segue.errors import DatasetError, RequestError
from segue.features import USER, Bag, Features, SequenceVocabulary
from segue.generation import Sampling, continue_sequences
from segue.model import Transformer
from segue.ranking import Ranked, Ranker
from segue.recommender.answers import Answer, Recommendation
from segue.recommender.blend import Blend
from segue.recommender.model_ranker import ModelRanker
from segue.recommender.network import Network
from segue.run_folder import RunFolder
from segue.runtime import use_compilation_cache


class Recommender:
    """Recommends and continues. Load one with ``Recommender.load``."""

    def __init__(
        self,
        network: Network,
        items: Items,
        *,
        name: str,
        dataset: dict[str, Any],
        always_told: bool = False,
    ) -> None:
        """Wrap a model.

        Args:
            network: the model and what it reads.
            items: the item table whose first rows are the model's.
            name: what answers and results call it.
            dataset: ``fingerprint`` and ``path`` of what it was trained on.
            always_told: whether training never left out what the model is told of a sequence.
        """
        self.network = network
        self.items = items
        self.name = name
        self._dataset = dataset
        self._always_told = always_told

    @classmethod
    def load(cls, run: str | Path) -> Recommender:
        """Open the run folder that ``segue.train`` returned.

        Raises:
            RunError: the folder is not a complete run, or a file in it was altered.
        """
        use_compilation_cache()
        folder = RunFolder(run)
        folder.verify()
        config, dataset = folder.read_config()
        items, table_size = read_items(folder.path), dataset["table_size"]
        vocabulary = SequenceVocabulary(folder.read_sequence_values())
        features = Features.of(items, table_size, config.model, vocabulary)
        abstract = nnx.eval_shape(
            lambda: Transformer(config.model, table_size, features.sizes, rngs=nnx.Rngs(0))
        )
        graph, shapes = nnx.split(abstract)
        params = load_weights(folder.weights, shapes)
        blend = None
        if config.blend.vectors:
            shape = (table_size, config.blend.vectors)
            blend = Blend.load(folder.item_vectors, shape, config.blend.weight)
        network = Network(graph, params, Layout.of(config.model, table_size), features, blend)
        return cls(
            network,
            items,
            name=folder.path.name,
            dataset=dataset,
            always_told=not config.training.feature_dropout,
        )

    @cached_property
    def dataset(self) -> Dataset:
        """The prepared dataset that the model was trained on, for the histories of its users.

        Raises:
            DatasetError: it is not where it was, or it has changed.
        """
        hint = "give the history itself instead of a user"
        try:
            dataset = Dataset.open(self._dataset["path"])
        except DatasetError as error:
            message = f"cannot open the dataset that {self.name} was trained on: {error.message}"
            raise DatasetError(message, hint) from None
        if dataset.fingerprint != self._dataset["fingerprint"]:
            message = f"{dataset.path} is not the dataset that {self.name} was trained on"
            raise DatasetError(message, hint)
        return dataset

    def recommend(
        self,
        items: Sequence[str] = (),
        k: int = 10,
        *,
        user: str | None = None,
        about: Mapping[str, str] | None = None,
        include_seen: bool = False,
    ) -> Answer:
        """The ``k`` items most likely to come next.

        Args:
            items: a history as item ids, oldest first.
            k: how many.
            user: the id of a sequence of the training dataset; its history comes before
                ``items``. A model that reads ``user`` also takes one that it never met, and
                answers as for anyone.
            about: what is known of the sequence, such as ``{"name": "rainy day"}``, of what
                the model reads.
            include_seen: whether items of the history may be recommended again.

        Raises:
            RequestError: ``k`` is below 1 or beyond the catalogue, the user is unknown, the
                model reads no such thing of a sequence, or there is nothing to go by and
                the model has no START.
        """
        began = time.perf_counter()
        self._check_count("k", k)
        prompt = self._prompt(items, user, about)
        seen = np.zeros(0, INDEX_DTYPE) if include_seen else prompt.history
        histories, excluded = Ragged.of([prompt.history]), Ragged.of([seen])
        best, _ = self.network.next_items(histories, prompt.told, excluded, k)
        return self._answer(best, prompt, began)

    def continue_sequence(
        self,
        items: Sequence[str] = (),
        length: int = 20,
        *,
        user: str | None = None,
        about: Mapping[str, str] | None = None,
        temperature: float = 1.0,
        top_k: int = 50,
        end_weight: float = 0.0,
        seed: int = 0,
    ) -> Answer:
        """Lengthen a sequence item by item; nothing in it comes twice.

        Args:
            items: the sequence so far, as item ids, oldest first.
            length: how many items to add.
            user: as in ``recommend``.
            about: as in ``recommend``.
            temperature: 0 takes the best item at each place, 1 samples from the model's
                own distribution.
            top_k: sample among so many best items only, or all if there are fewer.
            end_weight: what the probability of the sequence's end is multiplied with; 0
                never ends before ``length``.
            seed: the same seed gives the same continuation.

        Raises:
            RequestError: a number is out of range, or as in ``recommend``.
        """
        began = time.perf_counter()
        self._check_count("length", length)
        sampling = Sampling(temperature, top_k, end_weight, seed)
        sampling.check(has_end=self.network.layout.end)
        sampling = replace(sampling, top_k=min(top_k, self._catalogue))
        prompt = self._prompt(items, user, about)

        def next_items(histories: Ragged, k: int) -> tuple[Ranked, Float32[np.ndarray, " batch"]]:
            return self.network.next_items(histories, prompt.told, histories, k)

        histories = Ragged.of([prompt.history])
        continued = continue_sequences(next_items, histories, length, sampling)
        return self._answer(continued, prompt, began)

    def ranker(self, data: Dataset, *, told: bool = True) -> Ranker:
        """This model, ready to be evaluated on a dataset; items are joined by their ids.

        Args:
            told: whether it is told of the sequences what it reads of them, such as names.
        """
        return ModelRanker(
            self.network,
            self.items,
            data,
            name=self.name,
            fingerprint=self._dataset["fingerprint"],
            told=told,
        )

    @property
    def _catalogue(self) -> int:
        """How many items there are to choose from."""
        return self.network.layout.table_size - N_SPECIALS

    def _check_count(self, name: str, value: int) -> None:
        if value < 1:
            raise RequestError(f"{name} is {value}, expected 1 or more", "ask for more")
        if value > self._catalogue:
            message = f"{name} is {value}, beyond the catalogue of {self._catalogue} items"
            raise RequestError(message, "ask for fewer")

    def _prompt(
        self, items: Sequence[str], user: str | None, about: Mapping[str, str] | None
    ) -> _Prompt:
        if isinstance(items, str):
            message = f"items is the text {items!r}, expected a list of item ids"
            raise RequestError(message, f"give [{items!r}]")
        if other := [item for item in items if not isinstance(item, str)]:
            raise RequestError(f"item id {other[0]!r} is no text", "write ids as in the log: '7'")
        known = self.items.find(list(items))
        outside = (known == UNK) | (known >= self.network.layout.table_size)
        unknown = [item for item, is_out in zip(items, outside, strict=True) if is_out]
        row, notes = self._row(user)
        earlier = np.zeros(0, INDEX_DTYPE) if row is None else self.dataset.sequences.row(row)
        history = np.concatenate([earlier, known]).astype(INDEX_DTYPE)
        if not len(history) and not self.network.layout.start:
            raise RequestError(
                "the prompt is empty, and this model has no START to begin from",
                "give at least one item",
            )
        told, unheard = self._told(user, row, about or {})
        return _Prompt(history, told, unknown, notes + unheard)

    def _row(self, user: str | None) -> tuple[int | None, list[str]]:
        """The row of a user in the training dataset; None, and why, where it has none."""
        if user is None:
            return None, []
        row = self.dataset.sequences.find(user)
        if row is None and USER not in self.network.vocabulary.values:
            raise RequestError(
                f"user {user!r} is not in the dataset {self.dataset.name}",
                "give the history itself instead; no user row is needed",
            )
        vocabulary = self.network.vocabulary
        is_unmet = USER in vocabulary.values and vocabulary.is_unknown(USER, user)
        unmet = f"user {user} was never met in training: answered as for anyone"
        return row, [unmet] if is_unmet else []

    def _told(
        self, user: str | None, row: int | None, about: Mapping[str, str]
    ) -> tuple[Bag, list[str]]:
        """What the model is told of the sequence, and a note for each value that is new to it."""
        vocabulary = self.network.vocabulary
        said: dict[str, str | None] = {}
        if row is not None:
            said |= self.dataset.sequences.attributes.slice(row, 1).to_pylist()[0]
        if user is not None:
            said[USER] = user  # also where an attribute has this name
        for name in about:
            if name not in vocabulary.values:
                known = ", ".join(vocabulary.values) or "nothing"
                message = f"the model {self.name} reads no {name!r} of a sequence"
                raise RequestError(message, f"it reads: {known}")
        unheard = [
            f"the model knows nothing of the {name} {value!r}: it counts for nothing"
            for name, value in about.items()
            if vocabulary.is_unknown(name, value)
        ]
        told = vocabulary.encode([said | dict(about)])
        if self._always_told and vocabulary.values and not np.any(told.weights):
            names = " and ".join(vocabulary.values)
            unheard.append(
                f"training always told the {names}, of which nothing is known here "
                "(training.feature_dropout teaches to do without)"
            )
        return told, unheard

    def _answer(self, ranked: Ranked, prompt: _Prompt, began: float) -> Answer:
        filled = ranked.items[0] >= N_SPECIALS
        indices, scores = ranked.items[0][filled], ranked.scores[0][filled]
        ids = [self.items.ids[index - N_SPECIALS] for index in indices]
        rows = zip(ids, self.items.titles(indices), scores.tolist(), strict=True)
        return Answer(
            items=[Recommendation(*row, rank=rank) for rank, row in enumerate(rows, start=1)],
            unknown_items=prompt.unknown,
            truncated=self.network.layout.truncated(len(prompt.history)),
            model=self.name,
            took_ms=round(1e3 * (time.perf_counter() - began), 3),
            notes=prompt.notes,
        )


class _Prompt(NamedTuple):
    """A question in the model's own terms.

    Attributes:
        unknown: ids that the model does not know.
        notes: what else a person should know.
    """

    history: Int32[np.ndarray, " history"]
    told: Bag
    unknown: list[str]
    notes: list[str]
