"""``segue recommend`` and ``segue generate`` with ``--input``, and ``segue similar``."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from commands import segue

from segue.cli import batch
from segue.dataset import Dataset
from segue.recommender import Recommender


@pytest.fixture(scope="module")
def ids(world: Path) -> list[str]:
    return Dataset.open(world).items.ids


@pytest.fixture
def source(tmp_path: Path, ids: list[str]) -> Path:
    rows = [{"id": f"r{i}", "items": [ids[i], ids[i + 1]], "colour": "red"} for i in range(7)]
    rows.append({"id": "unknown", "items": ["never seen"], "colour": "blue"})
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path / "in.jsonl"


def lists_in(path: Path) -> dict[str, list[str]]:
    lists: dict[str, list[str]] = {}
    for row in pq.read_table(path).to_pylist():
        lists.setdefault(row["id"], []).append(row["item_id"])
    return lists


@pytest.mark.parametrize("verb", ["recommend", "generate"])
def test_a_batch_has_the_lists_of_single_commands(
    run: Path, ids: list[str], source: Path, tmp_path: Path, verb: str
) -> None:
    options: list[Any] = ["-k", 3, "--exclude", ids[5]]
    if verb == "generate":
        options = ["--length", 3, "--seed", 4, "--include-seen"]
    output = tmp_path / "out.parquet"
    summary = segue(verb, run, "--input", source, "--output", output, *options, "--json").json
    counts = {"rows": 8, "items": 24, "rows_with_unknown_items": 1, "ignored_columns": ["colour"]}
    assert counts.items() <= summary.items()
    assert pq.read_table(summary["notes_output"])["unknown_items"].to_pylist() == [["never seen"]]
    lists = lists_in(output)
    for i in (0, 6):
        single = segue(verb, run, "--items", f"{ids[i]},{ids[i + 1]}", *options, "--json").json
        assert lists[f"r{i}"] == [item["item_id"] for item in single["items"]]


def test_the_summary_is_printed(run: Path, source: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.csv"
    outcome = segue("recommend", run, "--input", source, "--output", output, "-k", 2)
    assert outcome.code == 0
    assert re.search(r"^rows +8 *$", outcome.out, re.MULTILINE)
    assert re.search(r"^items +16 *$", outcome.out, re.MULTILINE)
    assert "unknown items" in outcome.out
    assert "colour" in outcome.out
    again = segue("recommend", run, "--input", source, "--output", output)
    assert "exists (choose another one, or give --overwrite" in again.error
    assert segue("recommend", run, "--input", source, "--output", output, "--overwrite").code == 0


def test_a_dataset_as_input(run: Path, world: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.parquet"
    arguments = ("--input", world, "--output", output, "-k", 2, "--json")
    assert segue("recommend", run, *arguments).json["rows"] == 240
    assert pq.read_table(output).column_names[0] == "sequence_id"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--input", "in.jsonl"], "--input is given without --output"),
        (["--output", "out.csv", "--items", "a"], "--output is given without --input"),
        (["--overwrite", "--items", "a"], "--overwrite is given without --input"),
        (["--id-column", "x", "--items", "a"], "--id-column is given without --input"),
        (
            ["--input", "in.jsonl", "--output", "out.csv", "--items", "a"],
            "--items (or a --query file with it) is for one request, not for --input",
        ),
        (
            ["--input", "in.jsonl", "--output", "out.csv", "--user", "a"],
            "--user (or a --query file with it) is for one request, not for --input",
        ),
        (["--input", "no.jsonl", "--output", "out.csv"], "cannot read no.jsonl: No such file"),
    ],
)
@pytest.mark.parametrize("verb", ["recommend", "generate"])
def test_options_that_contradict(run: Path, verb: str, options: list[str], message: str) -> None:
    assert message in segue(verb, run, *options).error


def test_progress_lines_where_stderr_is_no_terminal(
    run: Path, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "SECONDS_PER_LINE", 0.0)
    outcome = segue("recommend", run, "--input", source, "--output", tmp_path / "out.csv")
    assert "checking 8 rows" in outcome.err
    assert "computing 8/8 rows" in outcome.err
    assert "writing 8/8 rows" in outcome.err


def test_a_stopped_batch_says_how_to_continue(
    run: Path, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*arguments: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Recommender, "recommend_file", stop)
    outcome = segue("recommend", run, "--input", source, "--output", tmp_path / "out.csv")
    assert (outcome.code, outcome.err) == (130, "stopped; the same command continues\n")


# --- similar ---


def test_similar_prints_the_answer_of_the_library(run: Path, ids: list[str]) -> None:
    answer = segue("similar", run, "--item", ids[0], "-k", 4, "--exclude", ids[1], "--json").json
    expected = Recommender.load(run).similar_items(ids[0], 4, exclude=[ids[1]]).to_dict()
    for values in (answer, expected):
        assert values.pop("took_ms") > 0
        values.pop("seen", None)
    shown = [item.pop("attributes") for item in answer["items"]]
    assert all(attributes.keys() == {"artist", "year", "genres"} for attributes in shown)
    assert answer == expected
    table = segue("similar", run, "--item", ids[0], "-k", 2, "--where", "training_count >= 0")
    assert table.code == 0
    assert len(table.out.splitlines()) == 4
    assert "is not in the catalogue" in segue("similar", run, "--item", "never seen").error
