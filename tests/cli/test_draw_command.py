"""``segue draw`` and ``segue inspect --model``: files, notes, and one line for every mistake."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from commands import segue

from segue.anatomy import summarise
from segue.dataset import Dataset
from segue.recommender import Recommender


@pytest.fixture(scope="module")
def ids(world: Path) -> list[str]:
    return Dataset.open(world).items.ids


@pytest.mark.parametrize("what", ["curves", "model"])
def test_draws_a_file_and_prints_its_name(run: Path, tmp_path: Path, what: str) -> None:
    file = tmp_path / f"{what}.svg"
    outcome = segue("draw", run, what, "-o", file)
    assert (outcome.code, outcome.out, outcome.err) == (0, f"{file}\n", "")
    assert file.stat().st_size > 1000


def test_draws_a_list_with_posters_and_says_what_is_missing(
    run: Path, ids: list[str], tmp_path: Path
) -> None:
    file, posters = tmp_path / "list.png", tmp_path / "posters"
    posters.mkdir()
    (posters / f"{ids[0]}.jpg").write_bytes(b"broken")
    history = ("--items", f"{ids[0]},{ids[1]}", "--item", "no, such")
    arguments = ("draw", run, "list", *history, "-k", 3, "--posters", posters, "-o", file)
    found = segue(*arguments, "--json").json
    assert found == {
        "what": "list",
        "file": str(file),
        "notes": [
            f"5 of 6 items have no poster in {posters}",
            f"1 of 1 posters could not be read: {ids[0]}.jpg",
        ],
    }
    said = segue(*arguments)
    assert (said.out, said.err.splitlines()) == (f"{file}\n", found["notes"])


def test_draws_the_list_of_a_user(run: Path, world: Path, tmp_path: Path) -> None:
    user = Dataset.open(world).sequences.ids[0].as_py()
    file, seen = tmp_path / "user.png", tmp_path / "seen.png"
    assert segue("draw", run, "list", "--user", user, "-k", 100, "-o", file).code == 0
    assert file.read_bytes().startswith(b"\x89PNG")
    asked = segue("draw", run, "list", "--user", user, "-k", 100, "--include-seen", "-o", seen)
    assert asked.code == 0
    assert seen.read_bytes() != file.read_bytes()


def test_mistakes_get_one_line(run: Path, world: Path, tmp_path: Path) -> None:
    file = tmp_path / "picture.png"
    wrong = {
        (run, "curves", "-o", tmp_path / "picture.jpg"): "expected .png, .svg or .pdf",
        (run, "curves", "-o", file, "--items", "a"): "--items is of no use for curves",
        (run, "curves", "-o", file, "-k", 0): "-k is of no use for curves",
        (run, "model", "-o", file, "-k", 10): "-k is of no use for model",
        (run, "model", "-o", file, "--include-seen"): "--include-seen is of no use for model",
        (run, "model", "-o", file, "--posters", tmp_path): "--posters is of no use for model",
        (run, "list", "-o", file, "--posters", tmp_path / "none"): "none does not exist",
        (run, "model", "-o", file, "--title", "rain"): "--title is of no use for model",
        (run, "list", "-o", file, "--title", "rain"): "reads no 'name' of a sequence",
        (run, "list", "-o", file, "-k", 0): "k is 0",
        (run, "list", "-o", file, "-k", 1000): "a picture has room for 100",
        (run, "list", "-o", file, "--user", "nobody"): "user 'nobody' is not in the dataset",
        (run, "map", "-o", file): "'map'",
        (world, "model", "-o", file): "no card.json",
        (world, "curves", "-o", file): "no config.json",
        (run, "curves"): "--output",
        (run, "curves", "-o", tmp_path / "nowhere" / "p.png"): "cannot write",
    }
    for arguments, expected in wrong.items():
        assert expected in segue("draw", *arguments).error
    assert list(tmp_path.iterdir()) == []


def test_without_the_extra_one_line_says_what_to_install(run: Path, tmp_path: Path) -> None:
    """A process whose imports of matplotlib fail, as they do where it is not installed."""
    code = f"""
import sys
sys.modules["matplotlib"] = None
from segue.cli import main
sys.exit(main(["draw", {str(run)!r}, "curves", "-o", {str(tmp_path / "p.png")!r}]))
"""
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == (
        "error: pictures need matplotlib and pillow, which are not installed "
        '(pip install "segue[pictures]")\n'
    )


def test_the_model_of_a_run_as_a_table_and_as_json(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    expected = summarise(Recommender.load(run).network.traced())
    found = segue("inspect", run, "--model", "--json").json
    assert found == {"kind": "model", "path": str(run), **expected.to_json()}
    assert found["parameters"] == json.loads((run / "card.json").read_text())["parameters"]
    said = segue("inspect", run, "--model")
    lines = said.out.splitlines()
    assert len(lines) == 2 + len(expected.rows) + 1
    assert lines[0].split() == [
        "module",
        "kind",
        "parameters",
        "of",
        "shape",
        "output",
        "parameters",
        "FLOPs",
    ]
    assert lines[2].split()[:2] == ["item_table", "Table"]
    assert lines[-1].split() == ["in", "all", f"{expected.parameters:,}", f"{expected.flops:,}"]
    assert "2 a multiply-add" in said.err


def test_a_dataset_has_no_model(world: Path) -> None:
    assert "is a dataset and has no model" in segue("inspect", world, "--model").error
