"""``segue prepare``: its options, its output and the dataset it writes."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import segue

from segue.dataset import Dataset
from segue.preparation import prepare


def prepared(log: Path, *options: object) -> dict:
    """Prepare a log and return what is printed as JSON."""
    return segue("prepare", log, "-o", log.parent / "data", "--json", *options).json


def test_json_is_the_manifest(log: Path) -> None:
    manifest = prepared(log)
    assert manifest["kind"] == "dataset"
    assert manifest["counts"] == {"sequences": 6, "events": 30, "items": 7, "catalogue": 7}
    assert manifest["split"]["kind"] == "leave-one-out"
    columns = manifest["source"]["report"]["columns"]
    assert columns["user"] == "user_id"
    assert columns["item"] == "item_id"
    assert manifest == segue("inspect", log.parent / "data", "--json").json


def test_the_command_does_what_the_function_does(log: Path) -> None:
    manifest = prepared(log, "--split", "holdout", "--seed", 3)
    data = prepare(log, log.parent / "again", split="holdout", seed=3)
    assert manifest["fingerprint"] == data.fingerprint


@pytest.mark.parametrize(
    ("options", "section", "expected"),
    [
        ("--min-rating 2", "filters", {"min_rating": 2.0}),
        (
            "--columns user,item,time,rating,event --header",
            "source",
            {"columns": ["user", "item", "time", "rating", "event"], "header": True},
        ),
        ("--separator , --quote none", "source", {"separator": ",", "quote": "none"}),
        ("--quote ' --escape \\", "source", {"quote": "'", "escape": "\\"}),
        ("--encoding latin1 --comment #", "source", {"encoding": "iso8859-1", "comment": "#"}),
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
        ("--split holdout --validation-share 0.2", "split", {"validation_share": 0.2}),
        ("--split holdout --test-share 0.3", "split", {"test_share": 0.3}),
        ("--split windows --window 2", "split", {"window": 2}),
    ],
)
def test_every_option_reaches_the_configuration(
    log: Path, options: str, section: str, expected: dict
) -> None:
    values = prepared(log, *options.split())["options"][section]
    assert {key: values[key] for key in expected} == expected


def test_filters_are_applied(log: Path) -> None:
    assert prepared(log, "--event-type", "buy")["counts"]["events"] == 24
    assert prepared(log, "--min-rating", 3)["counts"]["events"] == 18
    assert prepared(log, "--session-gap", "1h")["counts"]["sequences"] == 12


def test_items_file_and_memory_limit(log: Path) -> None:
    titles = log.parent / "titles.csv"
    titles.write_text("item_id,title\ni0,Nought\n")
    prepared(log, "--items-file", titles, "--memory-limit", "500MB")
    data = Dataset.open(log.parent / "data")
    assert data.items.titles(data.items.find(["i0"])) == ["Nought"]


def test_the_columns_of_an_items_file_are_printed(log: Path) -> None:
    sounds = log.parent / "sounds.jsonl"
    sounds.write_text('{"movie_id": "i0", "name": "Nought", "label": "x", "sound": [1.5, 2]}\n')
    outcome = segue("prepare", log, "-o", log.parent / "data", "--items-file", sounds)
    assert outcome.code == 0
    printed = " ".join(outcome.out.split())
    assert "item=movie_id, title=name, label, sound (2 numbers)" in printed
    assert "describes 1 of the log's" in printed


def test_an_items_file_without_matching_ids_is_a_warning(log: Path) -> None:
    titles = log.parent / "titles.csv"
    titles.write_text("item_id,title\nother,Nought\n")
    outcome = segue("prepare", log, "-o", log.parent / "data", "--items-file", titles)
    assert outcome.code == 0
    printed = " ".join(outcome.out.split())
    assert "describes none of the log's" in printed
    assert "'other', the log has 'i" in printed


def test_the_demo_world_has_the_given_size(world: Path) -> None:
    manifest = segue("inspect", world, "--json").json
    assert manifest["source"]["format"] == "demo"
    assert manifest["counts"]["sequences"] == 240
    assert manifest["counts"]["items"] == 160


def test_the_overview_is_printed(log: Path) -> None:
    outcome = segue("prepare", log, "-o", log.parent / "data")
    assert outcome.code == 0
    for word in ("tabular", "user=user_id", "6, 5 to 5 events", "leave-one-out, seed 0", "100.0 %"):
        assert word in outcome.out


def test_short_sequences_are_kept_with_a_warning(log: Path) -> None:
    log.write_text(log.read_text() + "loner,i0,1600000000,1,buy\n")
    outcome = segue("prepare", log, "-o", log.parent / "data")
    assert outcome.code == 0
    assert "1 sequence" in outcome.out
    assert "fewer than 3 events" in outcome.out
