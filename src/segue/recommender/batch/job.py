"""``BatchJob``: check the rows of a batch, compute part after part, write the output at the end.

A batch that was stopped at any moment, ``kill -9`` included, continues when it is started again
with the same run, input and options: complete parts are kept. Parts begin and end at the same rows
in every case, and each is computed by itself, so the output has the same bytes as without a stop.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import segue
from segue.errors import RequestError, StorageError, quantity
from segue.ids import InvalidIdError, id_array
from segue.recommender.batch.answering import Answerer
from segue.recommender.batch.output import (
    WRITERS,
    NotesWriter,
    OutputLayout,
    check_output,
    notes_path,
)
from segue.recommender.batch.part_files import PartFiles, rename
from segue.recommender.batch.rows import RowBlock
from segue.storage.string_index import StringIndex


class BatchProgress(NamedTuple):
    """How far a batch is.

    Attributes:
        phase: ``check`` reads all rows, ``answer`` computes their lists, ``write`` makes one file
            of the parts.
        rows: rows done in this phase.
        total: all rows; None while they are counted.
        resumed: rows that were computed before the batch was started again.
    """

    phase: Literal["check", "answer", "write"]
    rows: int
    total: int | None
    resumed: int = 0


class BatchSummary(msgspec.Struct, frozen=True):
    """What a batch has written, and what was not as it should be.

    Attributes:
        output: the file with the lists.
        notes_output: the file with the unknown items, truncated events and notes of requests;
            None if no request has any.
        rows: requests.
        events: events of their histories, as given.
        items: items of all lists.
        rows_without_items: requests with an empty list.
        rows_with_unknown_items: requests with events outside the catalogue of the model.
        unknown_items: the number of these events.
        rows_truncated: requests whose oldest events did not fit in the context of the model.
        rows_with_notes: requests with other caveats, such as a list that is too short.
        ignored_columns: columns of the input without a meaning.
        resumed_rows: rows that were computed before the batch was started again.
        notes: caveats of the whole batch, such as that no event is an item of the model.
        model: the name of the run.
        took_s: time taken, in seconds.
    """

    output: str
    notes_output: str | None
    rows: int
    events: int
    items: int
    rows_without_items: int
    rows_with_unknown_items: int
    unknown_items: int
    rows_truncated: int
    rows_with_notes: int
    ignored_columns: list[str]
    resumed_rows: int
    notes: list[str]
    model: str
    took_s: float

    def to_dict(self) -> dict[str, Any]:
        """Convert to plain values, as ``--json`` prints them."""
        return msgspec.to_builtins(self)


Watch = Callable[[BatchProgress], object]


def _unwatched(progress: BatchProgress) -> None:
    """Ignore the progress."""


class BatchJob:
    """A batch: the rows of an input, how they are answered, and an output."""

    def __init__(
        self,
        answerer: Answerer,
        output: Path,
        header: Mapping[str, Any],
        *,
        model: str,
        has_probabilities: bool = False,
        notes: Sequence[str] = (),
    ) -> None:
        """Prepare a batch; nothing is computed.

        Args:
            answerer: computes the answers, and has the input.
            output: the file to write.
            header: what the answers depend on besides the input, in JSON values.
            model: the name of the run.
            has_probabilities: whether the answers have probabilities.
            notes: caveats of the whole batch.
        """
        self._answerer, self._rows, self._output = answerer, answerer.rows, output
        self._has_probabilities, self._notes = has_probabilities, list(notes)
        self._parts = PartFiles(output)
        self._model, self._header = model, dict(header)

    def run(self, *, overwrite: bool = False, watch: Watch | None = None) -> BatchSummary:
        """Check, compute and write, or continue what was interrupted.

        Args:
            overwrite: whether to replace an existing output, or the parts of another batch.
            watch: called with the progress.

        Raises:
            RequestError: the output exists or another batch was interrupted there, or a row is
                not possible, which is found before anything is computed.
            StorageError: the output cannot be written.
        """
        start_time = time.perf_counter()
        watch = watch or _unwatched
        check_output(self._output, self._rows.files)
        rows, self._stamp = self._rows, self._rows.stamp()
        header = self._header | {
            "format": 2,
            "segue": segue.__version__,
            "input": rows.fingerprint(),
            "part": [rows.rows_per_block, rows.rows_per_part, rows.events_per_part],
        }
        header = msgspec.json.decode(msgspec.json.encode(header))
        continues = self._continues(header, overwrite=overwrite)
        n_rows = None if continues else self._check(watch)
        with self._parts.locked():
            if n_rows is not None:
                self._parts.start(header | {"rows": n_rows})
            n_rows = (self._parts.read_header() or {})["rows"]
            n_parts, n_resumed = self._compute(n_rows, header["input"], watch)
            counts = self._write(n_parts, n_rows, watch)
            self._parts.remove()
        return BatchSummary(
            output=str(self._output),
            notes_output=str(path) if (path := notes_path(self._output)).exists() else None,
            **counts,
            ignored_columns=list(self._rows.ignored_columns),
            resumed_rows=n_resumed,
            notes=self._notes + _notes(counts),
            model=self._model,
            took_s=round(time.perf_counter() - start_time, 3),
        )

    def _continues(self, header: Mapping[str, Any], *, overwrite: bool) -> bool:
        """Whether there are parts of this batch.

        Raises:
            RequestError: the output or parts of another batch are in the way.
        """
        if self._parts.matches(header):
            return True
        if not overwrite and self._parts.read_header() is not None:
            raise RequestError(
                f"{self._parts.path} has the parts of an interrupted batch with another model, "
                "input or options",
                "choose another output, or discard them with --overwrite (overwrite=True)",
            )
        if not overwrite and self._output.exists():
            self._parts.remove_remains()
            message = f"the output {self._output} exists"
            raise RequestError(message, "choose another one, or give --overwrite (overwrite=True)")
        return False

    def _check(self, watch: Watch) -> int:
        """Read all rows once; returns their number."""
        ids, n_rows = StringIndex(), 0
        for block in self._rows.parts():
            self._check_ids(ids, block)
            self._answerer.check(block)
            n_rows += len(block)
            watch(BatchProgress("check", n_rows, None))
        if not n_rows:
            raise RequestError(f"{self._rows.name} has no rows", "expected one per request")
        return n_rows

    def _check_ids(self, ids: StringIndex, block: RowBlock) -> None:
        """Check that no id is missing or occurs twice.

        Raises:
            RequestError: one does.
        """
        name, hint = self._rows.id_field.name, "give every row an id of its own"
        if pa.types.is_integer(block.ids.type) and block.ids.null_count == 0 and name == "row":
            return
        try:
            strings = id_array(block.ids)
        except InvalidIdError as error:
            raise RequestError(f"{self._rows.name}: the column {name!r}: {error}", hint) from None
        is_missing = np.asarray(strings.is_null())
        if is_missing.any():
            row = block.first + int(is_missing.argmax())
            raise self._rows.row_error(row, f"{name} is missing", hint)
        indices = ids.encode(strings)
        is_repeated = indices != np.arange(block.first, block.first + len(block))
        if is_repeated.any():
            row = int(is_repeated.argmax())
            message = f"{name} {strings[row].as_py()!r} is also that of row {indices[row]:,}"
            raise self._rows.row_error(block.first + row, message, hint)

    def _compute(self, n_rows: int, fingerprint: dict[str, Any], watch: Watch) -> tuple[int, int]:
        """Compute the parts that do not exist; returns the number of parts and of old rows.

        A part is stored only if the input is still what it was, so every stored part is valid.
        """
        number = first = 0
        while (part := self._parts.read(number)) is not None:
            number, first = number + 1, first + len(part)
        n_resumed = n_done = first
        watch(BatchProgress("answer", n_done, n_rows, n_resumed))

        def add(n: int) -> None:
            nonlocal n_done
            n_done += n
            watch(BatchProgress("answer", n_done, n_rows, n_resumed))

        for block in self._rows.parts(first) if first < n_rows else ():
            part = self._answerer.answer(block, add)
            self._check_unchanged(fingerprint)
            self._parts.write(number, part)
            number += 1
        if n_done != n_rows:
            message = f"{self._rows.name} had {n_rows:,} rows, and now has {n_done:,}"
            raise RequestError(
                message,
                "start again with --overwrite (overwrite=True), and leave it as it is meanwhile",
            )
        return number, n_resumed

    def _check_unchanged(self, fingerprint: dict[str, Any]) -> None:
        """Check that the input was not changed after its fingerprint was taken.

        Raises:
            RequestError: its content is another one.
        """
        stamp = self._rows.stamp()
        if stamp == self._stamp:
            return
        if self._rows.fingerprint() != fingerprint:
            raise RequestError(
                f"{self._rows.name} was changed while the batch was computed",
                "with what it was, the same command continues; with --overwrite "
                "(overwrite=True), all is computed again",
            )
        self._stamp = stamp

    def _write(self, n_parts: int, n_rows: int, watch: Watch) -> dict[str, int]:
        """Make the output of the parts, and put it in place."""
        output, notes = self._parts.path / "output", self._parts.path / "notes"
        id_field = self._rows.id_field
        layout = OutputLayout(id_field, self._answerer.items, self._has_probabilities)
        counts: dict[str, int] = {}
        try:
            with (
                WRITERS[self._output.suffix](output, layout) as writer,
                NotesWriter(notes, id_field) as noted,
            ):
                for number in range(n_parts):
                    part = self._parts.read(number)
                    assert part is not None
                    writer.write(part)
                    noted.write(part)
                    for name, count in _counts(part).items():
                        counts[name] = counts.get(name, 0) + count
                    watch(BatchProgress("write", counts["rows"], n_rows))
        except OSError as error:
            message = f"cannot write {self._output}: {error.strerror or error}"
            raise StorageError(message, "free some space; the same command continues") from None
        target = notes_path(self._output)
        if noted.n_rows:
            rename(notes, target)
        else:
            target.unlink(missing_ok=True)
        rename(output, self._output)
        return counts


def _counts(part: pa.Table) -> dict[str, int]:
    """The counts of ``BatchSummary`` for a part."""
    n_items, n_unknown, n_notes = (
        pc.call_function("list_value_length", [part.column(name)]).to_numpy()
        for name in ("items", "unknown_items", "notes")
    )
    return {
        "rows": len(part),
        "events": int(part.column("events").to_numpy().sum()),
        "items": int(n_items.sum()),
        "rows_without_items": int(np.count_nonzero(n_items == 0)),
        "rows_with_unknown_items": int(np.count_nonzero(n_unknown)),
        "unknown_items": int(n_unknown.sum()),
        "rows_truncated": int(np.count_nonzero(part.column("truncated").to_numpy())),
        "rows_with_notes": int(np.count_nonzero(n_notes)),
    }


def _notes(counts: Mapping[str, int]) -> list[str]:
    """What is wrong with a batch as a whole, by the counts of its summary."""
    if not counts["events"] or counts["unknown_items"] < counts["events"]:
        return []
    return [
        f"none of the {quantity(counts['events'], 'event')} is an item of the model: are the ids "
        "those of its training dataset?"
    ]
