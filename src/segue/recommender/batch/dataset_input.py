"""The rows of a batch from a prepared dataset: one per sequence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Int32

from segue.dataset import Dataset
from segue.dataset.targets import SplitPart, part_bounds
from segue.errors import RequestError
from segue.features import stored_features
from segue.ragged import offsets_of, span_indices
from segue.recommender.batch.rows import BatchInput, RowBlock
from segue.tokens import N_SPECIALS


class DatasetInput(BatchInput):
    """The sequences of a dataset with their sequence features."""

    def __init__(self, data: Dataset, before: SplitPart | None = None) -> None:
        """Choose the sequences.

        Args:
            data: the dataset.
            before: the part whose events, and all later ones, are left out: only sequences with
                events of this part, as the requests of an evaluation have them. By default, all
                events of all sequences.

        Raises:
            RequestError: no sequence has events of the part, or the split does not cut sequences.
        """
        self.name = str(data.path)
        self.id_field = pa.field("sequence_id", pa.string())
        self._data, self._before = data, before
        self._rows = np.arange(len(data.sequences))
        self._lengths = data.sequences.lengths.astype(np.int64)
        if before is None:
            return
        if data.split_rule.needs_target_rows:
            message = f"before is {before!r}, but the split of {data.name} cuts no sequence"
            raise RequestError(message, "leave it out: all events of each sequence are used")
        starts, ends = part_bounds(data.sequences, before)
        self._rows, self._lengths = np.flatnonzero(starts < ends), starts
        if not len(self._rows):
            message = f"no sequence of {data.name} has an event of the {before} part"
            raise RequestError(message, "choose another part, or leave before out")

    def fingerprint(self) -> dict[str, Any]:
        return {"dataset": self._data.fingerprint, "before": self._before}

    def blocks(self, first: int = 0) -> Iterator[RowBlock]:
        for start in range(first, len(self._rows), self.rows_per_block):
            yield self._block(start, self._rows[start : start + self.rows_per_block])

    def distinct_ids(self, block: RowBlock) -> tuple[list[str], Int32[np.ndarray, " events"]]:
        indices, codes = np.unique(block.items.flatten().to_numpy(), return_inverse=True)
        ids = self._data.items.table.column("item_id").take(pa.array(indices - N_SPECIALS))
        return ids.to_pylist(), codes.astype(np.int32)

    def _block(self, first: int, rows: np.ndarray) -> RowBlock:
        sequences = self._data.sequences
        lengths = self._lengths[rows]
        items = sequences.items[span_indices(sequences.offsets[rows], lengths)]
        return RowBlock(
            first,
            sequences.ids.take(pa.array(rows)),
            pa.LargeListArray.from_arrays(pa.array(offsets_of(lengths)), pa.array(items)),
            stored=list(stored_features(sequences, rows)),
        )
