"""The reliability diagram: what is drawn of the card, and runs that have none."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from segue.errors import RunError
from segue.pictures import draw_reliability, reliability

BINS = [
    {"probability": 0.1, "share": 0.05, "n": 100},
    {"probability": 0.4, "share": 0.5, "n": 100},
]
CALIBRATION = {
    "temperature": 0.87,
    "requests": 1200,
    "nats_at_1": 3.1,
    "nats": 3.0,
    "reliability": {
        "top-1": {"error_at_1": 0.1, "error": 0.075, "error_by_chance": 0.03, "bins": BINS},
        "top-10": {"error_at_1": 0.0, "error": 0.0, "error_by_chance": 0.0, "bins": BINS[:1]},
    },
}


@pytest.fixture
def run(picture_run: Path, tmp_path: Path) -> Path:
    """A copy of a run, without its weights, with a calibration in its card."""
    folder = tmp_path / "run"
    folder.mkdir()
    shutil.copy(picture_run / "config.json", folder)
    card = json.loads((picture_run / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps(card | {"ensemble": {"calibration": CALIBRATION}}))
    return folder


def test_the_bins_are_drawn_beside_the_diagonal(run: Path) -> None:
    figure = Figure()
    axes = figure.add_axes((0, 0, 1, 1))
    reliability._draw_bins(axes, CALIBRATION["reliability"])
    points = [line.get_xydata().tolist() for line in axes.lines]
    assert [[0.1, 0.05], [0.4, 0.5]] in points
    assert [[0.1, 0.05]] in points
    (x, y), (x_end, y_end) = points[-1]
    assert x == y == 0
    assert x_end == y_end == axes.get_xlim()[1] == axes.get_ylim()[1] > 0.55


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_the_same_card_gives_the_same_file(run: Path, tmp_path: Path, suffix: str) -> None:
    files = [tmp_path / f"{name}.{suffix}" for name in ("one", "two")]
    for file in files:
        assert draw_reliability(run, file).notes == []
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_run_without_a_calibration_is_refused(picture_run: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="were not calibrated"):
        draw_reliability(picture_run, tmp_path / "file.svg")
