"""Fixtures of the tests of the prepared dataset."""

from __future__ import annotations

import pytest

from segue.dataset import sequences, splits


@pytest.fixture(params=[3, 1 << 20], ids=["tiny blocks", "one block"])
def any_blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run a test with blocks of a few events, and again with blocks that hold everything."""
    monkeypatch.setattr(sequences, "BLOCK_EVENTS", request.param)
    monkeypatch.setattr(splits, "BLOCK_EVENTS", request.param)
    return request.param
