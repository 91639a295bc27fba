"""``FileMethods``: the lists of a model for all rows of a file or dataset."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from typing import Any, Unpack

from segue.dataset.targets import SplitPart
from segue.recommender.batch.row_options import GENERATE_COLUMNS, RECOMMEND_COLUMNS
from segue.recommender.batch.run_batch import BatchModel, BatchOptions, run_batch
from segue.recommender.batch.summary import BatchSummary, Watch
from segue.recommender.control_options import ControlOptions
from segue.recommender.generation import generate
from segue.recommender.lists import Lists, best_items
from segue.recommender.loaded_model import LoadedModel
from segue.recommender.probabilities import NOT_CALIBRATED
from segue.recommender.requests import Request, query_of
from segue.recommender.sampling import Sampling


class FileMethods(LoadedModel):
    """The methods of ``Recommender`` for files: ``recommend_file`` and ``generate_file``."""

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
            return best_items(
                self.ensemble,
                requests,
                k,
                include_seen=includes_seen,
                probabilities=probabilities,
                temperature=self.temperature,
            )

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
        sampling = self._checked(Sampling(temperature, top_k, top_p, end_weight, seed))

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
