"""``segue prepare`` and ``segue inspect``: what they read, print and leave."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import segue

from segue.config import PrepareConfig
from segue.dataset import Dataset, prepare


def prepared(log: Path, *options: object) -> dict:
    return segue("prepare", log, "-o", log.parent / "data", "--json", *options).json


def test_json_is_the_manifest(log: Path) -> None:
    found = prepared(log)
    assert found["kind"] == "dataset"
    assert found["counts"] == {"sequences": 6, "events": 30, "items": 7, "catalogue": 7}
    assert found["split"]["kind"] == "leave-one-out"
    columns = found["source"]["report"]["columns"]
    assert columns["user"] == "user_id"
    assert columns["item"] == "item_id"
    assert found == segue("inspect", log.parent / "data", "--json").json


def test_the_command_does_what_the_function_does(log: Path) -> None:
    found = prepared(log, "--split", "holdout", "--seed", 3)
    config = PrepareConfig.model_validate({"split": {"kind": "holdout", "seed": 3}})
    again = prepare(log, log.parent / "again", config)
    assert found["fingerprint"] == again.fingerprint


@pytest.mark.parametrize(
    ("options", "part", "expected"),
    [
        ("--min-rating 2", "filters", {"min_rating": 2.0}),
        ("--session-gap 30m", "filters", {"session_gap_s": 1800.0}),
        ("--drop-consecutive-repeats", "filters", {"drop_consecutive_repeats": True}),
        ("--min-item-events 2", "filters", {"min_item_events": 2}),
        ("--min-sequence-events 4", "filters", {"min_sequence_events": 4}),
        ("--event-type buy", "source", {"event_type": ["buy"]}),
        ("--event-type buy --event-type view", "source", {"event_type": ["buy", "view"]}),
        ("--user-column user_id", "source", {"user_column": "user_id"}),
        ("--item-column item_id", "source", {"item_column": "item_id"}),
        ("--time-column timestamp", "source", {"time_column": "timestamp"}),
        ("--rating-column rating", "source", {"rating_column": "rating"}),
        ("--event-column event", "source", {"event_column": "event"}),
        ("--format tabular", "source", {"format": "tabular"}),
        ("--split holdout", "split", {"kind": "holdout"}),
        ("--catalogue all --seed 5", "split", {"catalogue": "all", "seed": 5}),
    ],
)
def test_every_option_reaches_the_configuration(
    log: Path, options: str, part: str, expected: dict
) -> None:
    found = prepared(log, *options.split())["options"][part]
    assert {key: found[key] for key in expected} == expected


def test_options_act_on_the_events(log: Path) -> None:
    assert prepared(log, "--event-type", "buy")["counts"]["events"] == 24
    assert prepared(log, "--min-rating", 3)["counts"]["events"] == 18
    assert prepared(log, "--session-gap", "1h")["counts"]["sequences"] == 12


def test_items_file_and_memory_limit(log: Path) -> None:
    titles = log.parent / "titles.csv"
    titles.write_text("item_id,title\ni0,Nought\n")
    prepared(log, "--items-file", titles, "--memory-limit", "500MB")
    data = Dataset.open(log.parent / "data")
    assert data.items.titles(data.items.find(["i0"])) == ["Nought"]


def test_the_columns_of_an_items_file_are_shown(log: Path) -> None:
    sounds = log.parent / "sounds.jsonl"
    sounds.write_text('{"movie_id": "i0", "name": "Nought", "label": "x", "sound": [1.5, 2]}\n')
    outcome = segue("prepare", log, "-o", log.parent / "data", "--items-file", sounds)
    assert outcome.code == 0
    shown = " ".join(outcome.out.split())
    assert "item=movie_id, title=name, label, sound (2 numbers)" in shown
    assert "describes 1 of the log's" in shown


def test_an_items_file_that_matches_nothing_is_warned_of(log: Path) -> None:
    titles = log.parent / "titles.csv"
    titles.write_text("item_id,title\nother,Nought\n")
    outcome = segue("prepare", log, "-o", log.parent / "data", "--items-file", titles)
    assert outcome.code == 0
    shown = " ".join(outcome.out.split())
    assert "describes none of the log's" in shown
    assert "'other', the log has 'i" in shown


def test_the_demo_world_takes_its_size(world: Path) -> None:
    found = segue("inspect", world, "--json").json
    assert found["source"]["format"] == "demo"
    assert found["counts"]["sequences"] == 240
    assert found["counts"]["items"] == 160


def test_the_table_shows_what_was_found(log: Path) -> None:
    outcome = segue("prepare", log, "-o", log.parent / "data")
    assert outcome.code == 0
    for word in ("tabular", "user=user_id", "6, 5 to 5 events", "leave-one-out, seed 0", "100.0 %"):
        assert word in outcome.out


def test_short_sequences_are_kept_and_said(log: Path) -> None:
    log.write_text(log.read_text() + "loner,i0,1600000000,1,buy\n")
    outcome = segue("prepare", log, "-o", log.parent / "data")
    assert outcome.code == 0
    assert "1 sequence" in outcome.out
    assert "fewer than 3 events" in outcome.out


def test_inspect_draws_the_audit(world: Path) -> None:
    shown = segue("inspect", world).out
    for word in ("density", "repeats", "promise", "kept", "events in a sequence", "█"):
        assert word in shown


def test_inspect_says_what_ties(log: Path) -> None:
    log.write_text(log.read_text().replace("1600000100", "1600000000"))
    prepared(log)
    shown = segue("inspect", log.parent / "data").out
    assert "20.0 % of the events tie with the one before" in shown


def test_inspect_admits_that_windows_leak(log: Path) -> None:
    prepared(log, "--split", "windows")
    assert "by design" in segue("inspect", log.parent / "data").out


@pytest.mark.parametrize("columns", ["20", "40", "500"])
def test_tables_survive_any_terminal(
    world: Path, columns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    outcome = segue("inspect", world)
    assert outcome.code == 0
    assert max(map(len, outcome.out.splitlines())) <= int(columns)
