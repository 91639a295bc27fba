"""What a run reports while it goes: ``metrics.jsonl`` and TensorBoard events."""

from __future__ import annotations

import json
import math
import struct
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# Generated from protocol buffers when imported: pyright sees no names in them.
from tensorboardX.proto.event_pb2 import (
    Event,  # pyright: ignore[reportAttributeAccessIssue]
    SessionLog,  # pyright: ignore[reportAttributeAccessIssue]
)
from tensorboardX.proto.summary_pb2 import Summary  # pyright: ignore[reportAttributeAccessIssue]
from tensorboardX.record_writer import masked_crc32c

from segue.errors import StorageError
from segue.files import replace_file

EVENT_FILE_VERSION = "brain.Event:2"
"""What TensorBoard expects in the first event of a file."""


class Tracker:
    """Writes every record twice: a line of JSON, and scalars for TensorBoard.

    Both are written as they come. The writer that tensorboardX offers for everyday use
    hands events to a thread, and a full disk would end that thread without a word.
    """

    def __init__(self, metrics: Path, events: Path, step: int) -> None:
        """Continue after ``step``: records of later steps, which a crash left, are dropped.

        Raises:
            StorageError: the files cannot be written.
        """
        self._metrics = metrics
        # TensorBoard reads files in the order of their names.
        self._events = events / f"events.out.tfevents.{int(time.time())}.{step:012}"
        try:
            _drop_after(metrics, step)
            events.mkdir(parents=True, exist_ok=True)
            self._write_event(Event(file_version=EVENT_FILE_VERSION))
            # Here it forgets what older files say of this step and later ones.
            begin = SessionLog(status=SessionLog.START)
            self._write_event(Event(step=step + 1, session_log=begin))
        except OSError as error:
            raise _storage_error(metrics, error) from None

    def record(self, step: int, kind: str, values: Mapping[str, Any]) -> None:
        """Write one record.

        Args:
            kind: ``train`` or ``validation``.
            values: numbers by name, null in the line where they are not finite; TensorBoard
                gets those that are scalars.

        Raises:
            StorageError: the disk is full.
        """
        plain = {name: None if _is_not_finite(value) else value for name, value in values.items()}
        line = json.dumps({"step": step, "kind": kind, **plain}, allow_nan=False)
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
            stream.write(_framed(event.SerializeToString()))


def _framed(content: bytes) -> bytes:
    """One record of a TFRecord file: length and content, each with its checksum."""
    length = struct.pack("<Q", len(content))
    checksums = [struct.pack("<I", masked_crc32c(part)) for part in (length, content)]
    return length + checksums[0] + content + checksums[1]


def _storage_error(metrics: Path, error: OSError) -> StorageError:
    message = f"cannot write the metrics of {metrics.parent}: {error.strerror}"
    return StorageError(message, "free some space, then continue with --resume")


def _is_not_finite(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _drop_after(metrics: Path, step: int) -> None:
    """Remove lines of later steps, and a last line that was cut short."""
    if not metrics.exists():
        return
    kept = [line for line in metrics.read_text("utf-8").splitlines() if _is_until(line, step)]
    content = "".join(line + "\n" for line in kept)
    replace_file(metrics, lambda partial: partial.write_text(content, "utf-8"))


def _is_until(line: str, step: int) -> bool:
    try:
        return json.loads(line)["step"] <= step
    except (ValueError, TypeError, KeyError):
        return False
