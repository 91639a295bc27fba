"""``prepare`` from files, from the built-in world, and from real logs."""

from __future__ import annotations

import pytest

from segue.config import DemoConfig, PrepareConfig, PrepareOptions, SourceConfig
from segue.dataset import Dataset
from segue.errors import ConfigError, SegueError
from segue.preparation import prepare
from small_logs import prepare_config


def test_a_csv_log(tmp_path):
    path = tmp_path / "log.csv"
    rows = [
        f"u{user},i{(user + position) % 7},{position}" for position in range(5) for user in range(9)
    ]
    path.write_text("\n".join(["user_id,item_id,timestamp", *rows]) + "\n")
    dataset = prepare(path, tmp_path / "data")
    assert dataset.manifest.source["format"] == "tabular"
    assert dataset.manifest.split.kind == "leave-one-out"
    assert (len(dataset.sequences), dataset.sequences.n_events) == (9, 45)
    row = dataset.sequences.find("u3")
    assert row is not None
    titles = dataset.items.titles(dataset.sequences.row(row))
    assert titles == ["i3", "i4", "i5", "i6", "i0"]


def test_paths_as_text_and_the_built_in_world(tmp_path):
    world = DemoConfig(sequences=60, items=100, mean_length=12)
    config = PrepareConfig(source=SourceConfig(demo=world))
    dataset = prepare(None, str(tmp_path / "demo"), config=config)
    assert dataset.manifest.source["format"] == "demo"
    assert dataset.manifest.split.kind == "holdout"
    assert len(dataset.sequences) == 60
    assert Dataset.open(str(tmp_path / "demo")).fingerprint == dataset.fingerprint


def test_options_take_precedence_over_the_configuration(tmp_path):
    world = PrepareConfig(source=SourceConfig(demo=DemoConfig(sequences=60, items=300, seed=4)))
    options: PrepareOptions = {"mean_length": 12, "split": "leave-one-out", "seed": 5}
    dataset = prepare(None, tmp_path / "demo", config=world, **options)
    expected = prepare(None, tmp_path / "same", sequences=60, items=300, **options)
    assert dataset.fingerprint == expected.fingerprint
    assert len(dataset.sequences) == 60
    assert (dataset.manifest.split.kind, dataset.manifest.split.seed) == ("leave-one-out", 5)
    assert dataset.manifest.options["source"]["demo"]["seed"] == 5


def test_an_unknown_option_is_one_line_and_writes_nothing(tmp_path):
    with pytest.raises(ConfigError, match="unknown option 'splti'") as caught:
        prepare(None, tmp_path / "demo", splti="holdout")
    assert caught.value.hint == "did you mean 'split'?"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [None, "", "user_id,colour\n1,red\n"])
def test_a_bad_file_gives_a_one_line_error_and_no_dataset(tmp_path, content):
    path = tmp_path / "log.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SegueError) as caught:
        prepare(path, tmp_path / "data")
    assert "\n" not in str(caught.value)
    assert [file.name for file in tmp_path.iterdir() if file != path] == []


@pytest.mark.real_data
def test_movielens_agrees_with_the_published_files(tmp_path, segue_data):
    chosen = prepare_config(min_item_events=5, catalogue="all", kind="leave-one-out")
    dataset = prepare(segue_data / "ml-1m", tmp_path / "ml-1m", config=chosen)
    counts = dataset.manifest.counts
    assert (counts.sequences, counts.events, counts.catalogue) == (6_040, 999_611, 3_416)
    times = dataset.manifest.audit["times"]
    assert times["tie_share"] == pytest.approx(0.27, abs=0.005)
    assert dataset.manifest.audit["leakage"]["violations"] == 0

    published = prepare(
        segue_data / "ml-1m-canonical" / "ml-1m.txt", tmp_path / "pairs", config=chosen
    )
    assert published.manifest.counts == counts
    # The item ids differ, the training counts do not.
    counts, published_counts = (
        prepared.items.table.column("training_count") for prepared in (dataset, published)
    )
    assert counts.equals(published_counts)


@pytest.mark.real_data
def test_movielens_with_the_catalogue_of_all_movies(tmp_path, segue_data):
    dataset = prepare(
        segue_data / "ml-1m", tmp_path / "ml-1m", config=prepare_config(catalogue="all")
    )
    assert dataset.n_catalogue == 3_883
    assert dataset.manifest.audit["counts"]["items_with_events"] == 3_706


@pytest.mark.real_data
def test_playlists(tmp_path, segue_data):
    dataset = prepare(segue_data / "mpd-subset", tmp_path / "playlists")
    parts = dataset.manifest.audit["parts"]
    assert dataset.manifest.split.kind == "holdout"
    assert len(dataset.sequences) == 5_657
    assert parts["test"]["cold_share"] == pytest.approx(0.25, abs=0.05)
    assert parts["test"]["ceiling"] == pytest.approx(1 - parts["test"]["cold_share"])
    assert "name" in dataset.sequences.attributes.column_names
