"""External recommendation lists as a ranker for evaluation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Int32, Int64

from segue.baselines.list_file import read_list_file
from segue.dataset import Dataset
from segue.errors import SourceError, quantity
from segue.ragged import Ragged, offsets_of
from segue.ranking import Query, Ranked, Ranker
from segue.storage.paths import checked_path
from segue.tokens import INDEX_DTYPE, PAD


class ListRanker(Ranker):
    """Ranks by external lists: one list per sequence, independent of the history.

    The rank of a target is its position in the list after removal of all items that are not
    candidates; 0 if it is not in the list. For a sequence without a list all ranks are 0.

    Attributes:
        n_dropped: number of list entries that were dropped because their item may not be
            recommended.
    """

    fit_on_validation = None

    def __init__(self, name: str, lists: Ragged, *, n_dropped: int = 0) -> None:
        """Create the ranker from lists of item indices.

        Args:
            name: name in results.
            lists: one list of candidates per row of the dataset, as item indices, best first;
                empty for sequences without a list.
            n_dropped: number of list entries that were dropped.
        """
        self.name = name
        self.n_dropped = n_dropped
        self._lists = lists

    @classmethod
    def read(cls, path: str | Path, dataset: Dataset, name: str | None = None) -> ListRanker:
        """Read lists of sequence and item ids and join them to a dataset.

        Args:
            path: a Parquet or CSV file with the columns ``sequence_id``, ``item_id`` and
                ``rank``; the lowest rank is best.
            dataset: the dataset with these ids.
            name: name in results; by default the name of the file.

        Raises:
            SourceError: the file cannot be read, lacks rows, a column or a value, has a sequence id
                that is not in the dataset, or repeats an item or a rank in a list.
        """
        path = checked_path(path)
        table = read_list_file(path)
        rows = _rows_of(table.column("sequence_id"), dataset, path)
        ids = table.column("item_id").combine_chunks().dictionary_encode()
        ranks = table.column("rank").to_numpy()
        _check_distinct(f"{path} repeats an item", rows, ids.indices.to_numpy())
        _check_distinct(f"{path} repeats a rank", rows, ranks)
        items = dataset.items.find(ids.dictionary.to_pylist())[ids.indices.to_numpy()]
        is_candidate = dataset.is_candidate[items]
        order = np.lexsort((ranks[is_candidate], rows[is_candidate]))
        counts = np.bincount(rows[is_candidate], minlength=len(dataset.sequences))
        lists = Ragged(offsets_of(counts), items[is_candidate][order])
        return cls(name or path.stem, lists, n_dropped=int(np.count_nonzero(~is_candidate)))

    def covers(self, rows: Int64[np.ndarray, " rows"]) -> Bool[np.ndarray, " rows"]:
        """Mask of the given dataset rows that have a list."""
        return np.diff(self._lists.offsets)[rows] > 0

    def ranks(
        self, query: Query, targets: Int32[np.ndarray, " batch"]
    ) -> Int64[np.ndarray, " batch"]:
        query.check_no_controls(self.name)
        ranks = np.zeros(len(query), np.int64)
        for i, target in enumerate(targets):
            positions = np.flatnonzero(self._candidates(query, i) == target)
            ranks[i] = positions[0] + 1 if len(positions) else 0
        return ranks

    def top(self, query: Query) -> Ranked:
        query.check_no_controls(self.name)
        items = np.full((len(query), query.k), PAD, INDEX_DTYPE)
        scores = np.full((len(query), query.k), -np.inf, np.float32)
        for i in range(len(query)):
            best = self._candidates(query, i)[: query.k]
            items[i, : len(best)] = best
            scores[i, : len(best)] = -np.arange(1, len(best) + 1)
        return Ranked(items, scores)

    def _candidates(self, query: Query, i: int) -> Int32[np.ndarray, " items"]:
        """The list of request ``i`` without its seen and excluded items."""
        row = int(query.rows[i])
        if row < 0:
            return np.zeros(0, INDEX_DTYPE)
        items = self._lists.row(row)
        items = items[~np.isin(items, query.seen.row(i))]
        return items if query.excluded is None else items[~np.isin(items, query.excluded.row(i))]


def _rows_of(ids: pa.ChunkedArray, dataset: Dataset, path: Path) -> Int64[np.ndarray, " entries"]:
    """Dataset row of each entry, by sequence id."""
    options = pc.SetLookupOptions(value_set=dataset.sequences.ids)
    rows = pc.call_function("index_in", [ids], options)
    if rows.null_count:
        unknown = ids.filter(rows.is_null()).unique()
        first = unknown[0].as_py()
        sequences_are = quantity(len(unknown), "sequence that is", "sequences that are")
        message = f"{path} has {sequences_are} not in {dataset.name}"
        raise SourceError(
            f"{message}; the first one is {first!r}", "use the sequence ids of that dataset"
        )
    return rows.to_numpy().astype(np.int64)


def _check_distinct(problem: str, rows: Int64[np.ndarray, " entries"], values: np.ndarray) -> None:
    """Raise ``SourceError`` if a sequence has the same value twice."""
    order = np.lexsort((values, rows))
    is_repeated = (np.diff(rows[order]) == 0) & (np.diff(values[order]) == 0)
    if is_repeated.any():
        raise SourceError(
            f"{problem} within a list, {np.count_nonzero(is_repeated)} times",
            "give one list per sequence, with each item and each rank once",
        )
