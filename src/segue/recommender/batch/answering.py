"""From a part of a batch to its answers: ids are looked up together, lists computed in blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pyarrow as pa
from jaxtyping import Int64, UInt8

from segue.dataset import Items
from segue.errors import RequestError
from segue.features import USER
from segue.ragged import Ragged, offsets_of
from segue.recommender import shapes
from segue.recommender.answers import short_list_notes
from segue.recommender.batch.part_files import part_schema
from segue.recommender.batch.row_options import OptionsReader, RowOptions
from segue.recommender.batch.rows import BatchInput, RowBlock, offsets_of_lists
from segue.recommender.control_options import restriction
from segue.recommender.lists import Lists
from segue.recommender.request_reader import RequestReader
from segue.recommender.requests import Request, UnanswerableError
from segue.tokens import INDEX_DTYPE, N_SPECIALS

RankRequests = Callable[[list[Request], int, bool], Lists]
"""The lists of some requests, for a number of items and whether those of the history may be
listed."""


@dataclass(frozen=True)
class Answerer:
    """Computes the answers to the rows of an input.

    Attributes:
        rows: the input.
        reader: looks up ids and users.
        options: reads the options of rows.
        rank: computes lists.
        items: the items of the model.
        n_truncated: the number of events of a history, by its length, that do not fit in the
            context.
        catalogue: the mask of the items that are never recommended, as in ``masks``.
    """

    rows: BatchInput
    reader: RequestReader
    options: OptionsReader
    rank: RankRequests
    items: Items
    n_truncated: Callable[[int], int]
    catalogue: UInt8[np.ndarray, " bytes"]

    def check(self, block: RowBlock) -> None:
        """Check the rows of a block, without computing anything.

        Raises:
            RequestError: a row is not possible; the message has its number.
        """
        self.rows.distinct_ids(block)
        for row in range(len(block)):
            self._options(block, row)

    def answer(self, block: RowBlock, watch: Callable[[int], object]) -> pa.Table:
        """The answers to a block, as a table of ``part_schema``.

        Rows of similar length are computed together, because they are padded to the longest.

        Args:
            watch: called with the number of rows that were computed, every few hundred rows.
        """
        looked_up = self._look_up(block)
        answers = _Answers(len(block))
        for rows, k, includes_seen in self._groups(block, looked_up):
            requests = {}
            for row in rows.tolist():
                try:
                    requests[row] = self._request(block, looked_up, row)
                except UnanswerableError as error:
                    answers.notes[row] = [f"no list: {error.message}"]
            if requests:
                lists = self.rank(list(requests.values()), k, includes_seen)
                answers.add(np.array(list(requests)), lists)
                of_rows = zip(requests.items(), lists.ranked.items, strict=True)
                for (row, request), listed in of_rows:
                    answers.notes[row] = self._notes(request, listed, includes_seen)
                    answers.truncated[row] = self.n_truncated(len(request.history))
            watch(len(rows))
        return answers.table(block, self.rows.id_field, looked_up)

    def _look_up(self, block: RowBlock) -> _LookedUp:
        ids, codes = self.rows.distinct_ids(block)
        indices, _ = self.reader.find_items(ids)
        is_outside = self.reader.are_outside(indices)
        offsets = offsets_of_lists(block.items)
        unknown: dict[int, list[str]] = {}
        events = np.flatnonzero(is_outside[codes])
        rows = np.searchsorted(offsets, events, side="right") - 1
        for row, code in zip(rows.tolist(), codes[events].tolist(), strict=True):
            unknown.setdefault(row, []).append(ids[code])
        return _LookedUp(Ragged(offsets, indices[codes].astype(INDEX_DTYPE)), unknown)

    def _groups(
        self, block: RowBlock, looked_up: _LookedUp
    ) -> Iterator[tuple[Int64[np.ndarray, " rows"], int, bool]]:
        """Rows that are computed together, with their number of items and seen items."""
        by_setting: dict[tuple[int, bool], list[int]] = {}
        for row in range(len(block)):
            options = self._options(block, row)
            by_setting.setdefault((options.k, options.includes_seen), []).append(row)
        lengths = np.diff(looked_up.histories.offsets)
        for (k, includes_seen), rows in by_setting.items():
            by_length = np.array(rows)[np.argsort(lengths[rows], kind="stable")]
            for start in range(0, len(rows), shapes.MAX_ROWS):
                yield by_length[start : start + shapes.MAX_ROWS], k, includes_seen

    def _options(self, block: RowBlock, row: int) -> RowOptions:
        try:
            return self.options.read(block.options[row] if block.options else {})
        except RequestError as error:
            raise self.rows.row_error(block.first + row, error.message, error.hint) from None

    def _request(self, block: RowBlock, looked_up: _LookedUp, row: int) -> Request:
        options = self._options(block, row)
        history, unknown = looked_up.histories.row(row), looked_up.unknown.get(row, [])
        features, controls = options.sequence_features, options.controls
        if block.stored is None:
            user = self.reader.find_user(options.user)
            return self.reader.request(history, unknown, user, features, controls)
        stored = {n: v for n, v in block.stored[row].items() if n != USER}
        user = self.reader.known_user(block.stored[row][USER], history, stored)
        return self.reader.request(history[:0], unknown, user, features, controls)

    def _notes(self, request: Request, listed: np.ndarray, includes_seen: bool) -> list[str]:
        if listed[-1] >= N_SPECIALS:
            return request.notes
        reason = partial(restriction, request.controls, self.catalogue)
        return request.notes + short_list_notes(listed, includes_seen, reason)


@dataclass(frozen=True)
class _LookedUp:
    """The item indices of the histories of a block, and the unknown ids of some rows."""

    histories: Ragged
    unknown: dict[int, list[str]]


@dataclass
class _Answers:
    """The answers to the rows of a block, in the order in which they are computed."""

    n_rows: int
    rows: list[np.ndarray] = field(default_factory=list)
    items: list[np.ndarray] = field(default_factory=list)
    scores: list[np.ndarray] = field(default_factory=list)
    probabilities: list[np.ndarray] = field(default_factory=list)
    notes: dict[int, list[str]] = field(default_factory=dict)
    truncated: dict[int, int] = field(default_factory=dict)

    def add(self, rows: Int64[np.ndarray, " batch"], lists: Lists) -> None:
        """Add the lists of some rows."""
        is_item = lists.ranked.items >= N_SPECIALS
        self.rows.append(np.repeat(rows, is_item.sum(axis=1)))
        self.items.append(lists.ranked.items[is_item])
        self.scores.append(lists.ranked.scores[is_item])
        if lists.probabilities is not None:
            self.probabilities.append(lists.probabilities[is_item])

    def table(self, block: RowBlock, id_field: pa.Field, looked_up: _LookedUp) -> pa.Table:
        """All answers, in the order of the rows."""
        rows = np.concatenate([np.zeros(0, np.int64), *self.rows])
        order = np.argsort(rows, kind="stable")
        offsets = pa.array(offsets_of(np.bincount(rows, minlength=self.n_rows)), pa.int32())
        items = np.concatenate([np.zeros(0, np.int32), *self.items])[order]
        scores = np.concatenate([np.zeros(0, np.float32), *self.scores])[order]
        numbers, unknown = range(self.n_rows), looked_up.unknown
        probabilities = pa.nulls(self.n_rows, pa.list_(pa.float32()))
        if self.probabilities:
            values = np.concatenate(self.probabilities)[order]
            probabilities = pa.ListArray.from_arrays(offsets, pa.array(values))
        columns = [
            block.ids,
            pa.ListArray.from_arrays(offsets, pa.array(items)),
            pa.ListArray.from_arrays(offsets, pa.array(scores)),
            probabilities,
            pa.array(np.diff(looked_up.histories.offsets), pa.int64()),
            pa.array([unknown.get(row, []) for row in numbers], pa.list_(pa.string())),
            pa.array([self.truncated.get(row, 0) for row in numbers], pa.int64()),
            pa.array([self.notes.get(row, []) for row in numbers], pa.list_(pa.string())),
        ]
        return pa.Table.from_arrays(columns, schema=part_schema(id_field))
