"""``BatchJob``: check the rows of a batch, compute part after part, write the output at the end.

A batch that was stopped at any moment, ``kill -9`` included, continues when it is started again
with the same run, input and options: complete parts are kept. Parts begin and end at the same rows
in every case, and each is computed by itself, so the output has the same bytes as without a stop.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

import segue
from segue.errors import RequestError, StorageError
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
from segue.recommender.batch.rows import ROW_NUMBER, RowBlock
from segue.recommender.batch.summary import (
    BatchProgress,
    BatchSummary,
    Watch,
    counts_of,
    notes_of,
)
from segue.storage.string_index import StringIndex


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
        k: int,
        model: str,
        has_probabilities: bool = False,
        notes: Sequence[str] = (),
    ) -> None:
        """Prepare a batch; nothing is computed.

        Args:
            answerer: computes the answers, and has the input.
            output: the file to write.
            header: what the answers depend on besides the input, in JSON values.
            k: number of items of a list, unless a row has a number of its own.
            model: the name of the run.
            has_probabilities: whether the answers have probabilities.
            notes: caveats of the whole batch.
        """
        self._answerer, self._rows, self._output = answerer, answerer.rows, output
        self._has_probabilities, self._notes = has_probabilities, list(notes)
        self._parts = PartFiles(output)
        self._k, self._model, self._header = k, model, dict(header)

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
            "part": [
                rows.rows_per_block,
                rows.rows_per_part,
                rows.events_per_part,
                rows.items_per_part,
            ],
        }
        header = msgspec.json.decode(msgspec.json.encode(header, enc_hook=_plain))
        with self._parts.locked():
            n_rows = self._n_rows_of_parts(header, overwrite=overwrite)
            if n_rows is None:
                n_rows = self._check(watch)
                self._parts.start(header | {"rows": n_rows})
            n_parts, n_resumed = self._compute(n_rows, header["input"], watch)
            counts = self._write(n_parts, n_rows, watch)
            self._parts.remove()
        return BatchSummary(
            output=str(self._output),
            notes_output=str(path) if (path := notes_path(self._output)).exists() else None,
            **counts,
            ignored_columns=list(self._rows.ignored_columns),
            resumed_rows=n_resumed,
            notes=self._notes + notes_of(counts),
            model=self._model,
            took_s=round(time.perf_counter() - start_time, 3),
        )

    def _n_rows_of_parts(self, header: Mapping[str, Any], *, overwrite: bool) -> int | None:
        """The number of rows of the input, if there are parts of this batch; else None.

        Raises:
            RequestError: the output or parts of another batch are in the way.
        """
        stored = self._parts.read_header()
        # Other keys of the stored header, such as the number of rows, are not compared.
        if stored is not None and stored == {**stored, **header}:
            return stored["rows"]
        if not overwrite and stored is not None:
            raise RequestError(
                f"{self._parts.path} has the parts of an interrupted batch with another model, "
                "input or options",
                "choose another output, or discard them with --overwrite (overwrite=True)",
            )
        if not overwrite and self._output.exists():
            self._parts.clear()
            message = f"the output {self._output} exists"
            raise RequestError(message, "choose another one, or give --overwrite (overwrite=True)")
        return None

    def _check(self, watch: Watch) -> int:
        """Read all rows once; returns their number."""
        ids, n_rows = StringIndex(), 0
        for block in self._rows.parts(self._k):
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
        if self._rows.id_field is ROW_NUMBER:
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

        for block in self._rows.parts(self._k, first) if first < n_rows else ():
            part = self._answerer.answer(block, add)
            self._check_unchanged(fingerprint)
            self._parts.write(number, part)
            number += 1
        self._check_unchanged(fingerprint)  # it may have no rows any more
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
                    for name, count in counts_of(part).items():
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


def _plain(value: Any) -> Any:
    """A mapping or a number of NumPy as a JSON value."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return dict(value)
    raise NotImplementedError(f"options of the type {type(value).__name__}")
