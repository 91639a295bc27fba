"""Fixtures of the tests of sources."""

from __future__ import annotations

from pathlib import Path

import pytest
from mpd_slices import full_playlist, write_slice


@pytest.fixture
def four_slices(tmp_path: Path) -> Path:
    """A dataset laid out like the original, with slice numbers that sort differently as text."""
    for number in (10_000, 2_000, 0, 1_000):
        write_slice(tmp_path / "mpd/data", number, full_playlist(number, "a b a"))
    (tmp_path / "mpd/README.md").write_text("about")
    (tmp_path / "mpd/data/notes.json").write_text("{}")
    return tmp_path / "mpd"
