"""What a run reports: lines and events, and what a crash left of them."""

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
from segue.tracking import Tracker


@pytest.fixture
def metrics(tmp_path: Path) -> Path:
    return tmp_path / "metrics.jsonl"


@pytest.fixture
def track(metrics: Path):
    """Makes a tracker that continues after a step."""

    def tracker_after(step: int = 0) -> Tracker:
        return Tracker(metrics, metrics.parent / "events", step)

    return tracker_after


def lines_of(metrics: Path) -> list[dict]:
    return [json.loads(line) for line in metrics.read_text("utf-8").splitlines()]


def events_of(metrics: Path) -> list[Event]:
    """All events in the order of the files, read by the format's own definition."""
    events = []
    for file in sorted((metrics.parent / "events").iterdir()):
        content, begin = file.read_bytes(), 0
        while begin < len(content):
            length, _ = struct.unpack_from("<QI", content, begin)
            event = content[begin + 12 : begin + 12 + length]
            (checksum,) = struct.unpack_from("<I", content, begin + 12 + length)
            assert checksum == masked_crc32c(event)
            events.append(Event.FromString(event))
            begin += 12 + length + 4
    return events


def scalars_of(metrics: Path) -> list[tuple[int, str, float]]:
    return [
        (event.step, value.tag, pytest.approx(value.simple_value))
        for event in events_of(metrics)
        for value in event.summary.value
    ]


def test_a_record_is_a_line_and_scalars(track, metrics):
    track().record(10, "train", {"loss": 2.5, "epoch": 1, "skipped_steps": [3, 4]})
    track(10).record(20, "validation", {"ndcg@10": 0.25})
    assert lines_of(metrics) == [
        {"step": 10, "kind": "train", "loss": 2.5, "epoch": 1, "skipped_steps": [3, 4]},
        {"step": 20, "kind": "validation", "ndcg@10": 0.25},
    ]
    assert scalars_of(metrics) == [
        (10, "train/loss", 2.5),
        (10, "train/epoch", 1),
        (20, "validation/ndcg@10", 0.25),
    ]


def test_records_can_be_read_while_the_run_goes_on(track, metrics):
    tracker = track()
    for step in (1, 2, 3):
        tracker.record(step, "train", {"loss": 1.0})
        assert len(lines_of(metrics)) == len(scalars_of(metrics)) == step


def test_what_is_no_finite_number_is_null_in_a_line(track, metrics):
    track().record(1, "train", {"loss": float("nan"), "norm": float("inf"), "rate": 0.1})
    assert lines_of(metrics) == [
        {"step": 1, "kind": "train", "loss": None, "norm": None, "rate": 0.1}
    ]


def test_resuming_drops_later_steps(track, metrics):
    tracker = track()
    for step in range(1, 6):
        tracker.record(step, "train", {"loss": 1.0 / step})
    track(3)
    assert [line["step"] for line in lines_of(metrics)] == [1, 2, 3]


def test_resuming_makes_tensorboard_forget_later_steps(track, metrics):
    track().record(5, "train", {"loss": 1.0})
    track(3)
    begins = [event.step for event in events_of(metrics) if event.HasField("session_log")]
    assert sorted(begins) == [1, 4]
    assert events_of(metrics)[-1].session_log.status == SessionLog.START


def test_every_event_file_begins_with_its_version(track, metrics):
    track()
    assert events_of(metrics)[0].file_version == "brain.Event:2"


def test_resumed_at_once_keeps_the_events_of_before(track, metrics):
    """File names carry the second; the same second must not overwrite."""
    for step in (0, 10, 20):
        track(step).record(step + 10, "train", {"loss": 1.0})
    assert sorted(step for step, _, _ in scalars_of(metrics)) == [10, 20, 30]


@pytest.mark.parametrize("rest", ['{"step": 2, "ki', '{"step": 2', "{", "null", "7", "[]", "{}"])
def test_resuming_drops_half_a_line(track, metrics, rest):
    whole = '{"step": 1, "kind": "train", "loss": 1.0}\n'
    metrics.write_text(whole + rest, "utf-8")
    track(5).record(6, "train", {"loss": 0.5})
    assert [line["step"] for line in lines_of(metrics)] == [1, 6]
    assert metrics.read_text("utf-8").startswith(whole)


def test_a_last_line_that_lacks_only_its_end_is_kept(track, metrics):
    metrics.write_text('{"step": 1, "kind": "train"}', "utf-8")
    track(5).record(6, "train", {})
    assert [line["step"] for line in lines_of(metrics)] == [1, 6]


def test_events_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="cannot write the metrics"):
        Tracker(tmp_path / "metrics.jsonl", tmp_path / "file" / "events", 0)


def test_lines_that_cannot_be_written(track, metrics):
    tracker = track()
    metrics.mkdir()
    with pytest.raises(StorageError, match="cannot write the metrics"):
        tracker.record(1, "train", {})


FULL_DISK = """
import resource, sys
from pathlib import Path
from segue.errors import StorageError
from segue.tracking import Tracker

folder = Path(sys.argv[1])
tracker = Tracker(folder / "metrics.jsonl", folder / "events", 0)
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
try:
    for step in range(1, 1000):
        tracker.record(step, "train", {"loss": 1.0, "norm": 2.0})
except StorageError as error:
    print(error)
"""


def test_full_disk_is_one_clear_line(metrics):
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", FULL_DISK, str(metrics.parent)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert ended.stdout.startswith("cannot write the metrics")
    assert len(ended.stdout.splitlines()) == 1
    assert ended.stderr == ""
