"""Choosing the reader of a source: by its files, by option, or an error."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from segue.config import DemoConfig, SourceConfig
from segue.errors import ConfigError, SourceError
from segue.sources import open_source

CONFIG = SourceConfig()


def playlists(folder: Path) -> Path:
    text = json.dumps({"playlists": [{"pid": 0, "tracks": [{"track_uri": "a"}]}]})
    (folder / "mpd.slice.0-999.json").write_text(text)
    return folder


def movielens(folder: Path) -> Path:
    (folder / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1,2,3.0,4\n")
    (folder / "movies.csv").write_text("movieId,title,genres\n2,Heat (1995),Action\n")
    return folder


def table(folder: Path) -> Path:
    (folder / "log.csv").write_text("user_id,item_id,timestamp\nu,i,4\n")
    return folder


@pytest.mark.parametrize(
    ("write", "expected"), [(playlists, "mpd"), (movielens, "movielens"), (table, "tabular")]
)
def test_the_format_of_a_folder_is_detected(tmp_path: Path, write, expected: str) -> None:
    source = open_source(write(tmp_path), CONFIG)
    assert source.format == expected
    assert sum(chunk.sequences.num_rows for chunk in source.chunks()) == 1


def test_the_format_of_a_file_is_detected(tmp_path: Path) -> None:
    assert open_source(playlists(tmp_path) / "mpd.slice.0-999.json", CONFIG).format == "mpd"
    assert open_source(table(tmp_path) / "log.csv", CONFIG).format == "tabular"


def test_ratings_without_movies_are_a_table(tmp_path: Path) -> None:
    (tmp_path / "ratings.csv").write_text("user_id,item_id,rating\nu,i,4\n")
    assert open_source(tmp_path, CONFIG).format == "tabular"


def test_the_format_option_takes_precedence_over_detection(tmp_path: Path) -> None:
    path = movielens(tmp_path) / "ratings.csv"
    assert open_source(tmp_path, CONFIG).format == "movielens"
    assert open_source(path, SourceConfig(format="tabular")).format == "tabular"
    with pytest.raises(SourceError, match="no playlist slice"):
        open_source(tmp_path, SourceConfig(format="mpd"))


def test_no_path_is_the_built_in_world() -> None:
    assert open_source(None, CONFIG).format == "demo"
    assert open_source(None, SourceConfig(format="demo")).format == "demo"


def test_the_built_in_world_takes_no_path(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match="format demo is generated and reads no log, got"
    ) as error:
        open_source(tmp_path, SourceConfig(format="demo"))
    assert error.value.hint == "leave the log out"
    with pytest.raises(ConfigError, match="format mpd reads a log, but none was given"):
        open_source(None, SourceConfig(format="mpd"))


@pytest.mark.parametrize("size", [{"sequences": 9}, {"items": 500}, {"mean_length": 8}])
def test_a_log_has_no_size_of_the_built_in_world(tmp_path: Path, size: dict[str, int]) -> None:
    (option,) = size
    with pytest.raises(ConfigError, match=f"{option} applies only to the built-in world"):
        open_source(table(tmp_path), SourceConfig(demo=DemoConfig(**size)))
    # The seed is that of the split, too.
    assert open_source(table(tmp_path), SourceConfig(demo=DemoConfig(seed=3))).format == "tabular"


def test_unrecognised_paths_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="nowhere does not exist"):
        open_source(tmp_path / "nowhere", CONFIG)
    with pytest.raises(SourceError, match=r"the format of .* is not recognised") as error:
        open_source(tmp_path, CONFIG)
    assert "mpd, movielens, tabular" in error.value.hint
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    with pytest.raises(SourceError, match=r"the format of .*picture\.png is not recognised"):
        open_source(tmp_path / "picture.png", CONFIG)


@pytest.mark.parametrize(
    "options",
    [{"user_column": "userId"}, {"event_type": ("click",)}],
)
def test_options_of_tables_are_refused_for_formats_with_fixed_columns(
    tmp_path: Path, options: dict
) -> None:
    with pytest.raises(
        ConfigError, match=f"format movielens has fixed columns, got {next(iter(options))}"
    ):
        open_source(movielens(tmp_path), SourceConfig(**options))
    with pytest.raises(ConfigError, match="format demo has fixed columns"):
        open_source(None, SourceConfig(**options))


@pytest.mark.parametrize("name", ["mpd", "demo"])
def test_dropping_bad_times_needs_a_format_with_times(tmp_path: Path, name: str) -> None:
    config = SourceConfig.model_validate({"format": name, "bad_times": "drop"})
    with pytest.raises(ConfigError, match=f"bad_times = drop does not apply to format {name}"):
        open_source(None if name == "demo" else tmp_path, config)
