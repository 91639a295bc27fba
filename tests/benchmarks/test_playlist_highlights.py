"""The benchmark from end to end, on a model that has learned next to nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import playlist_highlights
import pytest
from highlights.generator import GREEDY, Generator, held_out, sampled

from segue.axes import N_SPECIALS, UNK, Ragged
from segue.config import SplitConfig
from segue.dataset import Dataset
from segue.recommender import Recommender
from small_datasets import dataset_of, random_log

pytestmark = pytest.mark.slow  # trains a model of the built-in world


@pytest.fixture(scope="module")
def model(playlists: Dataset, playlist_run: Path) -> Generator:
    return Generator.load(playlist_run, playlists)


def test_one_prompt_is_continued_as_by_the_recommender(
    model: Generator, playlists: Dataset, playlist_run: Path
) -> None:
    recommender = Recommender.load(playlist_run)
    prompt = [N_SPECIALS + 8, N_SPECIALS + 3]
    ids = [playlists.items.ids[index - N_SPECIALS] for index in prompt]
    for sampling in (GREEDY, sampled(5)):
        found = model.generate(Ragged.of([prompt]), 6, sampling)[0]
        answer = recommender.continue_sequence(
            ids, 6, temperature=sampling.temperature, seed=sampling.seed
        )
        expected = [item.item_id for item in answer.items]
        assert [playlists.items.ids[index - N_SPECIALS] for index in found] == expected


def test_what_is_told_changes_what_is_generated(model: Generator, playlists: Dataset) -> None:
    rows = held_out(playlists, 6, 10, seed=0)
    prompts = Ragged.of([playlists.sequences.row(row)[:2] for row in rows.tolist()])
    untold = model.generate(prompts, 8, GREEDY)
    told = model.generate(prompts, 8, GREEDY, rows)
    assert (untold != told).any()
    nothing = model.network.vocabulary.encode([{}])
    assert not nothing.weights.any()
    state = model.network.hidden(prompts.slice(0, 1), nothing)
    np.testing.assert_allclose(model.hidden(prompts)[:1], state, atol=1e-5)


def test_masked_prompts_are_continued_with_tracks(model: Generator) -> None:
    found = model.generate(Ragged.of([[UNK, 7, UNK]]), 10, sampled(0))[0]
    assert (found >= N_SPECIALS).all()
    assert len({7, *found.tolist()}) == 11


@pytest.fixture(scope="module")
def printed(playlists: Dataset, playlist_run: Path) -> tuple[str, dict[str, Any]]:
    options = ["--without", str(playlist_run), "--playlists", "8", "--length", "12"]
    with pytest.MonkeyPatch.context() as patch:
        lines: list[str] = []
        patch.setattr("rich.console.Console.out", lambda _, text, **__: lines.append(text))
        playlist_highlights.main([str(playlist_run), str(playlists.path), *options])
    [line] = lines
    return line, json.loads(line)


def test_the_last_line_is_json_with_all_that_a_reader_needs(
    printed: tuple[str, dict[str, Any]],
) -> None:
    line, found = printed
    assert "NaN" not in line
    assert found["benchmark"] == "playlist_highlights"
    assert found["run"] == "tiny"
    assert set(found["machine"]) == {"cores", "devices"}
    assert set(playlist_highlights.TITLES) <= set(found)


def test_every_row_of_a_table_has_its_columns(printed: tuple[str, dict[str, Any]]) -> None:
    _, found = printed
    for name in playlist_highlights.TITLES:
        assert found[name], name
        assert len({tuple(row) for row in found[name]}) == 1, name


def test_the_own_prompt_shares_all_that_is_certain(printed: tuple[str, dict[str, Any]]) -> None:
    _, found = printed
    shared = {(row["way"], row["against"]): row["shared"]["mean"] for row in found["missingness"]}
    assert shared["greedy", "same prompt"] == 14
    assert 0 <= shared["sampled", "masked"] <= 14
    own = {row["figure"]: row["mean"] for row in found["order"] if row["order"] == "own"}
    assert own["greedy_overlap"]["mean"] == 10


def test_nothing_special_is_generated_from_nothing(printed: tuple[str, dict[str, Any]]) -> None:
    _, found = printed
    [generated, real] = found["beginnings"]
    assert (generated["special"], generated["repeats"]) == (0, 0)
    assert 0 < generated["n"] == real["n"] <= 24


def test_a_heavier_end_ends_sooner(printed: tuple[str, dict[str, Any]]) -> None:
    _, found = printed
    ended = [row["ended"] for row in found["lengths"] if row["end_weight"] != "real"]
    assert len(ended) == 3
    assert ended == sorted(ended)


def test_wandering_has_the_models_and_what_they_are_held_against(
    printed: tuple[str, dict[str, Any]],
) -> None:
    _, found = printed
    tracks = list(dict.fromkeys(row["tracks"] for row in found["wandering"]))
    expected = ["the playlist itself", "another playlist", "tiny", "tiny, told the name"]
    assert tracks == [*expected, "without: tiny"]
    places = [row["places"] for row in found["wandering"] if row["tracks"] == "tiny"]
    assert places == ["1", "2 to 5", "6 to 10", "11 to 12"]
    by_name = {row["tracks"]: row for row in found["wandering"] if row["places"] == "1"}
    assert by_name["tiny"] | {"tracks": ""} == by_name["without: tiny"] | {"tracks": ""}


def test_the_tables_are_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    from rich.console import Console

    rows = [
        {"order": "own", "mean": playlist_highlights.Estimate(1.0, 0.5, 1.5), "less_own": None},
        {
            "order": "shuffled",
            "mean": playlist_highlights.Estimate(0.25, 0, 1),
            "less_own": playlist_highlights.Difference(-0.75, -1, -0.5, 0.0001),
        },
    ]
    playlist_highlights.show({"order": rows}, Console(width=120))
    text = capsys.readouterr().out
    assert "1.000 (0.500 to 1.500)" in text
    assert "-0.750 (-1.000 to -0.500), p 0.0001" in text
    assert "less own" in text
    assert "Playlists from START alone: nothing to measure here" in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run"], "RUN needs DATASET"),
        (["--playlists", "0"], "--playlists is 0, expected 1 or more"),
        (["--length", "5"], "--length is 5, expected 6 or more"),
        (["--seed", "-1"], "--seed is -1, expected 0 or more"),
        (["--names", "("], "--names is no regular expression"),
    ],
)
def test_bad_options_are_refused(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        playlist_highlights.parsed(arguments)
    assert said in capsys.readouterr().err


def test_a_run_of_another_dataset_is_refused(playlist_run: Path, tmp_path: Path) -> None:
    other = dataset_of(tmp_path, random_log(30, 20, seed=0), SplitConfig(kind="holdout"))
    with pytest.raises(SystemExit, match="was not trained on"):
        playlist_highlights.main([str(playlist_run), str(other.path)])


def test_a_folder_that_is_no_run_is_refused(playlists: Dataset, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="error: "):
        playlist_highlights.main([str(tmp_path), str(playlists.path)])
