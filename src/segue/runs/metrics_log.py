"""The metrics log of a run: write and read ``metrics.jsonl``, and write TensorBoard events."""

from __future__ import annotations

import json
import math
import struct
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
from jaxtyping import Float64

# Generated from protocol buffers when imported: pyright sees no names in them.
from tensorboardX.proto.event_pb2 import (
    Event,  # pyright: ignore[reportAttributeAccessIssue]
    SessionLog,  # pyright: ignore[reportAttributeAccessIssue]
)
from tensorboardX.proto.summary_pb2 import Summary  # pyright: ignore[reportAttributeAccessIssue]
from tensorboardX.record_writer import masked_crc32c

from segue.errors import RunError, StorageError
from segue.runs.folder import RUN_PROBLEMS, RunFolder
from segue.storage.atomic import replace_file
from segue.storage.reading import MAX_COUNT, Problems, exists, read_bytes

EVENT_FILE_VERSION = "brain.Event:2"
"""The version that TensorBoard expects in the first event of a file."""

LOSS = "loss"
"""Name of the loss. Lower is better, unlike for all other validation metrics."""

LOG_BYTES = 1 << 29
"""Largest size of ``metrics.jsonl`` that is read: 512 MiB, several million records."""

MAX_METRICS = 1000
"""Largest number of metrics in a log, over all records."""

Series = Float64[np.ndarray, " records"]


class MetricsWriter:
    """Writes every record as a line of JSON and as scalar events for TensorBoard.

    Both are written immediately, in the calling thread. tensorboardX's ``SummaryWriter`` writes
    in a background thread, which a full disk would end without an error.
    """

    def __init__(self, metrics: Path, events: Path, step: int) -> None:
        """Continue the log after a step and drop the records of later steps.

        A killed run may have logged steps after its last checkpoint; the resumed run repeats
        them.

        Args:
            metrics: the file ``metrics.jsonl``.
            events: the folder of the TensorBoard events.
            step: the last step to keep; 0 for a new run.

        Raises:
            StorageError: the files cannot be written.
            RunError: ``metrics.jsonl`` is not a regular file.
        """
        self._metrics = metrics
        # TensorBoard reads the files in the order of their names.
        self._events = events / f"events.out.tfevents.{int(time.time())}.{step:012}"
        try:
            _drop_after(metrics, step)
            events.mkdir(parents=True, exist_ok=True)
            self._write_event(Event(file_version=EVENT_FILE_VERSION))
            # A session start makes TensorBoard drop events of this and later steps in older files.
            session_start = SessionLog(status=SessionLog.START)
            self._write_event(Event(step=step + 1, session_log=session_start))
        except OSError as error:
            raise _storage_error(metrics, error) from None

    def record(self, step: int, kind: str, values: Mapping[str, Any]) -> None:
        """Append one record.

        Args:
            step: number of steps taken.
            kind: ``train`` or ``validation``.
            values: numbers, or lists of numbers, by name. A number that is not finite becomes
                ``null`` in the line. TensorBoard gets the scalars only.

        Raises:
            StorageError: the disk is full.
        """
        finite = {name: None if _is_not_finite(value) else value for name, value in values.items()}
        line = json.dumps({"step": step, "kind": kind, **finite}, allow_nan=False)
        scalars = [
            Summary.Value(tag=f"{kind}/{name}", simple_value=value)
            for name, value in values.items()
            if isinstance(value, int | float)
        ]
        try:
            with self._metrics.open("a", encoding="utf-8") as lines:
                lines.write(line + "\n")
            self._write_event(Event(step=step, summary=Summary(value=scalars)))
        except OSError as error:
            raise _storage_error(self._metrics, error) from None

    def _write_event(self, event: Event) -> None:
        event.wall_time = time.time()
        with self._events.open("ab") as stream:
            stream.write(_tfrecord(event.SerializeToString()))


def _tfrecord(content: bytes) -> bytes:
    """A record of a TFRecord file: length and content, each with its checksum."""
    length = struct.pack("<Q", len(content))
    checksums = [struct.pack("<I", masked_crc32c(part)) for part in (length, content)]
    return length + checksums[0] + content + checksums[1]


def _storage_error(metrics: Path, error: OSError) -> StorageError:
    message = f"cannot write the metrics of {metrics.parent}: {error.strerror}"
    return StorageError(message, "free some space, then continue with --resume")


def _is_not_finite(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _drop_after(metrics: Path, step: int) -> None:
    """Remove the lines of later steps and a partial last line."""
    if not exists(metrics):
        return
    lines = read_bytes(metrics, RUN_PROBLEMS, LOG_BYTES).splitlines()
    content = b"".join(line + b"\n" for line in lines if _is_up_to(line, step))
    replace_file(metrics, lambda partial: partial.write_bytes(content))


def _is_up_to(line: bytes, step: int) -> bool:
    """Whether a line is a record of a step up to ``step``."""
    try:
        return msgspec.json.decode(line, type=_Record).step <= step
    except (ValueError, RecursionError):
        return False


class BestValidation(NamedTuple):
    """Step of the best validation, and its value of the metric that selects the weights."""

    step: int
    value: float


class MetricsLog:
    """The records of ``metrics.jsonl`` as series of values by step.

    Attributes:
        metric: name of the validation metric that selects the best weights.
        damaged_lines: number of lines that are not valid records.
    """

    def __init__(self, run: RunFolder) -> None:
        """Read the log of a run, whether it is finished or still in training.

        Raises:
            RunError: the folder is not a run, no step was logged yet, or the log is damaged.
        """
        config, _ = run.read_config()
        self.metric = config.training.validation_metric
        problems = Problems(RunError, "the file is created when the first step is logged")
        lines = read_bytes(run.metrics, problems, LOG_BYTES).splitlines()
        self._records = [record for line in lines if (record := _record(line)) is not None]
        self.damaged_lines = len(lines) - len(self._records)
        if not self._of_kind("train"):
            message = f"{run.path} has logged no step yet"
            raise RunError(message, "wait until training.log_every steps are taken")
        self._metrics = dict.fromkeys(
            name for record in self._records for name in record if name not in ("step", "kind")
        )
        if len(self._metrics) > MAX_METRICS:
            reason = f"it has {len(self._metrics):,} metrics, expected at most {MAX_METRICS:,}"
            raise RUN_PROBLEMS.damaged(run.metrics, reason)

    def series(self, kind: str, name: str) -> tuple[Series, Series]:
        """Steps and values of one metric.

        Args:
            kind: ``train`` or ``validation``.
            name: name of the metric.

        Returns:
            Steps and values, one per record that has the metric; a value that was not finite
            is NaN.
        """
        records = [record for record in self._of_kind(kind) if name in record]
        steps = np.array([record["step"] for record in records], np.float64)
        values = [record[name] for record in records]
        return steps, np.array([np.nan if value is None else value for value in values], np.float64)

    def to_arrow(self) -> pa.Table:
        """The records as rows, in the order in which they were logged.

        Returns:
            ``step`` (integer), ``kind`` (``train`` or ``validation``) and a column of floats per
            metric: null in the records without it, NaN where its value was not finite.
        """
        metrics = [(name, pa.float64()) for name in self._metrics]
        schema = pa.schema([("step", pa.int64()), ("kind", pa.string()), *metrics])
        # In a record null stands for a value that was not finite, in a table for no value.
        rows = [
            {name: math.nan if value is None else value for name, value in record.items()}
            for record in self._records
        ]
        return pa.Table.from_pylist(rows, schema)

    def metric_at_all_cutoffs(self) -> list[str]:
        """Names of the validation metric at every logged cut-off, such as ``ndcg@10``."""
        prefix = self.metric.split("@")[0] + "@"
        names = dict.fromkeys(name for record in self._of_kind("validation") for name in record)
        return [name for name in names if name == self.metric or name.startswith(prefix)]

    def best(self) -> BestValidation | None:
        """The first validation with the best value; None if there is no finite value yet."""
        steps, values = self.series("validation", self.metric)
        if not np.isfinite(values).any():
            return None
        index = np.nanargmin(values) if self.metric == LOSS else np.nanargmax(values)
        return BestValidation(int(steps[index]), float(values[index]))

    def _of_kind(self, kind: str) -> list[dict[str, Any]]:
        return [record for record in self._records if record["kind"] == kind]


LARGEST_VALUE = 3.5e38
"""Largest absolute value of a metric, which comes from float32."""


class _Record(msgspec.Struct):
    """The keys that every record has; all others are metrics."""

    step: Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)]
    kind: Literal["train", "validation"]


def _record(line: bytes) -> dict[str, Any] | None:
    """Parse a line as a record with numbers as values; None if it is not one."""
    try:
        record = msgspec.json.decode(line)
        msgspec.convert(record, _Record)
    except (ValueError, RecursionError):
        return None
    return {name: value for name, value in record.items() if name == "kind" or _is_number(value)}


def _is_number(value: Any) -> bool:
    """Whether a value is null or a number of a metric; false and true are not."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return abs(value) <= LARGEST_VALUE
    return value is None
