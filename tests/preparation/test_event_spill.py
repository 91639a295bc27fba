"""Events in temporary files: written, read back in blocks, counted and translated."""

from __future__ import annotations

import numpy as np
import pytest

from segue.preparation.event_spill import EventSpill
from small_logs import events_of, rows_of

ROWS = [[(0, 1, 1.0), (1, 2, 2.0)], [(2, 3, 3.0)], [(0, 4, 4.0), (0, 5, 5.0), (1, 6, 6.0)]]


@pytest.fixture
def log(tmp_path):
    log = EventSpill(tmp_path / "log")
    log.append(events_of(ROWS[:1]))
    log.append(events_of(ROWS[1:]))
    return log


def test_round_trip(log, event_block_size):
    assert [row for block in log.blocks() for row in rows_of(block)] == ROWS
    assert log.lengths.tolist() == [2, 1, 3]


def test_blocks_are_bounded(log, monkeypatch):
    monkeypatch.setattr("segue.ragged.BLOCK_EVENTS", 3)
    assert [len(block.items) for block in log.blocks()] == [3, 3]


def test_item_counts(log, event_block_size):
    assert log.item_counts(4).tolist() == [3, 2, 1, 0]


def test_columns_are_mapped(log):
    items = log.column("items")
    assert items.tolist() == [0, 1, 2, 0, 0, 1]
    assert not items.flags.writeable
    assert log.column("times").dtype == np.int64


def test_translate_items(log, event_block_size):
    log.translate_items(np.array([30, 10, 20], np.int32))
    assert log.column("items").tolist() == [30, 10, 20, 30, 30, 10]
    assert log.column("times").tolist() == [1, 2, 3, 4, 5, 6]


def test_absent_columns(tmp_path):
    log = EventSpill(tmp_path / "log")
    log.append(events_of(ROWS)._replace(times=None, ratings=None))
    assert log.column("times") is None
    block = next(log.blocks())
    assert block.items.tolist() == [0, 1, 2, 0, 0, 1]
    assert block.ratings is None


def test_an_empty_log(tmp_path):
    log = EventSpill(tmp_path / "log")
    assert log.lengths.tolist() == []
    assert list(log.blocks()) == []
    assert log.item_counts(2).tolist() == [0, 0]


def test_remove(log, tmp_path):
    log.remove()
    assert list(tmp_path.iterdir()) == []
