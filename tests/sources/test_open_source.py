"""Which reader opens what, and what is said when none does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from segue.config import SourceConfig
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
def test_the_format_is_told_from_the_files(tmp_path: Path, write, expected: str) -> None:
    source = open_source(write(tmp_path), CONFIG)
    assert source.format == expected
    assert sum(chunk.sequences.num_rows for chunk in source.chunks()) == 1


def test_a_single_file_is_told_too(tmp_path: Path) -> None:
    assert open_source(playlists(tmp_path) / "mpd.slice.0-999.json", CONFIG).format == "mpd"
    assert open_source(table(tmp_path) / "log.csv", CONFIG).format == "tabular"


def test_ratings_of_ones_own_are_a_table(tmp_path: Path) -> None:
    (tmp_path / "ratings.csv").write_text("user_id,item_id,rating\nu,i,4\n")
    assert open_source(tmp_path, CONFIG).format == "tabular"


def test_a_named_format_goes_before_the_guess(tmp_path: Path) -> None:
    path = movielens(tmp_path) / "ratings.csv"
    assert open_source(tmp_path, CONFIG).format == "movielens"
    assert open_source(path, SourceConfig(format="tabular")).format == "tabular"
    with pytest.raises(SourceError, match="no playlist slice"):
        open_source(tmp_path, SourceConfig(format="mpd"))


def test_no_path_is_the_built_in_world() -> None:
    assert open_source(None, CONFIG).format == "demo"
    assert open_source(None, SourceConfig(format="demo")).format == "demo"


def test_the_built_in_world_takes_no_path(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="format demo is generated") as caught:
        open_source(tmp_path, SourceConfig(format="demo"))
    assert caught.value.hint == "leave it out"
    with pytest.raises(ConfigError, match="format mpd needs a source"):
        open_source(None, SourceConfig(format="mpd"))


def test_what_nobody_knows_is_said(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="nowhere does not exist"):
        open_source(tmp_path / "nowhere", CONFIG)
    with pytest.raises(SourceError, match="holds no log of a known kind") as caught:
        open_source(tmp_path, CONFIG)
    assert "mpd, movielens, tabular" in caught.value.hint
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    with pytest.raises(SourceError, match="holds no log of a known kind"):
        open_source(tmp_path / "picture.png", CONFIG)


@pytest.mark.parametrize(
    "options",
    [{"user_column": "userId"}, {"event_type": ("click",)}],
)
def test_options_of_tables_are_refused_elsewhere(tmp_path: Path, options: dict) -> None:
    with pytest.raises(ConfigError, match=f"format movielens .* got {next(iter(options))}"):
        open_source(movielens(tmp_path), SourceConfig(**options))
    with pytest.raises(ConfigError, match="format demo"):
        open_source(None, SourceConfig(**options))
