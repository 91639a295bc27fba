"""``segue draw``: the pictures written, their notes, and error messages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from commands import segue

from segue.dataset import Dataset


@pytest.fixture(scope="module")
def ids(world: Path) -> list[str]:
    return Dataset.open(world).items.ids


@pytest.mark.parametrize("what", ["curves", "model"])
def test_a_picture_is_written_and_its_name_printed(run: Path, tmp_path: Path, what: str) -> None:
    file = tmp_path / f"{what}.svg"
    outcome = segue("draw", run, what, "-o", file)
    assert (outcome.code, outcome.out, outcome.err) == (0, f"{file}\n", "")
    assert file.stat().st_size > 1000


def test_a_run_without_calibration_has_no_reliability(run: Path, tmp_path: Path) -> None:
    outcome = segue("draw", run, "reliability", "-o", tmp_path / "reliability.svg")
    assert outcome.code == 2
    assert "were not calibrated" in outcome.err


def test_a_list_with_posters_and_notes_on_missing_ones(
    run: Path, ids: list[str], tmp_path: Path
) -> None:
    file, posters = tmp_path / "list.png", tmp_path / "posters"
    posters.mkdir()
    (posters / f"{ids[0]}.jpg").write_bytes(b"broken")
    history = ("--items", f"{ids[0]},{ids[1]}", "--item", "no, such")
    arguments = ("draw", run, "list", *history, "-k", 3, "--posters", posters, "-o", file)
    printed = segue(*arguments, "--json").json
    assert printed == {
        "what": "list",
        "file": str(file),
        "notes": [
            f"5 of 6 items have no poster in {posters}",
            f"1 of 1 posters could not be read: {ids[0]}.jpg",
        ],
    }
    outcome = segue(*arguments)
    assert (outcome.out, outcome.err.splitlines()) == (f"{file}\n", printed["notes"])


@pytest.mark.slow
def test_the_list_of_a_user(run: Path, world: Path, tmp_path: Path) -> None:
    user = Dataset.open(world).sequences.ids[0].as_py()
    file, file_with_seen = tmp_path / "user.png", tmp_path / "seen.png"
    assert segue("draw", run, "list", "--user", user, "-k", 100, "-o", file).code == 0
    assert file.read_bytes().startswith(b"\x89PNG")
    options = ("--user", user, "-k", 100, "--include-seen", "-o", file_with_seen)
    assert segue("draw", run, "list", *options).code == 0
    assert file_with_seen.read_bytes() != file.read_bytes()


def test_invalid_options_are_errors(run: Path, world: Path, tmp_path: Path) -> None:
    file = tmp_path / "picture.png"
    expected_messages = {
        (run, "curves", "-o", tmp_path / "picture.jpg"): "expected .png, .svg or .pdf",
        (run, "curves", "-o", file, "--items", "a"): "--items cannot be used with curves",
        (run, "curves", "-o", file, "-k", 0): "-k cannot be used with curves",
        (run, "model", "-o", file, "-k", 10): "-k cannot be used with model",
        (run, "model", "-o", file, "--include-seen"): "--include-seen cannot be used with model",
        (run, "model", "-o", file, "--posters", tmp_path): "--posters cannot be used with model",
        (run, "list", "-o", file, "--posters", tmp_path / "none"): "none does not exist",
        (run, "model", "-o", file, "--title", "rain"): "--title cannot be used with model",
        (run, "list", "-o", file, "--title", "rain"): "has no sequence feature 'name'",
        (run, "list", "-o", file, "-k", 0): "k is 0",
        (run, "list", "-o", file, "-k", 1000): "a picture has at most 100 items",
        (run, "list", "-o", file, "--user", "nobody"): "user 'nobody' is not in the dataset",
        (run, "map", "-o", file): "'map'",
        (world, "model", "-o", file): "no card.json",
        (world, "curves", "-o", file): "no config.json",
        (run, "curves"): "--out",
        (run, "curves", "-o", tmp_path / "nowhere" / "p.png"): "cannot write",
    }
    for arguments, expected in expected_messages.items():
        assert expected in segue("draw", *arguments).error
    assert list(tmp_path.iterdir()) == []


def test_without_the_extra_the_error_says_what_to_install(run: Path, tmp_path: Path) -> None:
    """Matplotlib counts as not installed: the import fails if ``sys.modules`` has None."""
    code = f"""
import sys
sys.modules["matplotlib"] = None
from segue.cli import main
sys.exit(main(["draw", {str(run)!r}, "curves", "-o", {str(tmp_path / "p.png")!r}]))
"""
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False
    )
    assert (process.returncode, process.stdout) == (2, "")
    assert process.stderr == (
        "error: pictures need matplotlib and pillow, which are not installed "
        '(pip install "segue[pictures]")\n'
    )
