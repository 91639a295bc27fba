"""``Recommender``: a trained model that recommends, generates, scores and ranks by item id."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import asdict, replace
from functools import cached_property, partial
from typing import Any, Unpack, overload

import numpy as np
from jaxtyping import Float32, Int32

from segue.catalogue_search import CatalogueSearch
from segue.dataset import Dataset, Items
from segue.dataset.targets import SplitPart
from segue.errors import RequestError
from segue.features import USER
from segue.ragged import Ragged
from segue.ranking import Ranked, Ranker
from segue.recommender.answers import (
    Answer,
    Answers,
    Explanation,
    Recommendation,
    short_list_notes,
)
from segue.recommender.batch import (
    GENERATE_COLUMNS,
    RECOMMEND_COLUMNS,
    BatchModel,
    BatchOptions,
    BatchSummary,
    Lists,
    Watch,
    run_batch,
)
from segue.recommender.control_options import (
    ControlOptions,
    listed,
    merged,
    read_controls,
    restriction,
)
from segue.recommender.encoder import Encoder
from segue.recommender.ensemble import Ensemble
from segue.recommender.explaining.explanation import explain_answers, rank_candidates
from segue.recommender.generation import generate
from segue.recommender.histories import (
    Histories,
    RunHistories,
    TrainingHistories,
    open_histories,
)
from segue.recommender.ids import Id, histories_of, id_string, id_strings, one_per_history
from segue.recommender.item_attributes import ItemAttributes
from segue.recommender.loading import load_run
from segue.recommender.locks import locked_items
from segue.recommender.members import Window, check_window
from segue.recommender.model_ranker import ModelRanker
from segue.recommender.probabilities import NOT_CALIBRATED, next_item_probabilities
from segue.recommender.requests import Request, RequestReader, query_of
from segue.recommender.sampling import Sampling
from segue.recommender.second_transformer import SecondTransformer
from segue.recommender.session import Session
from segue.recommender.single_members import single_members
from segue.recommender.warm_up import warm_up
from segue.runs import RunFolder
from segue.tokens import INDEX_DTYPE, N_SPECIALS

MOVING = " (moving window)"
"""End of the name of a model with another window than the default."""


class Recommender:
    """A trained model that recommends items and generates sequences by item id.

    Load one with ``Recommender.load``. Its methods may be called from several threads at a time.
    A process that was forked after the model was loaded cannot use it, nor load another one, and
    raises a ``RequestError``: start processes with ``multiprocessing.get_context("spawn")``.
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
        """Create a recommender from an ensemble.

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

    @classmethod
    def load(
        cls,
        run: str | os.PathLike[str],
        *,
        histories: Any = None,
        without_ensemble: bool = False,
        window: Window = "last",
    ) -> Recommender:
        """Load the model of a run.

        Args:
            run: a run, or its folder.
            histories: the histories of known users: a prepared dataset or its folder; a Parquet
                file with the columns ``user`` and ``items`` (the list of a user's item ids); or a
                function from a user id to the user's item ids, or to None. By default those
                that are attached to the run, or else those of the dataset that the model was
                trained on, if it is still in its place.
            without_ensemble: whether to load the transformer alone. Its name in answers and
                results then ends with "(without ensemble)".
            window: which events the transformers read of a longer history; see ``with_window``.

        Raises:
            RunError: the folder is not a complete run, or a file in it was changed or is of
                another run.
            DatasetError: the histories cannot be read.
            RequestError: ``histories`` is none of these, ``window`` is unknown, or this process
                was forked from one that had used JAX.
        """
        check_window(window)
        folder = RunFolder(run)
        loaded = load_run(folder, without_ensemble=without_ensemble)
        model = cls(
            loaded.ensemble,
            loaded.items,
            name=loaded.name,
            dataset=loaded.dataset,
            always_has_sequence_features=loaded.always_has_sequence_features,
            includes_seen=loaded.includes_seen,
            histories=RunHistories.open(folder, loaded.items, loaded.items_checksum, loaded.dataset)
            if histories is None
            else open_histories(histories),
            catalogue_search=CatalogueSearch(
                loaded.items, folder.search_index, loaded.items_checksum
            ),
            temperature=loaded.temperature,
            fingerprint=loaded.fingerprint,
        )
        return model if window == model.window else model.with_window(window)

    def with_window(self, window: Window) -> Recommender:
        """A copy that reads other events of histories longer than the context, in all its methods.

        It shares the weights. What ``recommend``, ``generate``, a session, a batch and an
        evaluation read of a history depends on its length alone, so they agree at every length.

        Args:
            window: ``last``, the default, is the last events of a history, as many as the context
                has positions. ``moving`` stays where it is until it is full, then moves on by a
                quarter of the context. So the transformers read the last 3/4 of a context or
                more, and an event of a session beyond the context costs them about a fifth. A
                context below 8, and a head that reads all positions, have no moving window.

        Raises:
            RequestError: the window is unknown.
        """
        check_window(window)
        model = copy(self)
        model.name = self.name.removesuffix(MOVING) + (MOVING if window == "moving" else "")
        model.window = window
        model.ensemble = self.ensemble.with_window(window)
        vars(model).pop("_members_alone", None)  # they have the window of this model
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

    @overload
    def recommend(
        self,
        items: Iterable[Id] = (),
        k: int = 10,
        *,
        user: Id | None = None,
        sequence_features: Mapping[str, str] | None = None,
        include_seen: bool | None = None,
        probabilities: bool = False,
        controls: Mapping[str, Any] | None = None,
        **shared_controls: Unpack[ControlOptions],
    ) -> Answer: ...

    @overload
    def recommend(
        self,
        items: Iterable[Iterable[Id]] | Sequence[Request],
        k: int = 10,
        *,
        user: Sequence[Id | None] | None = None,
        sequence_features: Sequence[Mapping[str, str] | None] | None = None,
        include_seen: bool | None = None,
        probabilities: bool = False,
        controls: Sequence[Mapping[str, Any] | None] | None = None,
        **shared_controls: Unpack[ControlOptions],
    ) -> Answers: ...

    def recommend(
        self,
        items: Any = (),
        k: int = 10,
        *,
        user: Any = None,
        sequence_features: Any = None,
        include_seen: bool | None = None,
        probabilities: bool = False,
        controls: Any = None,
        **shared_controls: Unpack[ControlOptions],
    ) -> Answer | Answers:
        """Recommend the ``k`` items most likely to come next, for one history or many.

        Args:
            items: a history of item ids, oldest first: strings or integers in a list, a
                generator, an array or a column. Or an iterable of histories, which are computed
                in batches, or a list of requests from ``look_up``. Unknown ids are reported in the
                answer.
            k: number of items.
            user: the id of a user, whose history is put before ``items``: one of the
                ``histories`` given to ``load``, or attached to the run, or a sequence of the
                training dataset. A model with the
                sequence feature ``user`` also accepts unknown users, and ignores their id. With
                many histories, a list with one id or None per history.
            sequence_features: values of the model's sequence features, such as
                ``{"name": "rainy day"}``. With many histories, a list with one mapping or None
                per history.
            include_seen: whether items of the history may be recommended. By default as the audit
                of the training dataset recommends: they may where many events repeat an item.
            probabilities: whether to add the probability of each item to be the next one, among
                all items that were not seen and may be recommended. It takes another pass over
                the catalogue. The temperature of these probabilities is fitted on validation
                events, if the run has an ensemble.
            controls: with many histories, a list with the controls of each (a mapping with the
                names below, or None), which take precedence over those of all.
            **shared_controls: filters, examples, caps and dials of all histories: ``exclude``,
                ``only``, ``where``, ``cap``, ``diversity``, ``popularity``, ``like`` and
                ``unlike``; see the page "Control" of the documentation.

        Returns:
            An answer, or with many histories a list of answers in their order, each with the time
            of the whole call. Both have ``to_arrow()`` and ``to_pandas()``. A list is shorter than
            ``k`` if too few items are left, which a note says.

        Raises:
            DatasetError: a user is given, and the training dataset is not in its place.
            RequestError: ``k`` is below 1 or above the size of the catalogue, ``items`` is not
                an ordered collection of ids, the user is unknown, the model does not have a
                given sequence feature, a control is not possible, or the history is empty and the
                model has no START.
        """
        start_time = time.perf_counter()
        self._check_count("k", k)
        requests, has_many = self._read(items, user, sequence_features, controls, shared_controls)
        includes_seen = self._includes_seen(include_seen)
        query = query_of(requests, k, include_seen=includes_seen)
        ranked = self.ensemble.top(query)
        of_items = None
        if probabilities:
            of_items = next_item_probabilities(self.ensemble, query, ranked, self.temperature)
        return self._answers(ranked, requests, includes_seen, has_many, start_time, of_items)

    @overload
    def generate(
        self,
        items: Iterable[Id] = (),
        length: int = 20,
        *,
        user: Id | None = None,
        sequence_features: Mapping[str, str] | None = None,
        temperature: float = 1.0,
        top_k: int = 50,
        top_p: float = 1.0,
        end_weight: float = 0.0,
        locked: Mapping[int, Id] | None = None,
        include_seen: bool | None = None,
        seed: int = 0,
        controls: Mapping[str, Any] | None = None,
        **shared_controls: Unpack[ControlOptions],
    ) -> Answer: ...

    @overload
    def generate(
        self,
        items: Iterable[Iterable[Id]] | Sequence[Request],
        length: int = 20,
        *,
        user: Sequence[Id | None] | None = None,
        sequence_features: Sequence[Mapping[str, str] | None] | None = None,
        temperature: float = 1.0,
        top_k: int = 50,
        top_p: float = 1.0,
        end_weight: float = 0.0,
        locked: Sequence[Mapping[int, Id] | None] | None = None,
        include_seen: bool | None = None,
        seed: int = 0,
        controls: Sequence[Mapping[str, Any] | None] | None = None,
        **shared_controls: Unpack[ControlOptions],
    ) -> Answers: ...

    def generate(  # noqa: PLR0913 - one parameter per option
        self,
        items: Any = (),
        length: int = 20,
        *,
        user: Any = None,
        sequence_features: Any = None,
        temperature: float = 1.0,
        top_k: int = 50,
        top_p: float = 1.0,
        end_weight: float = 0.0,
        locked: Any = None,
        include_seen: bool | None = None,
        seed: int = 0,
        controls: Any = None,
        **shared_controls: Unpack[ControlOptions],
    ) -> Answer | Answers:
        """Continue a sequence item by item; one sequence or many. No item is generated twice.

        Each item is selected from what comes before it. Of a sequence that outgrows the context,
        the transformers read what they read in ``recommend``; see ``with_window``.

        Args:
            items: the sequence so far, oldest first, as in ``recommend``; or many.
            length: number of items to generate.
            user: as in ``recommend``.
            sequence_features: as in ``recommend``.
            temperature: divides the scores; 0 always takes the best item, 1 samples from the
                model's distribution.
            top_k: number of best items to sample from; all if the catalogue is smaller.
            top_p: of these, the share of the probability to sample from, the best items first; 1
                for all of it.
            end_weight: factor on the probability of END; 0 never ends before ``length``.
            locked: items at given positions of the list, such as ``{3: "item id"}``, counted from
                0; the other positions are filled. A locked item is at its position only, whatever
                is left out, and has no influence on earlier positions. No sequence ends before its
                last locked position. With many sequences, a list with one mapping or None per
                sequence.
            include_seen: whether items of the sequence so far may be generated, each once; by
                default as in ``recommend``.
            seed: the same seed gives the same sequence, alone or among many.
            controls: as in ``recommend``.
            **shared_controls: as in ``recommend``, except ``diversity``.

        Returns:
            An answer with the items in order, or with many sequences a list of answers. If it has
            fewer than ``length`` items, a note says why.

        Raises:
            RequestError: a number is out of range, or as in ``recommend``.
        """
        start_time = time.perf_counter()
        self._check_count("length", length)
        sampling = Sampling(temperature, top_k, top_p, end_weight, seed)
        sampling.check(has_end=self.encoder.layout.end)
        sampling = replace(sampling, top_k=min(top_k, self.ensemble.n_candidates))
        requests, has_many = self._read(items, user, sequence_features, controls, shared_controls)
        locks = one_per_history("locked", locked, len(requests), has_many=has_many)
        locked = locked_items(locks, length, self._requests.find_items)
        includes_seen = self._includes_seen(include_seen)
        query = query_of(requests, sampling.top_k, include_seen=includes_seen)
        generated = generate(self.ensemble, query, length, sampling, locked=locked)
        return self._answers(generated, requests, includes_seen, has_many, start_time)

    def look_up(
        self,
        items: Any = (),
        *,
        user: Id | None = None,
        sequence_features: Mapping[str, str] | None = None,
        controls: Mapping[str, Any] | None = None,
    ) -> Request:
        """Look up the ids, features and controls of one history, and compute nothing.

        A list of such requests can be given to ``recommend``, ``generate`` and ``score`` in place
        of histories, so that a wrong request is noticed before it is computed with others.

        Args:
            items: the history, as in ``recommend``.
            user: as in ``recommend``.
            sequence_features: as in ``recommend``.
            controls: filters, examples, caps and dials by name.

        Raises:
            DatasetError: as in ``recommend``.
            RequestError: as in ``recommend``.
        """
        requests, has_many = self._read(items, user, sequence_features, None, controls)
        if has_many:
            raise RequestError("items is a list of histories, expected one", "look each up")
        return requests[0]

    def session(
        self,
        items: Iterable[Id] = (),
        *,
        user: Id | None = None,
        sequence_features: Mapping[str, str] | None = None,
    ) -> Session:
        """Start a session: a history that grows, one event at a time.

        Args:
            items: the history so far, as in ``recommend``.
            user: as in ``recommend``.
            sequence_features: as in ``recommend``.

        Raises:
            RequestError: as in ``recommend``.
        """
        ids = id_strings(items)
        self._read(ids, user, sequence_features)
        model = copy(self)
        model.ensemble = self.ensemble.caching()
        return Session(model.recommend, ids, user, sequence_features)

    @overload
    def explain(
        self,
        items: Iterable[Id] = (),
        k: int = 10,
        *,
        candidates: Iterable[Id] | None = None,
        user: Id | None = None,
        sequence_features: Mapping[str, str] | None = None,
        include_seen: bool | None = None,
        probabilities: bool = False,
        members: bool = False,
        controls: Mapping[str, Any] | None = None,
        **shared_controls: Unpack[ControlOptions],
    ) -> Explanation: ...

    @overload
    def explain(
        self,
        items: Iterable[Iterable[Id]],
        k: int = 10,
        *,
        candidates: Sequence[Iterable[Id]] | None = None,
        user: Sequence[Id | None] | None = None,
        sequence_features: Sequence[Mapping[str, str] | None] | None = None,
        include_seen: bool | None = None,
        probabilities: bool = False,
        members: bool = False,
        controls: Sequence[Mapping[str, Any] | None] | None = None,
        **shared_controls: Unpack[ControlOptions],
    ) -> list[Explanation]: ...

    def explain(  # noqa: PLR0913 - one parameter per option
        self,
        items: Any = (),
        k: int = 10,
        *,
        candidates: Any = None,
        user: Any = None,
        sequence_features: Any = None,
        include_seen: bool | None = None,
        probabilities: bool = False,
        members: bool = False,
        controls: Any = None,
        **shared_controls: Unpack[ControlOptions],
    ) -> Explanation | list[Explanation]:
        """Recommend, and say how much each event of the history contributes to each item.

        The contribution of an event is the score of the item minus its score for the history
        without the event. All histories without one event are computed in one pass, so the time
        grows with the number of events within the model's context.

        Args:
            items: one history or many, as in ``recommend``.
            k: number of items.
            candidates: the items to explain instead of the ``k`` best, in any order; with many
                histories a list with those of each.
            user: as in ``recommend``.
            sequence_features: as in ``recommend``.
            include_seen: as in ``recommend``.
            probabilities: as in ``recommend``; given candidates have none.
            members: whether to rank each item by each member of the ensemble alone as well. It
                takes a search per item and member.
            controls: as in ``recommend``. They decide which items are listed; what they add to a
                score is no contribution of an event.
            **shared_controls: as in ``recommend``; given candidates are explained whatever
                filters, caps and diversity say.

        Returns:
            An explanation: the answer of ``recommend``, in which each item has ``why``, and all
            contributions. With many histories a list of explanations.

        Raises:
            RequestError: a candidate is not in the catalogue, or as in ``recommend``.
        """
        start_time = time.perf_counter()
        histories, has_many = histories_of(items)
        requests, _ = self._read(
            histories if has_many else histories[0],
            user,
            sequence_features,
            controls,
            shared_controls,
        )
        includes_seen = self._includes_seen(include_seen)
        query = query_of(requests, k, include_seen=includes_seen)
        if candidates is None:
            answers = self.recommend(
                requests, k, include_seen=include_seen, probabilities=probabilities
            )
        else:
            candidates = list(candidates) if has_many else candidates
            lists = one_per_history("candidates", candidates, len(requests), has_many=has_many)
            indices = Ragged.from_rows([self._find_candidates(ids) for ids in lists])
            ranked = rank_candidates(self.ensemble, query, indices)
            lengths = np.diff(indices.offsets).tolist()
            answers = Answers(
                self._answer(Ranked(*(array[:, :n] for array in ranked)), row, request, None, 0.0)
                for row, (request, n) in enumerate(zip(requests, lengths, strict=True))
            )
        alone = self._members_alone if members else None
        explanations = explain_answers(
            self.ensemble, self.items, query, answers, histories, start_time, alone
        )
        return explanations if has_many else explanations[0]

    def _find_candidates(self, candidates: Any) -> Int32[np.ndarray, " candidates"]:
        ids = id_strings(candidates, "candidates")
        indices, unknown = self._requests.find_items(ids)
        if unknown:
            message = f"candidate {unknown[0]!r} is not in the catalogue of {self.name}"
            raise RequestError(message, "give ids of items of the catalogue")
        return indices

    def recommend_file(  # noqa: PLR0913 - one parameter per option
        self,
        source: Any,
        output: str | os.PathLike[str],
        k: int = 10,
        *,
        include_seen: bool | None = None,
        probabilities: bool = False,
        sequence_features: Mapping[str, str] | None = None,
        id_column: str | None = None,
        before: SplitPart | None = None,
        overwrite: bool = False,
        watch: Watch | None = None,
        **shared_controls: Unpack[ControlOptions],
    ) -> BatchSummary:
        """Recommend for all requests of a file or dataset, and write the lists to a file.

        It takes little memory for any number of requests. What was stopped, also by ``kill -9``,
        continues when it is called again, with the same result.

        Args:
            source: a Parquet file (``.parquet``) or JSON lines (``.jsonl``) with a row per
                request: ``items`` (the list of its item ids) and optionally ``id`` and the names
                of the arguments and controls of ``recommend`` for this row. Or a prepared dataset
                or its folder: the sequences with their features.
            output: a file whose suffix chooses the format. ``.parquet`` and ``.csv`` have a row
                per listed item: the id of the request (without ids ``row``, its number from 0),
                ``item_id``, ``title``, those of ``artist``, ``year`` and ``genres`` that the items
                have, ``score`` and ``rank``. ``.jsonl`` has an object per request. Unknown items,
                truncated events and notes of requests are in
                ``OUTPUT.notes.parquet`` beside it, if there are any.
            k: number of items.
            include_seen: as in ``recommend``.
            probabilities: whether to add the probability of each item, as in ``recommend``.
            sequence_features: of all requests; those of a row take precedence.
            id_column: the column with the ids of the rows, ``id`` by default.
            before: of a dataset, use the events before this part (``validation`` or ``test``) of
                the sequences that have events of it; by default all events of all sequences.
            overwrite: whether to replace an existing output.
            watch: called with a ``BatchProgress`` every few hundred requests.
            **shared_controls: of all requests; those of a row take precedence.

        Returns:
            Counts of what was written and of what was unknown or incomplete.

        Raises:
            RequestError: the input or a row is not possible, which is found before anything is
                computed, or the output exists.
            StorageError: the output cannot be written.
        """
        self._check_count("k", k)

        def rank(requests: list[Request], k: int, includes_seen: bool) -> Lists:
            query = query_of(requests, k, include_seen=includes_seen)
            ranked = self.ensemble.top(query)
            if not probabilities:
                return Lists(ranked)
            of_items = next_item_probabilities(self.ensemble, query, ranked, self.temperature)
            return Lists(ranked, of_items)

        shared = {"sequence_features": sequence_features, **shared_controls}
        includes_seen = self._includes_seen(include_seen)
        return run_batch(
            self._batch_model,
            rank,
            BatchOptions(
                "recommend",
                RECOMMEND_COLUMNS,
                k,
                includes_seen,
                shared,
                id_column=id_column,
                before=before,
                probabilities=probabilities,
                notes=(NOT_CALIBRATED,) if probabilities and self.temperature is None else (),
            ),
            source,
            output,
            overwrite=overwrite,
            watch=watch,
        )

    def generate_file(  # noqa: PLR0913 - one parameter per option
        self,
        source: Any,
        output: str | os.PathLike[str],
        length: int = 20,
        *,
        temperature: float = 1.0,
        top_k: int = 50,
        top_p: float = 1.0,
        end_weight: float = 0.0,
        include_seen: bool | None = None,
        seed: int = 0,
        sequence_features: Mapping[str, str] | None = None,
        id_column: str | None = None,
        before: SplitPart | None = None,
        overwrite: bool = False,
        watch: Watch | None = None,
        **shared_controls: Unpack[ControlOptions],
    ) -> BatchSummary:
        """Continue all sequences of a file or dataset, and write the items to a file.

        Args:
            source: as in ``recommend_file``; a row may have the arguments and controls of
                ``generate``, without ``locked``.
            output: as in ``recommend_file``; ``rank`` is the position in the list, from 1.
            length: number of items to generate.
            temperature: as in ``generate``.
            top_k: as in ``generate``.
            top_p: as in ``generate``.
            end_weight: as in ``generate``.
            include_seen: as in ``generate``.
            seed: as in ``generate``: each row gets the items that it gets alone.
            sequence_features: as in ``recommend_file``.
            id_column: as in ``recommend_file``.
            before: as in ``recommend_file``.
            overwrite: as in ``recommend_file``.
            watch: as in ``recommend_file``.
            **shared_controls: as in ``generate``; those of a row take precedence.

        Raises:
            RequestError, StorageError: as in ``recommend_file``, or a number is out of range.
        """
        self._check_count("length", length)
        sampling = Sampling(temperature, top_k, top_p, end_weight, seed)
        sampling.check(has_end=self.encoder.layout.end)
        sampling = replace(sampling, top_k=min(top_k, self.ensemble.n_candidates))

        def rank(requests: list[Request], length: int, includes_seen: bool) -> Lists:
            query = query_of(requests, sampling.top_k, include_seen=includes_seen)
            return Lists(generate(self.ensemble, query, length, sampling))

        shared = {"sequence_features": sequence_features, **shared_controls}
        includes_seen = self._includes_seen(include_seen)
        return run_batch(
            self._batch_model,
            rank,
            BatchOptions(
                "generate",
                GENERATE_COLUMNS,
                length,
                includes_seen,
                shared,
                further=asdict(sampling),
                id_column=id_column,
                before=before,
            ),
            source,
            output,
            overwrite=overwrite,
            watch=watch,
        )

    @property
    def _batch_model(self) -> BatchModel:
        return BatchModel(
            self._requests,
            self.items,
            self.ensemble.catalogue,
            self.encoder.layout.n_truncated,
            partial(self._check_count, "k"),
            self.name,
            self.fingerprint,
            self.window,
        )

    def encode(
        self, items: Any = (), *, user: Any = None, sequence_features: Any = None
    ) -> Float32[np.ndarray, "..."]:
        """The state that predicts the next item; its products with ``item_vectors`` are scores.

        The states of the ensemble's dense members are concatenated. Scores of sparse members are
        not part of the products.

        Args:
            items: one history or many, as in ``recommend``.
            user: as in ``recommend``.
            sequence_features: as in ``recommend``.

        Returns:
            An array of the shape (dim,), or (histories, dim) for many histories.

        Raises:
            RequestError: as in ``recommend``.
        """
        requests, has_many = self._read(items, user, sequence_features)
        states = self.ensemble.states(query_of(requests, 1, include_seen=self.includes_seen))
        return states if has_many else states[0]

    def item_vectors(self) -> Float32[np.ndarray, "items dim"]:
        """The vectors of the catalogue, in float32, in the order of ``item_ids``.

        The vectors of the ensemble's dense members are concatenated, without their weights.
        """
        return self.ensemble.item_vectors()[N_SPECIALS:]

    @property
    def item_ids(self) -> list[str]:
        """The ids of the catalogue, in the order of ``item_vectors``."""
        return self.items.ids[: self.ensemble.vocabulary_size - N_SPECIALS]

    def similar_items(
        self,
        item: Any,
        k: int = 10,
        *,
        exclude: Iterable[Id] = (),
        only: Iterable[Id] | None = None,
        where: str | Iterable[str] = (),
    ) -> Answer:
        """The ``k`` items most similar to one, by the cosine of their vectors.

        The first call computes the vectors scaled to length 1, as large as ``item_vectors``.

        Args:
            item: an item id of the catalogue, a string or an integer.
            k: number of items.
            exclude: item ids that are not listed.
            only: the only item ids that may be listed.
            where: conditions on attributes that all listed items satisfy, as in ``recommend``.

        Raises:
            RequestError: the item is unknown, ``k`` is out of range, or a filter is not possible.
        """
        start_time = time.perf_counter()
        self._check_count("k", k)
        n_others = self.ensemble.n_candidates - 1
        if k > n_others:
            message = f"k is {k}, more than the {n_others} other items of the catalogue"
            raise RequestError(message, "ask for fewer")
        indices, unknown = self._requests.find_items([id_string(item, "item")])
        if unknown:
            message = f"item {unknown[0]!r} is not in the catalogue of {self.name}"
            raise RequestError(message, "give the id of an item of the catalogue")
        filters = read_controls(
            {"exclude": exclude, "only": only, "where": where},
            self._requests.attributes,
            self._requests.find_items,
        )
        ranked = self.ensemble.similar_items(
            indices,
            k,
            excluded=Ragged.from_rows([filters.excluded]),
            controls=[filters.controls],
        )
        request = Request(indices[:0], {}, [], filters.notes, filters)
        took_ms = round(1e3 * (time.perf_counter() - start_time), 3)
        return self._answer(ranked, 0, request, None, took_ms)

    def search(
        self, text: str, limit: int = 10, *, column: str | None = None
    ) -> list[dict[str, Any]]:
        """Find items by the words of their titles, artists and other attributes, as you type.

        Case and accents do not matter. An item matches if it has every word of the text; more
        letters of the last word may follow. One edit is forgiven in a word of five letters or
        more: a missing, extra or wrong letter, or two neighbours exchanged. Matches come in this
        order: the text is the id or the title; all words occur; the last word is the beginning of
        one; the text is the beginning of the id; with edits. Equal ones come by training count.

        Of Chinese, Japanese, Thai and other scripts without spaces, each pair of neighbouring
        characters is a word. The first 1,000 characters and 32 words of the text count. Text
        without letters, digits or symbols matches nothing.

        The index is a file of the run. Where it is missing, the first call builds it, which takes
        about half a minute of one core per million items, in a temporary file if the run cannot
        be written.

        Args:
            text: what was typed; any text is allowed.
            limit: largest number of items.
            column: the attribute to search, or ``item_id``; by default all.

        Returns:
            The items, best first: ``index``, ``item_id``, the attributes that the item has, and
            ``training_count``.

        Raises:
            RequestError: ``limit`` is below 1, the column cannot be searched, or the SQLite of
                this Python has no full-text search.
        """
        indices = self._catalogue_search.search(text, limit, column)
        return [self.items.describe(index) for index in indices.tolist()]

    def score(
        self,
        items: Any,
        candidates: Iterable[Any],
        *,
        user: Any = None,
        sequence_features: Any = None,
    ) -> Float32[np.ndarray, " candidates"] | list[Float32[np.ndarray, " candidates"]]:
        """The score of each candidate as the next item, whether it was seen or not.

        Args:
            items: one history or many, as in ``recommend``.
            candidates: item ids; with many histories a list with the candidates of each.
            user: as in ``recommend``.
            sequence_features: as in ``recommend``.

        Returns:
            One score per candidate, in order, and NaN for a candidate outside the catalogue; with
            many histories a list of arrays.

        Raises:
            RequestError: as in ``recommend``.
        """
        requests, has_many = self._read(items, user, sequence_features)
        lists = one_per_history(
            "candidates",
            list(candidates) if has_many else candidates,
            len(requests),
            has_many=has_many,
        )
        indices = Ragged.from_rows(
            [self._requests.find_items(id_strings(ids, "candidates"))[0] for ids in lists]
        )
        is_item = (indices.values >= N_SPECIALS) & (indices.values < self.ensemble.vocabulary_size)
        values = np.where(is_item, indices.values, INDEX_DTYPE(N_SPECIALS))
        query = query_of(requests, 1, include_seen=self.includes_seen)
        scores = self.ensemble.scores(query, Ragged(indices.offsets, values))
        scores[~is_item] = np.nan
        rows = np.split(scores, indices.offsets[1:-1])
        return rows if has_many else rows[0]

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
        if not isinstance(value, int | np.integer) or isinstance(value, bool):
            raise RequestError(f"{name} is {value!r}, expected an integer", "10 is usual")
        if value < 1:
            raise RequestError(f"{name} is {value}, expected 1 or more", "ask for more")
        if value > self.ensemble.n_candidates:
            message = (
                f"{name} is {value}, more than the catalogue of {self.ensemble.n_candidates} items"
            )
            raise RequestError(message, "ask for fewer")

    def _includes_seen(self, include_seen: bool | None) -> bool:
        if not isinstance(include_seen, bool | np.bool_ | None):
            message = f"include_seen is {include_seen!r}, expected True, False or None"
            raise RequestError(message, "None leaves it to the run")
        return self.includes_seen if include_seen is None else bool(include_seen)

    def _read(
        self,
        items: Any,
        user: Any,
        sequence_features: Any,
        controls: Any = None,
        shared_controls: Mapping[str, Any] | None = None,
    ) -> tuple[list[Request], bool]:
        """Look up one history or many, and say whether many were given."""
        if isinstance(items, list) and items and isinstance(items[0], Request):
            return items, True
        histories, has_many = histories_of(items)
        users = one_per_history("user", user, len(histories), has_many=has_many)
        features = one_per_history(
            "sequence_features", sequence_features, len(histories), has_many=has_many
        )
        for values in features:
            if not isinstance(values, Mapping | None):
                message = f"sequence_features is {values!r}, expected a mapping of names to values"
                raise RequestError(message, 'give {"name": "rainy day"}, for example')
        shared = listed(shared_controls or {})
        read = self._requests.read_controls(shared)
        all_controls = [
            read if own is None else self._requests.read_controls(merged(shared, own))
            for own in one_per_history("controls", controls, len(histories), has_many=has_many)
        ]
        requests = [
            self._requests.read(
                history,
                None if user_id is None else id_string(user_id, "user"),
                values or {},
                its_controls,
            )
            for history, user_id, values, its_controls in zip(
                histories, users, features, all_controls, strict=True
            )
        ]
        return requests, has_many

    def _answers(
        self,
        ranked: Ranked,
        requests: list[Request],
        includes_seen: bool,
        has_many: bool,
        start_time: float,
        probabilities: Float32[np.ndarray, "batch k"] | None = None,
    ) -> Answer | Answers:
        took_ms = round(1e3 * (time.perf_counter() - start_time), 3)
        titles = self.items.titles(ranked.items.ravel())  # of all rows in one call
        k = ranked.items.shape[1]
        answers = [
            self._answer(
                ranked,
                row,
                request,
                includes_seen,
                took_ms,
                None if probabilities is None else probabilities[row],
                titles[row * k : (row + 1) * k],
            )
            for row, request in enumerate(requests)
        ]
        return Answers(answers) if has_many else answers[0]

    def _answer(
        self,
        ranked: Ranked,
        row: int,
        request: Request,
        includes_seen: bool | None,
        took_ms: float,
        probabilities: Float32[np.ndarray, " k"] | None = None,
        titles: list[str] | None = None,
    ) -> Answer:
        """Convert one row of item indices to an answer with ids and titles.

        Args:
            includes_seen: whether items of the history were candidates; None without a history.
            probabilities: those of the items of the row, if requested.
            titles: those of the items of the row, if known.
        """
        items, titles = ranked.items[row], titles or self.items.titles(ranked.items[row])
        of_items = [None] * len(items) if probabilities is None else probabilities.tolist()
        ids, item_ids = self.items.ids, items.tolist()
        columns = zip(item_ids, titles, ranked.scores[row].tolist(), of_items, strict=True)
        listed = [values for values in columns if values[0] >= N_SPECIALS]
        notes = request.notes + short_list_notes(
            items,
            includes_seen,
            lambda: restriction(request.controls, self.ensemble.catalogue),
        )
        if probabilities is not None and self.temperature is None:
            notes.append(NOT_CALIBRATED)
        return Answer(
            items=[
                Recommendation(ids[index - N_SPECIALS], title, score, rank, probability)
                for rank, (index, title, score, probability) in enumerate(listed, start=1)
            ],
            unknown_items=request.unknown_items,
            truncated=self.encoder.layout.n_truncated(len(request.history)),
            model=self.name,
            took_ms=took_ms,
            notes=notes,
            seen=None if includes_seen is None else "include" if includes_seen else "exclude",
        )


def _needs_user(ensemble: Ensemble) -> bool:
    """Whether a single member has no scores without a known user."""
    return any(
        isinstance(member, SecondTransformer) and member.needs_user for member in ensemble.dense
    )
