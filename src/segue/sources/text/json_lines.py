"""JSON lines: their keys, and copies of files that DuckDB cannot read, with exact errors."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from segue.errors import SourceError
from segue.sources.text.lines import encoding_error, is_decoded, lines

_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])


def keys_of(file: Path, encoding: str) -> list[str]:
    """The distinct keys of all objects of a file, in the order of their first appearance."""
    keys: dict[str, None] = {}
    for row in _objects(file, encoding):
        keys.update(dict.fromkeys(row))
    return list(keys)


def copy_objects(file: Path, encoding: str, used: Iterable[str] | None, target: Path) -> None:
    """Copy the values of some keys (None for all), one object per line in UTF-8.

    Raises:
        SourceError: a line is not a JSON object; the message names the first one.
    """
    names = None if used is None else list(used)
    with target.open("wb") as copy:
        for row in _objects(file, encoding):
            selected = row if names is None else {n: row[n] for n in names if n in row}
            copy.write(msgspec.json.encode(selected) + b"\n")


def _objects(file: Path, encoding: str) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(lines(file, encoding), start=1):
        if not line.strip():
            continue
        if not is_decoded(line):
            raise encoding_error(file, encoding, number)
        try:
            yield _decoder.decode(line)
        except (msgspec.DecodeError, RecursionError):
            yield _python_object(line, file, number)


def _python_object(line: str, file: Path, number: int) -> dict[str, Any]:
    """Decode a line with Python's reader, which accepts the NaN that it also writes."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        row = None
    if isinstance(row, dict):
        return row
    message = f"{file}: line {number} is not a JSON object"
    if re.match(r"\s*\{\s*u?'", line):
        hint = "it is written as by Python's print: convert it with ast.literal_eval and json.dumps"
        raise SourceError(message, hint)
    raise SourceError(message, "expected one object per line, as `jq -c .` writes them")
