"""Columns of a batch file: which have a meaning, and their values as plain Python ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from segue.config import nearest_hint
from segue.errors import RequestError
from segue.recommender.batch.rows import ROW_NUMBER

ITEMS, ID, USER_ID = "items", "id", "user"

FORMAT_HINT = (
    "expected a column items with lists of item ids, optionally id and one per argument or control"
)

ARGUMENTS = (
    "k",
    "length",
    "temperature",
    "top_k",
    "top_p",
    "end_weight",
    "seed",
    "locked",
    "probabilities",
)
"""Arguments of ``recommend`` and ``generate`` that might be taken for columns of the input."""


class Columns(NamedTuple):
    """The columns of a batch file.

    Attributes:
        id: the column that names the rows; None for their numbers.
        has_items: whether there is a column of histories.
        options: columns with arguments and controls of a row.
        ignored: all others.
    """

    id: str | None
    has_items: bool
    options: tuple[str, ...]
    ignored: tuple[str, ...]

    @property
    def read(self) -> list[str]:
        """The columns to read."""
        items = [ITEMS] if self.has_items else []
        id_column = [] if self.id is None or self.id in self.options else [self.id]
        return [*id_column, *items, *self.options]


def choose_columns(
    name: str, names: Sequence[str], id_column: str | None, option_names: Sequence[str]
) -> Columns:
    """Decide which column of a file has which meaning.

    Args:
        name: of the file, in messages.
        names: its columns.
        id_column: the column that names the rows; by default ``id``, or ``user`` in a file
            without items, or none.
        option_names: the arguments and controls that a row may have.

    Raises:
        RequestError: a column is missing, occurs twice, or may mean two things.
    """
    if len(set(names)) < len(names):
        repeated = next(column for column in names if list(names).count(column) > 1)
        raise RequestError(f"{name} has two columns {repeated!r}", "rename or drop one")
    if id_column is not None and id_column not in names:
        message = f"{name} has no column {id_column!r} for the ids of the rows"
        raise RequestError(message, nearest_hint(id_column, list(names)))
    options = tuple(c for c in names if c in option_names and c != id_column)
    has_items = ITEMS in names and id_column != ITEMS
    if not has_items and not {"user", "sequence_features"} & set(options):
        listed = ", ".join(map(repr, list(names)[:10])) or "none"
        raise RequestError(f"{name} has no column 'items', but {listed}", FORMAT_HINT)
    if id_column is None and ID in names:
        id_column = ID
    if id_column is None and USER_ID in options and has_items:
        raise RequestError(
            f"{name} has the columns 'user' and 'items', so items may be all of a history or "
            "what follows the stored one",
            "all of it: give --id-column user (id_column='user'); what follows: add a column id",
        )
    if id_column is None and USER_ID in options:
        id_column = USER_ID
    if impossible := [c for c in names if c in ARGUMENTS and c not in (id_column, *options)]:
        message = f"{name} has the column {impossible[0]!r}, which a row cannot have for itself"
        raise RequestError(message, "rename or drop it; what holds for all rows is an option")
    used = {id_column, ITEMS, *options}
    ignored = tuple(column for column in names if column not in used)
    return Columns(id_column, has_items, options, ignored)


def id_field(column: str | None, kind: pa.DataType | None) -> pa.Field:
    """Name and type of the ids of the rows in the output."""
    if column is None or kind is None:
        return ROW_NUMBER
    return pa.field(column, kind.value_type if pa.types.is_dictionary(kind) else kind)


def list_column(column: pa.Array, name: str) -> pa.LargeListArray:
    """A column of lists of ids; a null is an empty list.

    Raises:
        RequestError: it does not contain lists.
    """
    kind = column.type
    if pa.types.is_null(kind):
        return empty_lists(len(column))
    if not (
        pa.types.is_list(kind)
        or pa.types.is_large_list(kind)
        or pa.types.is_fixed_size_list(kind)
        or pa.types.is_list_view(kind)
        or pa.types.is_large_list_view(kind)
    ):
        message = f"{name}: the column 'items' is of type {kind}, expected lists of item ids"
        raise RequestError(message, "write one row per request, its history as a list of ids")
    lists = column.cast(pa.large_list(kind.value_type))
    # Copied end to end: without gaps under nulls, and from offset 0 on.
    lengths = pc.call_function("list_value_length", [lists]).fill_null(0)
    ends = pc.call_function("cumulative_sum", [lengths.cast(pa.int64())])
    offsets = pa.concat_arrays([pa.array([0], pa.int64()), ends])
    values = lists.flatten()
    if pa.types.is_dictionary(values.type):  # each batch of a file may have another dictionary
        values = values.dictionary_decode()
    return pa.LargeListArray.from_arrays(offsets, values)


def empty_lists(n_rows: int) -> pa.LargeListArray:
    """One empty history per row."""
    offsets = pa.array([0] * (n_rows + 1), pa.int64())
    return pa.LargeListArray.from_arrays(offsets, pa.array([], pa.string()))


def plain(value: Any) -> Any:
    """A value of ``to_pylist`` with dictionaries in place of maps, without missing entries."""
    if isinstance(value, dict):
        return {name: plain(entry) for name, entry in value.items() if entry is not None}
    if isinstance(value, list) and value and all(isinstance(entry, tuple) for entry in value):
        return {key: plain(entry) for key, entry in value}
    return value
