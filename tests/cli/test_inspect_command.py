"""``segue inspect``: the audit of a dataset, the card of a run, the summary of its model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import segue

from segue.inspection import summarise_model, trace_encoder
from segue.recommender import Recommender, Run


def test_the_audit_is_printed_with_histograms(world: Path) -> None:
    printed = segue("inspect", world).out
    for words in ("density", "repeats", "guarantee", ": holds", "events per sequence", "█"):
        assert words in printed


def test_the_share_of_ties_is_printed(log: Path) -> None:
    log.write_text(log.read_text().replace("1600000100", "1600000000"))
    dataset = log.parent / "data"
    assert segue("prepare", log, "-o", dataset).code == 0
    printed = segue("inspect", dataset).out
    assert "20.0 % of the events tie with the one before" in printed


def test_the_leakage_of_windows_is_printed(log: Path) -> None:
    dataset = log.parent / "data"
    assert segue("prepare", log, "-o", dataset, "--split", "windows").code == 0
    assert "by design" in segue("inspect", dataset).out


@pytest.mark.parametrize("columns", ["20", "40", "500"])
def test_tables_fit_into_any_terminal(
    world: Path, columns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    outcome = segue("inspect", world)
    assert outcome.code == 0
    assert max(map(len, outcome.out.splitlines())) <= int(columns)


def test_the_card_of_a_run(run: Path) -> None:
    content = segue("inspect", run, "--json").json
    assert content["kind"] == "run"
    assert content["card"]["steps"] == 6
    assert content["config"]["model"]["width"] == 16
    assert content["ensemble"] is None
    printed = segue("inspect", run).out
    assert "width=16" in printed
    assert "parameters" in printed


def test_the_members_of_an_ensemble(mixed_run: Path) -> None:
    ensemble = Run(mixed_run).ensemble
    assert segue("inspect", mixed_run, "--json").json["ensemble"] == ensemble
    printed = segue("inspect", mixed_run).out
    words = (
        "configuration",
        "members of the ensemble",
        "transformer",
        "weight 0.5",
        "co-occurrence",
        "scale 0.05",
        "window=5",
        "length=10",
    )
    for word in words:
        assert word in printed


def test_the_model_of_a_run_as_a_table_and_as_json(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    expected = summarise_model(trace_encoder(Recommender.load(run).encoder))
    content = segue("inspect", run, "--model", "--json").json
    assert content == {"kind": "model", "path": str(run), **expected.to_dict()}
    assert content["parameters"] == json.loads((run / "card.json").read_text())["parameters"]
    outcome = segue("inspect", run, "--model")
    lines = outcome.out.splitlines()
    assert len(lines) == 2 + len(expected.rows) + 1
    assert lines[0].split() == [
        "module",
        "kind",
        "parameter",
        "shapes",
        "output",
        "parameters",
        "FLOPs",
    ]
    assert lines[2].split()[:2] == ["item_embeddings", "Table"]
    assert lines[-1].split() == ["total", f"{expected.parameters:,}", f"{expected.flops:,}"]
    assert "a multiply-add counts as 2 FLOPs, an embedding lookup as 0" in " ".join(
        outcome.err.split()
    )


def test_a_dataset_has_no_model(world: Path) -> None:
    assert "is a dataset and has no model" in segue("inspect", world, "--model").error
