"""The metrics log: lines, TensorBoard events, and both after an interrupted run."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.record_writer import masked_crc32c

from segue.errors import StorageError
from segue.runs.metrics_log import MetricsWriter


@pytest.fixture
def metrics(tmp_path: Path) -> Path:
    return tmp_path / "metrics.jsonl"


@pytest.fixture
def new_writer(metrics: Path):
    """A function that creates a writer which continues after a step."""

    def writer_after(step: int = 0) -> MetricsWriter:
        return MetricsWriter(metrics, metrics.parent / "events", step)

    return writer_after


def lines_of(metrics: Path) -> list[dict]:
    return [json.loads(line) for line in metrics.read_text("utf-8").splitlines()]


def events_of(metrics: Path) -> list[Event]:
    """All events in the order of the files, decoded with TensorBoard's own protocol buffers."""
    events = []
    for file in sorted((metrics.parent / "events").iterdir()):
        content, start = file.read_bytes(), 0
        while start < len(content):
            length, _ = struct.unpack_from("<QI", content, start)
            event = content[start + 12 : start + 12 + length]
            (checksum,) = struct.unpack_from("<I", content, start + 12 + length)
            assert checksum == masked_crc32c(event)
            events.append(Event.FromString(event))
            start += 12 + length + 4
    return events


def scalars_of(metrics: Path) -> list[tuple[int, str, float]]:
    return [
        (event.step, value.tag, pytest.approx(value.simple_value))
        for event in events_of(metrics)
        for value in event.summary.value
    ]


def test_a_record_becomes_a_line_and_scalar_events(new_writer, metrics):
    new_writer().record(10, "train", {"loss": 2.5, "epoch": 1, "skipped_steps": [3, 4]})
    new_writer(10).record(20, "validation", {"ndcg@10": 0.25})
    assert lines_of(metrics) == [
        {"step": 10, "kind": "train", "loss": 2.5, "epoch": 1, "skipped_steps": [3, 4]},
        {"step": 20, "kind": "validation", "ndcg@10": 0.25},
    ]
    assert scalars_of(metrics) == [
        (10, "train/loss", 2.5),
        (10, "train/epoch", 1),
        (20, "validation/ndcg@10", 0.25),
    ]


def test_records_are_written_immediately(new_writer, metrics):
    writer = new_writer()
    for step in (1, 2, 3):
        writer.record(step, "train", {"loss": 1.0})
        assert len(lines_of(metrics)) == len(scalars_of(metrics)) == step


def test_numbers_that_are_not_finite_become_null(new_writer, metrics):
    new_writer().record(1, "train", {"loss": float("nan"), "norm": float("inf"), "rate": 0.1})
    assert lines_of(metrics) == [
        {"step": 1, "kind": "train", "loss": None, "norm": None, "rate": 0.1}
    ]


def test_resuming_drops_later_steps(new_writer, metrics):
    writer = new_writer()
    for step in range(1, 6):
        writer.record(step, "train", {"loss": 1.0 / step})
    new_writer(3)
    assert [line["step"] for line in lines_of(metrics)] == [1, 2, 3]


def test_resuming_drops_later_steps_in_tensorboard(new_writer, metrics):
    new_writer().record(5, "train", {"loss": 1.0})
    new_writer(3)
    session_starts = [event.step for event in events_of(metrics) if event.HasField("session_log")]
    assert sorted(session_starts) == [1, 4]
    assert events_of(metrics)[-1].session_log.status == SessionLog.START


def test_every_event_file_starts_with_its_version(new_writer, metrics):
    new_writer()
    assert events_of(metrics)[0].file_version == "brain.Event:2"


def test_resuming_within_a_second_keeps_older_events(new_writer, metrics):
    """File names contain the time in seconds; a second file must not overwrite the first."""
    for step in (0, 10, 20):
        new_writer(step).record(step + 10, "train", {"loss": 1.0})
    assert sorted(step for step, _, _ in scalars_of(metrics)) == [10, 20, 30]


@pytest.mark.parametrize("partial", ['{"step": 2, "ki', '{"step": 2', "{", "null", "7", "[]", "{}"])
def test_resuming_drops_a_partial_line(new_writer, metrics, partial):
    complete = '{"step": 1, "kind": "train", "loss": 1.0}\n'
    metrics.write_text(complete + partial, "utf-8")
    new_writer(5).record(6, "train", {"loss": 0.5})
    assert [line["step"] for line in lines_of(metrics)] == [1, 6]
    assert metrics.read_text("utf-8").startswith(complete)


def test_a_complete_last_line_without_newline_is_kept(new_writer, metrics):
    metrics.write_text('{"step": 1, "kind": "train"}', "utf-8")
    new_writer(5).record(6, "train", {})
    assert [line["step"] for line in lines_of(metrics)] == [1, 6]


def test_events_that_cannot_be_written_are_an_error(tmp_path):
    (tmp_path / "file").write_text("a file")
    with pytest.raises(StorageError, match="cannot write the metrics"):
        MetricsWriter(tmp_path / "metrics.jsonl", tmp_path / "file" / "events", 0)


def test_lines_that_cannot_be_written_are_an_error(new_writer, metrics):
    writer = new_writer()
    metrics.mkdir()
    with pytest.raises(StorageError, match="cannot write the metrics"):
        writer.record(1, "train", {})


FULL_DISK = """
import resource, sys
from pathlib import Path
from segue.errors import StorageError
from segue.runs.metrics_log import MetricsWriter

folder = Path(sys.argv[1])
writer = MetricsWriter(folder / "metrics.jsonl", folder / "events", 0)
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
try:
    for step in range(1, 1000):
        writer.record(step, "train", {"loss": 1.0, "norm": 2.0})
except StorageError as error:
    print(error)
"""


def test_a_full_disk_is_one_clear_error(metrics):
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", FULL_DISK, str(metrics.parent)],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert ended.stdout.startswith("cannot write the metrics")
    assert len(ended.stdout.splitlines()) == 1
    assert ended.stderr == ""
