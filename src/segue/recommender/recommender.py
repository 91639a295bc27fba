"""``Recommender``: a trained model that recommends, generates and ranks by item id."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, overload

import numpy as np
from flax import nnx
from jaxtyping import Float32

from segue.dataset import Dataset, Items
from segue.dataset.dataset import read_items
from segue.errors import DatasetError, RequestError
from segue.features import USER, FeatureIds, Features, SequenceVocabulary
from segue.machine import use_compilation_cache
from segue.model import Transformer
from segue.ragged import Ragged
from segue.ranking import Ranked, Ranker
from segue.recommender.answers import Answer, Recommendation
from segue.recommender.encoder import Encoder, prompt_layout
from segue.recommender.ensemble import PureSVD
from segue.recommender.generation import Sampling, generate_sequences
from segue.recommender.ids import Id, histories_of, id_string, id_strings, one_per_history
from segue.recommender.model_ranker import ModelRanker
from segue.recommender.request_encoding import (
    EncodedRequest,
    encode_items,
    encode_sequence_features,
)
from segue.runs import RunFolder
from segue.runs.weights import load_weights
from segue.tokens import INDEX_DTYPE, N_SPECIALS


class Recommender:
    """A trained model that recommends items and generates sequences by item id.

    Load one with ``Recommender.load``.
    """

    def __init__(
        self,
        encoder: Encoder,
        items: Items,
        *,
        name: str,
        dataset: dict[str, Any],
        always_has_sequence_features: bool = False,
    ) -> None:
        """Create a recommender from an encoder.

        Args:
            encoder: the model with its layout, features and ensemble.
            items: the items of the training dataset; the model's catalogue comes first.
            name: name in answers and results.
            dataset: ``fingerprint`` and ``path`` of the training dataset.
            always_has_sequence_features: whether training never dropped the sequence features.
        """
        self.encoder = encoder
        self.items = items
        self.name = name
        self._dataset = dataset
        self._always_has_sequence_features = always_has_sequence_features

    @classmethod
    def load(cls, run: str | os.PathLike[str]) -> Recommender:
        """Load the model of a run.

        Args:
            run: a run, or its folder.

        Raises:
            RunError: the folder is not a complete run, or a file in it was changed.
        """
        use_compilation_cache()
        folder = RunFolder(run)
        folder.verify()
        config, dataset = folder.read_config()
        items, vocabulary_size = read_items(folder.path), dataset["vocabulary_size"]
        vocabulary = SequenceVocabulary(folder.read_sequence_values())
        features = Features.of(items, vocabulary_size, config.model, vocabulary)
        abstract = nnx.eval_shape(
            lambda: Transformer(config.model, vocabulary_size, features.sizes, rngs=nnx.Rngs(0))
        )
        graph, shapes = nnx.split(abstract)
        params = load_weights(folder.weights, shapes)
        puresvd = None
        if config.ensemble.puresvd_factors:
            shape = (vocabulary_size, config.ensemble.puresvd_factors)
            puresvd = PureSVD.load(folder.item_vectors, shape, config.ensemble.puresvd_weight)
        encoder = Encoder(
            graph, params, prompt_layout(config.model, vocabulary_size), features, puresvd
        )
        return cls(
            encoder,
            items,
            name=folder.path.name,
            dataset=dataset,
            always_has_sequence_features=not config.training.feature_dropout,
        )

    @cached_property
    def dataset(self) -> Dataset:
        """The training dataset, opened on first use, for the histories of its users.

        Raises:
            DatasetError: the dataset is not at its path any more, or it has changed.
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

    @overload
    def recommend(
        self,
        items: Iterable[Id] = (),
        k: int = 10,
        *,
        user: Id | None = None,
        sequence_features: Mapping[str, str] | None = None,
        include_seen: bool = False,
    ) -> Answer: ...

    @overload
    def recommend(
        self,
        items: Iterable[Iterable[Id]],
        k: int = 10,
        *,
        user: Sequence[Id | None] | None = None,
        sequence_features: Sequence[Mapping[str, str] | None] | None = None,
        include_seen: bool = False,
    ) -> list[Answer]: ...

    def recommend(
        self,
        items: Any = (),
        k: int = 10,
        *,
        user: Any = None,
        sequence_features: Any = None,
        include_seen: bool = False,
    ) -> Answer | list[Answer]:
        """Recommend the ``k`` items most likely to come next, for one history or many.

        Args:
            items: a history of item ids, oldest first: strings or integers in a list, a
                generator, an array or a column. Or an iterable of histories, which are computed
                in batches. Unknown ids are reported in the answer.
            k: number of items.
            user: the id of a sequence of the training dataset; its history is put before
                ``items``. A model with the sequence feature ``user`` also accepts unknown
                users, and ignores their id. With many histories, a list with one id or None per
                history.
            sequence_features: values of the model's sequence features, such as
                ``{"name": "rainy day"}``. With many histories, a list with one mapping or None
                per history.
            include_seen: whether items of the history may be recommended.

        Returns:
            An answer, or with many histories a list of answers in their order, each with the time
            of the whole call.

        Raises:
            RequestError: ``k`` is below 1 or above the size of the catalogue, ``items`` is not
                an ordered collection of ids, the user is unknown, the model does not have a
                given sequence feature, or the history is empty and the model has no START.
        """
        start_time = time.perf_counter()
        self._check_count("k", k)
        histories, has_many = histories_of(items)
        users = one_per_history("user", user, len(histories), has_many=has_many)
        features = one_per_history(
            "sequence_features", sequence_features, len(histories), has_many=has_many
        )
        requests = [
            self._encode(history, user_id, values)
            for history, user_id, values in zip(histories, users, features, strict=True)
        ]
        seen = Ragged.from_rows([request.history for request in requests])
        nothing: list[list[int]] = [[] for _ in requests]
        excluded = Ragged.from_rows(nothing) if include_seen else seen
        feature_ids = FeatureIds(
            np.concatenate([request.feature_ids.ids for request in requests]),
            np.concatenate([request.feature_ids.weights for request in requests]),
        )
        best, _ = self.encoder.next_items(seen, feature_ids, excluded, k)
        answers = [
            self._answer(best, row, request, start_time) for row, request in enumerate(requests)
        ]
        return answers if has_many else answers[0]

    def generate(
        self,
        items: Iterable[Id] = (),
        length: int = 20,
        *,
        user: Id | None = None,
        sequence_features: Mapping[str, str] | None = None,
        temperature: float = 1.0,
        top_k: int = 50,
        end_weight: float = 0.0,
        seed: int = 0,
    ) -> Answer:
        """Continue a sequence item by item, without repeats.

        Args:
            items: the sequence so far, oldest first, as in ``recommend``.
            length: number of items to generate.
            user: as in ``recommend``.
            sequence_features: as in ``recommend``.
            temperature: divides the scores; 0 always takes the best item, 1 samples from the
                model's distribution.
            top_k: number of best items to sample from; all if the catalogue is smaller.
            end_weight: factor on the probability of END; 0 never ends before ``length``.
            seed: the same seed gives the same sequence.

        Raises:
            RequestError: a number is out of range, or as in ``recommend``.
        """
        start_time = time.perf_counter()
        self._check_count("length", length)
        sampling = Sampling(temperature, top_k, end_weight, seed)
        sampling.check(has_end=self.encoder.layout.end)
        sampling = replace(sampling, top_k=min(top_k, self._n_catalogue))
        request = self._encode(id_strings(items), user, sequence_features)

        def next_items(histories: Ragged, k: int) -> tuple[Ranked, Float32[np.ndarray, " batch"]]:
            return self.encoder.next_items(histories, request.feature_ids, histories, k)

        histories = Ragged.from_rows([request.history])
        generated = generate_sequences(next_items, histories, length, sampling)
        return self._answer(generated, 0, request, start_time)

    def ranker(self, data: Dataset, *, use_sequence_features: bool = True) -> Ranker:
        """The model as a ``Ranker`` for evaluation on a dataset, joined by item id.

        Args:
            data: the dataset to rank on.
            use_sequence_features: whether to give the model the sequence features of the
                dataset.
        """
        return ModelRanker(
            self.encoder,
            self.items,
            data,
            name=self.name,
            fingerprint=self._dataset["fingerprint"],
            use_sequence_features=use_sequence_features,
        )

    @property
    def _n_catalogue(self) -> int:
        """Number of items in the catalogue."""
        return self.encoder.layout.vocabulary_size - N_SPECIALS

    def _check_count(self, name: str, value: int) -> None:
        if value < 1:
            raise RequestError(f"{name} is {value}, expected 1 or more", "ask for more")
        if value > self._n_catalogue:
            message = f"{name} is {value}, more than the catalogue of {self._n_catalogue} items"
            raise RequestError(message, "ask for fewer")

    def _encode(
        self, items: list[str], user: Id | None, sequence_features: Mapping[str, str] | None
    ) -> EncodedRequest:
        """Encode a request as model input."""
        user_id = None if user is None else id_string(user, "user")
        requested, unknown = encode_items(items, self.items, self.encoder.layout.vocabulary_size)
        row, notes = self._find_user(user_id)
        stored = np.zeros(0, INDEX_DTYPE) if row is None else self.dataset.sequences.row(row)
        history = np.concatenate([stored, requested]).astype(INDEX_DTYPE)
        if not len(history) and not self.encoder.layout.start:
            raise RequestError(
                "the history is empty, and this model has no START to predict from",
                "give at least one item",
            )
        feature_ids, feature_notes = encode_sequence_features(
            self.encoder.vocabulary,
            sequence_features or {},
            self._stored_features(user_id, row),
            model_name=self.name,
            always_in_training=self._always_has_sequence_features,
        )
        return EncodedRequest(history, feature_ids, unknown, notes + feature_notes)

    def _find_user(self, user: str | None) -> tuple[int | None, list[str]]:
        """The row of a user in the training dataset, or None; and a note if the id is unknown."""
        if user is None:
            return None, []
        row = self.dataset.sequences.find(user)
        if row is None and USER not in self.encoder.vocabulary.values:
            raise RequestError(
                f"user {user!r} is not in the dataset {self.dataset.name}",
                "give the history itself instead; no user row is needed",
            )
        vocabulary = self.encoder.vocabulary
        is_unknown = USER in vocabulary.values and vocabulary.is_unknown(USER, user)
        note = f"user {user} was not in the training data: the user id was ignored"
        return row, [note] if is_unknown else []

    def _stored_features(self, user: str | None, row: int | None) -> dict[str, str | None]:
        """The sequence features of a user: attributes from the dataset, and the id."""
        features: dict[str, str | None] = {}
        if row is not None:
            features |= self.dataset.sequences.attributes.slice(row, 1).to_pylist()[0]
        if user is not None:
            features[USER] = user  # replaces an attribute of this name
        return features

    def _answer(
        self, ranked: Ranked, row: int, request: EncodedRequest, start_time: float
    ) -> Answer:
        """Convert one row of item indices to an answer with ids and titles."""
        is_item = ranked.items[row] >= N_SPECIALS
        indices, scores = ranked.items[row][is_item], ranked.scores[row][is_item]
        ids = [self.items.ids[index - N_SPECIALS] for index in indices]
        rows = zip(ids, self.items.titles(indices), scores.tolist(), strict=True)
        return Answer(
            items=[Recommendation(*row, rank=rank) for rank, row in enumerate(rows, start=1)],
            unknown_items=request.unknown_items,
            truncated=self.encoder.layout.n_truncated(len(request.history)),
            model=self.name,
            took_ms=round(1e3 * (time.perf_counter() - start_time), 3),
            notes=request.notes,
        )
