"""The comparison with a published next-movie model: its mistake, its rows, its tables."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import next_movie
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from next_movie import AS_PUBLISHED, BASELINES, KS, PUBLISHED, QUESTIONS, SPLITS

from segue.axes import N_SPECIALS, Ragged
from segue.config import (
    Config,
    EvaluationConfig,
    ModelConfig,
    PrepareConfig,
    TrainingConfig,
    load_config,
)
from segue.dataset import TEST_TARGET, TRAIN_TARGET, Dataset, prepare
from segue.errors import RequestError, RunError
from segue.evaluation import evaluate
from segue.ranking import Queries
from segue.trainer import train
from small_datasets import dataset_of

N_MOVIES, STRIDE = 30, 2
"""Movie ids are 1, 3, 5, ...: about half of them are token numbers too."""


@pytest.fixture(scope="module")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Dataset]:
    """A small log of numbered movies with ratings and times, split in the three ways."""
    random = np.random.default_rng(3)
    weights = 1 / np.arange(1, N_MOVIES + 1) ** 0.5
    log, ratings = {}, {}
    for user in range(200):
        places = random.permutation(N_MOVIES)[: random.integers(4, 20)]
        places = places[np.argsort(-random.exponential(weights[places]))]
        log[str(user)] = [str(1 + STRIDE * place) for place in places]
        ratings[str(user)] = [float(rating) for rating in random.integers(1, 6, len(places))]
    starts = {user: 1000 * place for place, user in enumerate(log)}
    found = {}
    for name, split in SPLITS.items():
        folder = tmp_path_factory.mktemp(name)
        found[name] = dataset_of(folder, log, split, starts=starts, ratings=ratings)
    return found


@pytest.fixture(scope="module")
def run(datasets: dict[str, Dataset], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The preset, small and hardly trained, on the first draw of the windows."""
    preset = load_config("next-movie").model
    small = preset.model_dump() | {"layers": 1, "heads": 1, "width": 8, "feed_forward": 8}
    config = Config(
        model=ModelConfig.model_validate(small), training=TrainingConfig(batch_size=64, max_steps=3)
    )
    return train(datasets["windows-0"], tmp_path_factory.mktemp("runs") / "run", config=config)


@pytest.fixture(scope="module")
def answers(datasets: dict[str, Dataset], run: Path) -> list[next_movie.Answered]:
    ours = next_movie.Trained("ours", run)
    runs = ([ours], [ours], [])
    pairs = zip(QUESTIONS, runs, strict=True)
    return [next_movie.ask(question, datasets, own) for question, own in pairs]


def test_an_id_hits_the_movie_with_that_token() -> None:
    # In ascending order 1, 2, 3, 5, 9 are the tokens 0, 1, 2, 3, 4; 5 and 9 are none.
    found = next_movie.mistaken_for(["5", "1", "3", "2", "9"])
    assert found.tolist() == [-1, 3, 0, 2, -1]
    assert next_movie.mistaken_for(["0", "10", "9"]).tolist() == [0, -1, -1]


@given(st.lists(st.integers(0, 60), min_size=1, max_size=30, unique=True))
def test_the_mistake_agrees_with_dictionaries(numbers: list[int]) -> None:
    movie_of_token = dict(enumerate(sorted(numbers)))
    found = next_movie.mistaken_for([str(number) for number in numbers])
    hit = [numbers[place] if place >= 0 else None for place in found]
    assert hit == [movie_of_token.get(number) for number in numbers]


def published_reciprocal_ranks(data: Dataset, k: int) -> list[float]:
    """Of each test window's target, in the post's own way: ids shown, tokens compared."""
    sequences, ids = data.sequences, [int(each) for each in data.items.ids]
    token_of = {movie: token for token, movie in enumerate(sorted(ids))}
    assert sequences.ratings is not None
    assert sequences.target_parts is not None
    given_to: dict[int, list[float]] = {}
    for item, rating in zip(sequences.items, sequences.ratings, strict=True):
        given_to.setdefault(ids[item - N_SPECIALS], []).append(float(rating))
    least = np.quantile([len(each) for each in given_to.values()], 0.95)
    means = {movie: np.mean(each) for movie, each in given_to.items() if len(each) >= least}
    best = sorted(means, key=lambda movie: -means[movie])
    found = []
    for row in range(len(sequences)):
        tokens = [token_of[ids[item - N_SPECIALS]] for item in sequences.row(row)]
        parts = sequences.target_parts[sequences.offsets[row] : sequences.offsets[row + 1]]
        for place in np.flatnonzero(parts == TEST_TARGET):
            context = tokens[max(place - 5, 0) : place]
            shown = [movie for movie in best if movie not in context][:k]
            rank = shown.index(tokens[place]) + 1 if tokens[place] in shown else 0
            found.append(1 / rank if rank else 0.0)
    return found


def test_the_baseline_as_published_is_the_posts(datasets: dict[str, Dataset]) -> None:
    data = datasets["windows-1"]
    ranker = next_movie.top_rated_as_published(data)
    (found,) = evaluate(ranker, data, config=EvaluationConfig(ks=(1,), resamples=0)).results
    expected = published_reciprocal_ranks(data, k=1)
    assert len(expected) == found.n
    assert sum(expected) > 0
    assert found.metrics["mrr@1"].mean == pytest.approx(np.mean(expected))


def test_most_targets_of_another_draw_were_trained_on(datasets: dict[str, Dataset]) -> None:
    first, second = datasets["windows-0"], datasets["windows-1"]
    assert next_movie.trained_on(first, first) == 0
    assert next_movie.trained_on(datasets["leave-one-out"], datasets["leave-one-out"]) == 0
    asked, trained = second.sequences.target_parts, first.sequences.target_parts
    assert asked is not None
    assert trained is not None
    pairs = [(int(a), int(b)) for a, b in zip(asked, trained, strict=True)]
    expected = np.mean([b == TRAIN_TARGET for a, b in pairs if a == TEST_TARGET])
    assert next_movie.trained_on(first, second) == expected
    assert expected > 0.7


def test_every_question_has_the_baselines_and_its_runs(answers) -> None:
    names = [[result.model for result in answer.results] for answer in answers]
    baselines = [AS_PUBLISHED, *BASELINES]
    assert names == [["ours", *baselines], ["ours", *baselines], baselines]
    assert [answer.seen for answer in answers] == ["exclude-context", "exclude-context", "exclude"]
    assert answers[0].share > 0.7
    assert [answer.share for answer in answers[1:]] == [0, 0]
    assert json.loads(json.dumps([next_movie.to_json(answer) for answer in answers]))


def test_a_run_of_another_dataset_is_refused(datasets: dict[str, Dataset], run: Path) -> None:
    with pytest.raises(RunError, match="trained on another dataset than"):
        next_movie.ask(QUESTIONS[2], datasets, [next_movie.Trained("ours", run)])


def test_two_runs_of_one_name_are_refused(datasets: dict[str, Dataset], run: Path) -> None:
    ours = next_movie.Trained("ours", run)
    with pytest.raises(RequestError, match="two rankers are called 'ours'"):
        next_movie.ask(QUESTIONS[1], datasets, [ours, ours])


def test_the_tables_hold_three_rows_a_model(answers, run: Path) -> None:
    described = [next_movie.describe(next_movie.Trained("ours", run))]
    blocks = next_movie.report(answers, described).split("\n\n")
    assert len(blocks) == 2 + 2 * len(KS)
    about = blocks[0].splitlines()
    assert len(about) == len(QUESTIONS) + 1
    assert about[-1].startswith("- ours, trained on dataset-windows-all-0: ")
    for k, block in zip(KS, blocks[1:], strict=False):
        header, rule, *rows = [line.strip("| ").split(" | ") for line in block.splitlines()]
        assert header[2:4] == [f"mrr@{k}", f"map@{k}"]
        assert rule[:3] == [":--", ":--", "--:"]
        models = [row[0] for row in rows]
        assert models[:2] == list(PUBLISHED)
        assert models.count("ours") == 2
        assert all(models.count(name) == 3 for name in (AS_PUBLISHED, *BASELINES))


def test_how_lists_behave_is_told_of_the_windows_held_out(answers) -> None:
    header, _, *rows = [
        line.strip("| ").split(" | ")
        for line in next_movie.behaviour_table(answers, 3).splitlines()
    ]
    assert header[2:] == [f"{metric}@3" for metric in next_movie.BEHAVIOUR]
    assert [row[:2] for row in rows] == [
        [name, "held out"] for name in ("ours", AS_PUBLISHED, *BASELINES)
    ]
    assert all(len(row) == 2 + len(next_movie.BEHAVIOUR) for row in rows)


def test_a_ratio_is_ours_to_the_published_figure(answers) -> None:
    results = answers[0].results
    rows = list(next_movie.ratio_rows(results))
    assert len(rows) == 2 * 3 * len(KS)
    assert {(row[0], row[2]) for row in rows} == {
        ("published model", "ours"),
        ("published baseline", AS_PUBLISHED),
    }
    (row,) = [row for row in rows if row[:2] == ["published model", "ndcg@10"]]
    ours = results[0].metrics["ndcg@10"].mean
    assert row[3:] == ["0.1449", f"{ours:.4f}", f"{ours / 0.144872:.2f}"]


def test_what_was_published_is_consistent() -> None:
    for figures in PUBLISHED.values():
        for k in KS:
            assert figures[f"mrr@{k}"] <= figures[f"ndcg@{k}"] <= figures[f"hr@{k}"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (0.0, "0.000000"), (0.000157374, "0.000157"), (0.144872, "0.1449")],
)
def test_small_figures_keep_their_digits(value: float | None, text: str) -> None:
    assert next_movie._figure(value) == text


@pytest.mark.parametrize("text", ["run", "=run", "name=", ""])
def test_a_run_needs_a_name(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="NAME=RUN"):
        next_movie.Trained.parse(text)
    assert next_movie.Trained.parse("a=b=c") == ("a", Path("b=c"))


def test_without_data_it_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "argv", ["next_movie.py"])
    monkeypatch.setenv("SEGUE_DATA", str(tmp_path))
    next_movie.main()
    said, last = capsys.readouterr().out.splitlines()
    assert "No MovieLens-1M" in said
    assert json.loads(last) == {"benchmark": "next_movie", "runs": [], "questions": []}


def test_a_mistake_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "argv", ["next_movie.py", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        next_movie.main()
    assert ended.value.code == 2
    assert "has no ratings" in capsys.readouterr().err.splitlines()[-1]


@pytest.fixture(scope="module")
def movielens(segue_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    config = PrepareConfig(split=SPLITS["windows-1"])
    return prepare(segue_data / "ml-1m", tmp_path_factory.mktemp("ml-1m") / "data", config)


@pytest.mark.real_data
def test_the_tokens_recommended_are_those_that_the_post_prints(movielens: Dataset) -> None:
    nothing = Ragged.of([[]])
    query = Queries(nothing, nothing, np.zeros(1, int))
    items, _ = next_movie.top_rated_as_published(movielens).top(query, 10)
    movies = sorted(int(each) for each in movielens.items.ids)
    hit = [int(movielens.items.ids[item - N_SPECIALS]) for item in items[0]]
    shown = [318, 858, 50, 527, 1198, 260, 750, 912, 2762, 1193]
    assert [movies.index(movie) for movie in hit] == shown


@pytest.mark.real_data
def test_the_baseline_put_right_is_15_times_as_good(movielens: Dataset) -> None:
    rankers = [next_movie.top_rated_as_published(movielens), "top-rated"]
    options = EvaluationConfig(ks=(10,), resamples=0, max_sequences=2000)
    wrong, right = (found.metrics for found in evaluate(rankers, movielens, config=options).results)
    # Over all windows, with all ratings, they are .00043, .0025, .0009 and .0065, .0209, .0098.
    assert wrong["mrr@10"].mean == pytest.approx(0.00043, abs=0.0002)
    assert wrong["hr@10"].mean == pytest.approx(0.0025, abs=0.001)
    assert wrong["ndcg@10"].mean == pytest.approx(0.0009, abs=0.0004)
    assert right["mrr@10"].mean == pytest.approx(0.0065, abs=0.001)
    assert right["hr@10"].mean == pytest.approx(0.0209, abs=0.003)
    assert right["ndcg@10"].mean == pytest.approx(0.0098, abs=0.0015)
