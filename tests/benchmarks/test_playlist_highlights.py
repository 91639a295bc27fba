"""The benchmark ``playlist_highlights`` from end to end, with a barely trained model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import playlist_highlights
import pytest
from highlights.estimates import MeanDifference, MeanEstimate
from highlights.generator import GREEDY, Generator, held_out_playlists, top_50_sampling
from rich.console import Console

from segue.config import SplitConfig
from segue.dataset import Dataset
from segue.ragged import Ragged
from segue.recommender import Recommender
from segue.tokens import N_SPECIALS, UNK
from small_datasets import dataset_of, random_log

pytestmark = pytest.mark.slow  # trains a model of the built-in world


@pytest.fixture(scope="module")
def model(playlists: Dataset, playlist_run: Path) -> Generator:
    return Generator.load(playlist_run, playlists)


def test_a_single_prompt_gets_the_tracks_that_the_recommender_generates(
    model: Generator, playlists: Dataset, playlist_run: Path
) -> None:
    recommender = Recommender.load(playlist_run)
    prompt = [N_SPECIALS + 8, N_SPECIALS + 3]
    ids = [playlists.items.ids[index - N_SPECIALS] for index in prompt]
    for sampling in (GREEDY, top_50_sampling(5)):
        items = model.generate(Ragged.from_rows([prompt]), 6, sampling)[0]
        answer = recommender.generate(ids, 6, temperature=sampling.temperature, seed=sampling.seed)
        expected = [item.item_id for item in answer.items]
        assert [playlists.items.ids[index - N_SPECIALS] for index in items] == expected


def test_sequence_features_change_the_generated_tracks(
    model: Generator, playlists: Dataset
) -> None:
    rows = held_out_playlists(playlists, 6, 10, seed=0)
    prompts = Ragged.from_rows([playlists.sequences.row(row)[:2] for row in rows.tolist()])
    without = model.generate(prompts, 8, GREEDY)
    with_features = model.generate(prompts, 8, GREEDY, rows)
    assert (without != with_features).any()
    query = model.query(prompts.slice(0, 1))
    assert query.sequence_features is None
    state = model.ensemble.states(query)
    np.testing.assert_allclose(model.hidden(prompts)[:1], state, atol=1e-5)


def test_masked_prompts_are_continued_with_tracks(model: Generator) -> None:
    items = model.generate(Ragged.from_rows([[UNK, 7, UNK]]), 10, top_50_sampling(0))[0]
    assert (items >= N_SPECIALS).all()
    assert len({7, *items.tolist()}) == 11


@pytest.fixture(scope="module")
def printed(playlists: Dataset, playlist_run: Path) -> tuple[str, dict[str, Any]]:
    options = ["--without", str(playlist_run), "--playlists", "8", "--length", "12"]
    with pytest.MonkeyPatch.context() as patch:
        lines: list[str] = []
        patch.setattr("rich.console.Console.out", lambda _, text, **__: lines.append(text))
        playlist_highlights.main([str(playlist_run), str(playlists.path), *options])
    [line] = lines
    return line, json.loads(line)


def test_the_last_line_is_json_with_every_table(
    printed: tuple[str, dict[str, Any]],
) -> None:
    line, record = printed
    assert "NaN" not in line
    assert record["benchmark"] == "playlist_highlights"
    assert record["run"] == "tiny"
    assert set(record["machine"]) == {"cores", "devices"}
    assert set(playlist_highlights.TITLES) <= set(record)


def test_all_rows_of_a_table_have_the_same_columns(printed: tuple[str, dict[str, Any]]) -> None:
    _, record = printed
    for name in playlist_highlights.TITLES:
        assert record[name], name
        assert len({tuple(row) for row in record[name]}) == 1, name


def test_greedy_generation_is_deterministic_for_the_same_prompt(
    printed: tuple[str, dict[str, Any]],
) -> None:
    _, record = printed
    shared = {
        (row["sampling"], row["against"]): row["shared"]["mean"] for row in record["missingness"]
    }
    assert shared["greedy", "same prompt"] == 14
    assert 0 <= shared["sampled", "masked"] <= 14
    own = {row["figure"]: row["mean"] for row in record["order"] if row["order"] == "own"}
    assert own["greedy_overlap"]["mean"] == 10


def test_no_special_token_is_generated_from_start_alone(
    printed: tuple[str, dict[str, Any]],
) -> None:
    _, record = printed
    [generated, real] = record["beginnings"]
    assert (generated["special"], generated["repeats"]) == (0, 0)
    assert 0 < generated["n"] == real["n"] <= 24


def test_more_playlists_end_with_a_larger_end_weight(printed: tuple[str, dict[str, Any]]) -> None:
    _, record = printed
    ended = [row["ended"] for row in record["lengths"] if row["end_weight"] != "real"]
    assert len(ended) == 3
    assert ended == sorted(ended)


def test_wandering_has_the_models_and_their_references(
    printed: tuple[str, dict[str, Any]],
) -> None:
    _, record = printed
    tracks = list(dict.fromkeys(row["tracks"] for row in record["wandering"]))
    expected = ["the playlist itself", "another playlist", "tiny", "tiny, with the name"]
    assert tracks == [*expected, "without: tiny"]
    positions = [row["positions"] for row in record["wandering"] if row["tracks"] == "tiny"]
    assert positions == ["1", "2 to 5", "6 to 10", "11 to 12"]
    by_name = {row["tracks"]: row for row in record["wandering"] if row["positions"] == "1"}
    assert by_name["tiny"] | {"tracks": ""} == by_name["without: tiny"] | {"tracks": ""}


def test_tables_show_intervals_and_p_values(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {"order": "own", "mean": MeanEstimate(1.0, 0.5, 1.5), "less_own": None},
        {
            "order": "shuffled",
            "mean": MeanEstimate(0.25, 0, 1),
            "less_own": MeanDifference(-0.75, -1, -0.5, 0.0001),
        },
    ]
    playlist_highlights.show({"order": rows}, Console(width=120))
    text = capsys.readouterr().out
    assert "1.000 (0.500 to 1.500)" in text
    assert "-0.750 (-1.000 to -0.500), p 0.0001" in text
    assert "less own" in text
    unmeasured = "not measured, the model or the dataset does not allow it"
    assert f"Playlists generated from START alone: {unmeasured}" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run"], "RUN needs DATASET"),
        (["--playlists", "0"], "--playlists is 0, expected 1 or more"),
        (["--length", "5"], "--length is 5, expected 6 or more"),
        (["--seed", "-1"], "--seed is -1, expected 0 or more"),
        (["--names", "("], "--names is not a regular expression"),
    ],
)
def test_bad_options_are_refused(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        playlist_highlights.parse_options(arguments)
    assert message in capsys.readouterr().err


def test_a_run_of_another_dataset_is_refused(playlist_run: Path, tmp_path: Path) -> None:
    another = dataset_of(tmp_path, random_log(30, 20, seed=0), SplitConfig(kind="holdout"))
    with pytest.raises(SystemExit, match="was not trained on"):
        playlist_highlights.main([str(playlist_run), str(another.path)])


def test_a_folder_without_a_run_is_refused(playlists: Dataset, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="error: "):
        playlist_highlights.main([str(tmp_path), str(playlists.path)])
