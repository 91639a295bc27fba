"""``run_batch``: the answers of a model to all rows of an input, in a file."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from segue.dataset import Items
from segue.dataset.targets import SplitPart
from segue.errors import RequestError
from segue.recommender.batch.answering import Answerer, RankRequests
from segue.recommender.batch.job import BatchJob
from segue.recommender.batch.open_input import open_input
from segue.recommender.batch.row_options import OptionsReader, plain_options
from segue.recommender.batch.summary import BatchSummary, Watch
from segue.recommender.request_reader import RequestReader
from segue.storage.paths import checked_path


class BatchModel(NamedTuple):
    """What a batch needs of a model besides the function that computes lists.

    Attributes:
        reader: looks up ids and users.
        items: the items of the model.
        catalogue: the mask of the items that are never recommended, as in ``masks``.
        n_truncated: the number of events of a history, by its length, that do not fit in the
            context.
        check_k: raises a ``RequestError`` for an impossible number of items.
        name: of the run.
        fingerprint: of its files.
        window: which events its transformers read of a longer history.
    """

    reader: RequestReader
    items: Items
    catalogue: UInt8[np.ndarray, " bytes"]
    n_truncated: Callable[[int], int]
    check_k: Callable[[Any], object]
    name: str
    fingerprint: str
    window: str


@dataclass(frozen=True)
class BatchOptions:
    """How the rows of a batch are answered.

    Attributes:
        verb: ``recommend`` or ``generate``.
        columns: the options that a row may have for itself.
        k: number of items.
        includes_seen: whether items of the history may be listed.
        shared: sequence features and controls of all rows.
        further: whatever else the lists depend on, in JSON values.
        id_column: see ``open_input``; so ``before``.
        probabilities: whether the lists have probabilities.
        notes: caveats of the whole batch.
    """

    verb: str
    columns: tuple[str, ...]
    k: int
    includes_seen: bool
    shared: Mapping[str, Any]
    further: Mapping[str, Any] = field(default_factory=dict)
    id_column: str | None = None
    before: SplitPart | None = None
    probabilities: bool = False
    notes: tuple[str, ...] = ()


def run_batch(
    model: BatchModel,
    rank: RankRequests,
    options: BatchOptions,
    source: Any,
    output: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    watch: Watch | None = None,
) -> BatchSummary:
    """Answer all rows of an input, or continue what was interrupted.

    Args:
        model: the model.
        rank: computes the lists.
        options: of all rows.
        source: see ``open_input``.
        output: the file to write.
        overwrite: see ``BatchJob.run``; so ``watch``.

    Raises:
        RequestError, DatasetError, StorageError: as in ``open_input`` and ``BatchJob.run``.
    """
    rows = open_input(source, options.columns, id_column=options.id_column, before=options.before)
    shared = plain_options(options.shared)
    reader = OptionsReader(model.reader, shared, options.k, options.includes_seen, model.check_k)
    answerer = Answerer(
        rows, model.reader, reader, rank, model.items, model.n_truncated, model.catalogue
    )
    header = {
        "verb": options.verb,
        "model": model.name,
        "run": model.fingerprint,
        "window": model.window,
        "k": options.k,
        "includes_seen": options.includes_seen,
        "options": shared,
        "probabilities": options.probabilities,
        "further": options.further,
        "histories": model.reader.histories.fingerprint if rows.has_users else None,
    }
    job = BatchJob(
        answerer,
        checked_path(output, RequestError),
        header,
        k=options.k,
        model=model.name,
        has_probabilities=options.probabilities,
        notes=options.notes,
    )
    return job.run(overwrite=overwrite, watch=watch)
