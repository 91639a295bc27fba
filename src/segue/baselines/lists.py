"""Lists that another system made, in a model's place: peers answer exactly the same questions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from jaxtyping import Bool, Int32, Int64

from segue.axes import INDEX_DTYPE, N_SPECIALS, PAD, UNK, Ragged, offsets_of
from segue.dataset import Dataset
from segue.errors import SourceError
from segue.ranking import Queries, Ranked, Ranker
from segue.wording import counted

SCHEMA = pa.schema([("sequence_id", pa.string()), ("item_id", pa.string()), ("rank", pa.int64())])
_HINT = "give Parquet or CSV with the columns sequence_id, item_id, rank"


class ListRanker(Ranker):
    """Answers from one stored list a sequence, whatever the history.

    A target's rank is its place in the list once items that are no candidates are taken
    out; 0 where the list does not hold it. A sequence without a list gets only misses.

    Attributes:
        not_candidates: entries that were left out, as their item is not in the catalogue.
    """

    refit = None

    def __init__(self, name: str, lists: Ragged, *, not_candidates: int = 0) -> None:
        """Wrap lists.

        Args:
            lists: item indices of the catalogue, the best first, one list for each row of
                the dataset; empty where there is none.
        """
        self.name = name
        self.not_candidates = not_candidates
        self._lists = lists

    @classmethod
    def read(cls, path: str | Path, dataset: Dataset, name: str | None = None) -> ListRanker:
        """Read lists in the caller's own ids, joined to a dataset.

        Args:
            path: a Parquet or CSV file; ``rank`` orders a sequence's items, lowest first.
            name: what results call it; the file's name when absent.

        Raises:
            SourceError: the file cannot be read, lacks a column or a value, names a sequence
                that the dataset does not have, or holds an item or a rank twice in a list.
        """
        path = Path(path)
        table = _read_columns(path)
        rows = _rows_of(table.column("sequence_id"), dataset, path)
        ids = table.column("item_id").combine_chunks().dictionary_encode()
        ranks = table.column("rank").to_numpy()
        _refuse_twice(f"{path} repeats an item", rows, ids.indices.to_numpy())
        _refuse_twice(f"{path} repeats a rank", rows, ranks)
        items = _indices_of(ids, dataset)
        known = items < dataset.table_size
        order = np.lexsort((ranks[known], rows[known]))
        counts = np.bincount(rows[known], minlength=len(dataset.sequences))
        lists = Ragged(offsets_of(counts), items[known][order])
        return cls(name or path.stem, lists, not_candidates=int(np.count_nonzero(~known)))

    def covers(self, rows: Int64[np.ndarray, " rows"]) -> Bool[np.ndarray, " rows"]:
        """Which of these rows of the dataset have a list."""
        return np.diff(self._lists.offsets)[rows] > 0

    def ranks(
        self, queries: Queries, targets: Int32[np.ndarray, " batch"]
    ) -> Int64[np.ndarray, " batch"]:
        found = np.zeros(len(queries), np.int64)
        for i, target in enumerate(targets):
            places = np.flatnonzero(self._candidates(queries, i) == target)
            found[i] = places[0] + 1 if len(places) else 0
        return found

    def top(self, queries: Queries, k: int) -> Ranked:
        items = np.full((len(queries), k), PAD, INDEX_DTYPE)
        scores = np.full((len(queries), k), -np.inf, np.float32)
        for i in range(len(queries)):
            best = self._candidates(queries, i)[:k]
            items[i, : len(best)] = best
            scores[i, : len(best)] = -np.arange(1, len(best) + 1)
        return Ranked(items, scores)

    def _candidates(self, queries: Queries, i: int) -> Int32[np.ndarray, " items"]:
        row = int(queries.rows[i])
        if row < 0:
            return np.zeros(0, INDEX_DTYPE)
        items = self._lists.row(row)
        return items[~np.isin(items, queries.excluded.row(i))]


def _read_columns(path: Path) -> pa.Table:
    """The three columns, complete: ids as text, ranks as int64."""
    try:
        table = pq.read_table(path) if path.suffix == ".parquet" else _read_csv(path)
    except FileNotFoundError:
        raise SourceError(f"there is no file {path}", _HINT) from None
    except (OSError, pa.ArrowInvalid) as error:
        raise SourceError(f"cannot read the lists of {path}: {_line(error)}", _HINT) from None
    missing = [name for name in SCHEMA.names if name not in table.column_names]
    if missing:
        got = ", ".join(table.column_names)
        raise SourceError(f"{path} has no column {missing[0]}, got {got}", _HINT)
    table = table.select(SCHEMA.names)
    for name in SCHEMA.names:
        if table.column(name).null_count:
            raise SourceError(f"{path} has empty values in the column {name}", _HINT)
    try:
        return table.cast(SCHEMA)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        message = f"{path} has ids or ranks of the wrong type: {_line(error)}"
        raise SourceError(message, "ranks are whole numbers, the best is 1") from None


def _read_csv(path: Path) -> pa.Table:
    # As text, so that an id such as 007 stays as it is written.
    types = {"sequence_id": pa.string(), "item_id": pa.string()}
    return pa_csv.read_csv(path, convert_options=pa_csv.ConvertOptions(column_types=types))


def _rows_of(ids: pa.ChunkedArray, dataset: Dataset, path: Path) -> Int64[np.ndarray, " entries"]:
    options = pc.SetLookupOptions(value_set=dataset.sequences.ids)
    rows = pc.call_function("index_in", [ids], options)
    if rows.null_count:
        unknown = ids.filter(rows.is_null()).unique()
        first = unknown[0].as_py()
        message = f"{path} names {counted(len(unknown), 'sequence')} unknown to {dataset.name}"
        raise SourceError(f"{message}, the first is {first!r}", "use the ids of the dataset")
    return rows.to_numpy().astype(np.int64)


def _indices_of(ids: pa.DictionaryArray, dataset: Dataset) -> Int32[np.ndarray, " entries"]:
    """Item indices; what the dataset does not know lies beyond its items."""
    indices = dataset.items.find(ids.dictionary.to_pylist())
    indices[indices == UNK] = N_SPECIALS + len(dataset.items)
    return indices[ids.indices.to_numpy()]


def _refuse_twice(what: str, rows: Int64[np.ndarray, " entries"], values: np.ndarray) -> None:
    """Raise where a value comes twice in a row."""
    order = np.lexsort((values, rows))
    twice = (np.diff(rows[order]) == 0) & (np.diff(values[order]) == 0)
    if twice.any():
        raise SourceError(
            f"{what} within a list, {np.count_nonzero(twice)} times",
            "each sequence has one list, with each item and each rank once",
        )


def _line(error: Exception) -> str:
    return str(error).splitlines()[0]
