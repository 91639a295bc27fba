"""``Recommender``: a trained model that recommends, generates, scores and ranks by item id."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Unpack, overload

import numpy as np
from jaxtyping import Float32, Int32

from segue.catalogue_search import CatalogueSearch
from segue.errors import RequestError
from segue.ragged import Ragged
from segue.ranking import Query, Ranked
from segue.recommender.answers import Answer, Answers, Explanation
from segue.recommender.batch.file_methods import FileMethods
from segue.recommender.catalogue_methods import CatalogueMethods
from segue.recommender.control_options import ControlOptions
from segue.recommender.explaining.explanation import explain_answers, rank_candidates
from segue.recommender.generation import generate
from segue.recommender.histories import RunHistories, open_histories
from segue.recommender.ids import Id, histories_of, id_strings, one_per_history
from segue.recommender.lists import best_items
from segue.recommender.loading import load_run
from segue.recommender.locks import locked_items
from segue.recommender.members import Window, check_window
from segue.recommender.requests import Request, query_of
from segue.recommender.sampling import Sampling
from segue.recommender.session import Session
from segue.recommender.timing import ms_since
from segue.runs import RunFolder
from segue.tokens import INDEX_DTYPE, N_SPECIALS

MOVING = " (moving window)"
"""End of the name of a model with another window than the default."""


class Recommender(CatalogueMethods, FileMethods):
    """A trained model that recommends items and generates sequences by item id.

    Load one with ``Recommender.load``. Its methods may be called from several threads at a time.
    A process that was forked after the model was loaded cannot use it, nor load another one, and
    raises a ``RequestError``: start processes with ``multiprocessing.get_context("spawn")``.
    """

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
        model = self._with_ensemble(self.ensemble.with_window(window))
        model.name = self.name.removesuffix(MOVING) + (MOVING if window == "moving" else "")
        model.window = window
        return model

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
        requests, has_many = self._requests.read_all(
            items, user, sequence_features, controls, shared_controls
        )
        answers = self._recommend(requests, k, include_seen, probabilities, start_time)
        return answers if has_many else answers[0]

    def _recommend(
        self,
        requests: Sequence[Request],
        k: int,
        include_seen: bool | None,
        probabilities: bool,
        start_time: float,
    ) -> Answers:
        """The answers to requests that were looked up."""
        includes_seen = self._includes_seen(include_seen)
        lists = best_items(
            self.ensemble,
            requests,
            k,
            include_seen=includes_seen,
            probabilities=probabilities,
            temperature=self.temperature,
        )
        took_ms = ms_since(start_time)
        return self._answers.answers(
            lists.ranked, requests, includes_seen, took_ms, lists.probabilities
        )

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
        sampling = self._checked(Sampling(temperature, top_k, top_p, end_weight, seed))
        requests, has_many = self._requests.read_all(
            items, user, sequence_features, controls, shared_controls
        )
        locks = one_per_history("locked", locked, len(requests), has_many=has_many)
        locked = locked_items(locks, length, self._requests.find_items)
        includes_seen = self._includes_seen(include_seen)
        query = query_of(requests, sampling.top_k, include_seen=includes_seen)
        generated = generate(self.ensemble, query, length, sampling, locked=locked)
        took_ms = ms_since(start_time)
        answers = self._answers.answers(generated, requests, includes_seen, took_ms)
        return answers if has_many else answers[0]

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
        requests, has_many = self._requests.read_all(items, user, sequence_features, None, controls)
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
        self._requests.read_all(ids, user, sequence_features)
        model = self._with_ensemble(self.ensemble.caching())
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
        self._check_count("k", k)
        histories, has_many = histories_of(items)
        if not histories:
            return []
        requests, _ = self._requests.read_all(
            histories if has_many else histories[0],
            user,
            sequence_features,
            controls,
            shared_controls,
        )
        query = query_of(requests, k, include_seen=self._includes_seen(include_seen))
        if candidates is None:
            answers = self._recommend(requests, k, include_seen, probabilities, start_time)
        else:
            candidates = list(candidates) if has_many else candidates
            lists = one_per_history("candidates", candidates, len(requests), has_many=has_many)
            answers = self._rank_candidates(query, requests, lists)
        alone = self._members_alone if members else None
        explanations = explain_answers(
            self.ensemble, self.items, query, answers, histories, start_time, alone
        )
        return explanations if has_many else explanations[0]

    def _rank_candidates(
        self, query: Query, requests: Sequence[Request], candidates: Sequence[Any]
    ) -> Answers:
        """The given candidates of each request, best first."""
        indices = Ragged.from_rows([self._find_candidates(ids) for ids in candidates])
        ranked = rank_candidates(self.ensemble, query, indices)
        answers = Answers()
        for row, n in enumerate(np.diff(indices.offsets).tolist()):
            of_row = Ranked(*(array[row : row + 1, :n] for array in ranked))
            answers += self._answers.answers(of_row, [requests[row]], None, 0.0)
        return answers

    def _find_candidates(self, candidates: Any) -> Int32[np.ndarray, " candidates"]:
        ids = id_strings(candidates, "candidates")
        indices, unknown = self._requests.find_items(ids)
        if unknown:
            message = f"candidate {unknown[0]!r} is not in the catalogue of {self.name}"
            raise RequestError(message, "give ids of items of the catalogue")
        return indices

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
        requests, has_many = self._requests.read_all(items, user, sequence_features)
        states = self.ensemble.states(query_of(requests, 1, include_seen=self.includes_seen))
        return states if has_many else states[0]

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
        requests, has_many = self._requests.read_all(items, user, sequence_features)
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
        rows = [scores[start:end] for start, end in pairwise(indices.offsets)]
        return rows if has_many else rows[0]
