"""The rows of a batch from a file of JSON lines."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from segue.errors import RequestError, SourceError
from segue.recommender.batch.columns import ID, USER_ID, choose_columns, id_field
from segue.recommender.batch.files import INPUT_PROBLEMS, file_fingerprint, file_stamp
from segue.recommender.batch.rows import BatchInput, RowBlock
from segue.recommender.ids import id_string, id_strings
from segue.sources.text.lines import is_decoded, lines
from segue.storage.reading import regular_size

_KEYS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_VALUES = msgspec.json.Decoder(dict[str, Any])
_INTEGER_OR_NULL = re.compile(rb"-?[0-9]{1,18}|null")
"""What fits into 64 bits."""


class JsonLinesInput(BatchInput):
    """A text file with one JSON object per request, with the keys that a column may have."""

    def __init__(self, path: Path, id_column: str | None, option_names: Sequence[str]) -> None:
        """Read the keys of all lines.

        Raises:
            RequestError: a line is not a JSON object, or the keys do not suit.
        """
        self.name, self.files = str(path), (path,)
        self._path = path
        regular_size(path, INPUT_PROBLEMS)
        names: dict[str, None] = {}
        texts: set[str] = set()  # of the possible columns of ids, those that are not all integers
        possible = (ID, USER_ID) if id_column is None else (id_column,)
        for row in self._rows(_KEYS):
            names.update(dict.fromkeys(row))
            for name in possible:
                if name in row and not _INTEGER_OR_NULL.fullmatch(bytes(row[name])):
                    texts.add(name)
        self._columns = choose_columns(self.name, list(names), id_column, option_names)
        self.ignored_columns = self._columns.ignored
        self.has_users = USER_ID in self._columns.options
        kind = pa.string() if self._columns.id in texts else pa.int64()
        self.id_field = id_field(self._columns.id, kind)

    def fingerprint(self) -> dict[str, Any]:
        return file_fingerprint(self._path)

    def stamp(self) -> Any:
        return file_stamp(self._path)

    def blocks(self, first: int = 0) -> Iterator[RowBlock]:
        rows = islice(self._rows(_VALUES), first, None)
        while block := list(islice(rows, self.rows_per_block)):
            yield self._block(block, first)
            first += len(block)

    def _rows(self, decoder: msgspec.json.Decoder[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        try:
            for number, line in enumerate(lines(self._path, "utf-8"), start=1):
                if line.strip():
                    yield self._object(decoder, line, number)
        except SourceError as error:
            raise RequestError(error.message, error.hint) from None

    def _object(
        self, decoder: msgspec.json.Decoder[dict[str, Any]], line: str, number: int
    ) -> dict[str, Any]:
        try:
            return decoder.decode(line)
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
            problem = "a JSON object" if is_decoded(line) else "UTF-8 text"
            message = f"{self.name}: line {number:,} is not {problem}"
            raise RequestError(message, "is the file cut short? expected one per line") from None

    def _block(self, rows: Sequence[dict[str, Any]], first: int) -> RowBlock:
        ids: list[int | str | None] = []
        histories: list[list[str]] = []
        for row_number, row in enumerate(rows, start=first):
            try:
                ids.append(self._id(row))
                items = row.get("items")
                histories.append(id_strings([] if items is None else items))
            except RequestError as error:
                raise self.row_error(row_number, error.message, error.hint) from None
        if self._columns.id is None:
            column = pa.array(np.arange(first, first + len(rows)))
        else:
            column = pa.array(ids, self.id_field.type)
        options = None
        if self._columns.options:
            names = self._columns.options
            options = [{n: row[n] for n in names if row.get(n) is not None} for row in rows]
        return RowBlock(first, column, pa.array(histories, pa.large_list(pa.string())), options)

    def _id(self, row: dict[str, Any]) -> int | str | None:
        value = None if self._columns.id is None else row.get(self._columns.id)
        if value is None or (pa.types.is_integer(self.id_field.type) and type(value) is int):
            return value
        return id_string(value, "id")
