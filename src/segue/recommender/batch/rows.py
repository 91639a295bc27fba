"""Rows of a batch: the interface of its inputs, blocks of rows, and the parts they form."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from jaxtyping import Int32, Int64

from segue.errors import RequestError
from segue.ids import InvalidIdError, id_array

ROW_NUMBER = pa.field("row", pa.int64())
"""The column that names the rows of an input without ids: their numbers, from 0."""


@dataclass(frozen=True)
class RowBlock:
    """Consecutive rows of an input.

    Attributes:
        first: number of the first row, from 0.
        ids: the ids of the rows, as the caller gave them.
        items: the history of each row, oldest event first.
        options: the arguments and controls that a row has for itself, by name; None if no row
            of the input has any.
        stored: for rows that are sequences of a dataset, the sequence features of each.
    """

    first: int
    ids: pa.Array
    items: pa.LargeListArray
    options: list[dict[str, Any]] | None = None
    stored: list[Mapping[str, Any]] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def n_listed(self, k: int) -> int:
        """The number of items that are asked for: ``k`` for a row without a number of its own."""
        own = [row.get("k") for row in self.options or ()]
        given = [number for number in own if isinstance(number, int)]  # others are refused later
        return sum(given) + k * (len(self) - len(given))

    @property
    def n_events(self) -> int:
        """The number of events of all rows."""
        return int(self.items.offsets[-1].as_py() - self.items.offsets[0].as_py())


class BatchInput(ABC):
    """The rows of a batch, readable more than once and from any block on.

    Attributes:
        name: of the input, in messages.
        id_field: name and type of the ids of the rows.
        ignored_columns: columns that have no meaning for a batch.
        files: what must not be overwritten.
        rows_per_block: rows that are read together; a part is a number of whole blocks.
        rows_per_part: a part ends with the block that reaches this number of rows.
        events_per_part: or this number of events.
        items_per_part: or this number of items of lists, which are in memory at a time.
        has_users: whether rows may name a user whose stored history comes first.
    """

    name: str
    id_field: pa.Field
    ignored_columns: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    rows_per_block: ClassVar[int] = 256
    rows_per_part: ClassVar[int] = 8192
    events_per_part: ClassVar[int] = 1 << 20
    items_per_part: ClassVar[int] = 1 << 19
    has_users: bool = False

    @abstractmethod
    def fingerprint(self) -> dict[str, Any]:
        """What identifies the content, in JSON values."""

    def stamp(self) -> Any:
        """What differs if the content may have changed, without reading it; None if it cannot."""
        return None

    @abstractmethod
    def blocks(self, first: int = 0) -> Iterator[RowBlock]:
        """Blocks of ``rows_per_block`` rows; the last one may be shorter.

        Args:
            first: number of the first row, a multiple of ``rows_per_block``.

        Raises:
            RequestError: a row cannot be read; the message has its number.
        """

    def distinct_ids(self, block: RowBlock) -> tuple[list[str], Int32[np.ndarray, " events"]]:
        """The distinct item ids of a block, and the position in them of each event.

        Raises:
            RequestError: an id is missing or cannot be one.
        """
        flat = block.items.flatten()
        encoded = flat if pa.types.is_dictionary(flat.type) else flat.dictionary_encode()
        try:
            ids = id_array(encoded.dictionary)
        except InvalidIdError as error:
            # The type alone may be refused; else the first row with such a value is named.
            raise self._bad_items(block, str(error)) from None
        codes = encoded.indices
        if ids.null_count or codes.null_count:
            raise self._bad_items(block, "an id is missing")
        return ids.to_pylist(), codes.to_numpy().astype(np.int32)

    def parts(self, k: int, first: int = 0) -> Iterator[RowBlock]:
        """The rows as parts, each the content of one file; they depend on the arguments alone.

        Args:
            k: number of items of a list, unless a row has a number of its own.
            first: number of the first row, where a part begins.
        """
        pending: list[RowBlock] = []
        for block in self.blocks(first):
            pending.append(block)
            if (
                sum(map(len, pending)) >= self.rows_per_part
                or sum(block.n_events for block in pending) >= self.events_per_part
                or sum(block.n_listed(k) for block in pending) >= self.items_per_part
            ):
                yield _joined(pending)
                pending = []
        if pending:
            yield _joined(pending)

    def row_error(self, row: int, message: str, hint: str) -> RequestError:
        """The error for a row, by its number from 0."""
        return RequestError(f"{self.name}: row {row:,} (from 0): {message}", hint)

    def _bad_items(self, block: RowBlock, reason: str) -> RequestError:
        hint = "write ids as text or integers, and leave out what has no id"
        for row in range(len(block)):
            try:
                ids = id_array(block.items[row].values)
            except InvalidIdError as error:
                return self.row_error(block.first + row, f"items: {error}", hint)
            if ids.null_count:
                return self.row_error(block.first + row, f"items: {reason}", hint)
        return RequestError(f"{self.name}: items: {reason}", hint)


def offsets_of_lists(items: pa.LargeListArray) -> Int64[np.ndarray, " bounds"]:
    """Where each list starts in ``items.flatten()``."""
    offsets = items.offsets.to_numpy()
    return offsets - offsets[0]


def _joined(blocks: list[RowBlock]) -> RowBlock:
    if len(blocks) == 1:
        return blocks[0]
    options = [own for block in blocks for own in block.options or ()]
    stored = [features for block in blocks for features in block.stored or ()]
    return RowBlock(
        blocks[0].first,
        pa.concat_arrays([block.ids for block in blocks]),
        pa.concat_arrays([block.items for block in blocks]),
        None if blocks[0].options is None else options,
        None if blocks[0].stored is None else stored,
    )
