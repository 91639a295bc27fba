"""The benchmark ``next_movie``: the published baseline, the results and their tables."""

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
from next_movie import AS_PUBLISHED, BASELINES, KS, PUBLISHED, SPLITS, TARGET_SETS, NamedRun
from published.recformers import items_hit_as_tokens, top_rated_as_published

from segue.config import (
    Config,
    EvaluationConfig,
    ModelConfig,
    PrepareConfig,
    TrainingConfig,
    load_config,
)
from segue.dataset import TEST_TARGET, TRAIN_TARGET, Dataset
from segue.errors import RequestError, RunError
from segue.evaluation import evaluate
from segue.preparation import prepare
from segue.ragged import Ragged
from segue.ranking import Query
from segue.tokens import N_SPECIALS
from segue.trainer import train
from small_datasets import dataset_of

N_MOVIES, STRIDE = 30, 2
"""Movie ids are 1, 3, 5, ..., so about half of them are token numbers too."""


@pytest.fixture(scope="module")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Dataset]:
    """A small log of movies with ratings and times, prepared with each split."""
    random = np.random.default_rng(3)
    weights = 1 / np.arange(1, N_MOVIES + 1) ** 0.5
    log, ratings = {}, {}
    for user in range(200):
        movies = random.permutation(N_MOVIES)[: random.integers(4, 20)]
        movies = movies[np.argsort(-random.exponential(weights[movies]))]
        log[str(user)] = [str(1 + STRIDE * movie) for movie in movies]
        ratings[str(user)] = [float(rating) for rating in random.integers(1, 6, len(movies))]
    starts = {user: 1000 * number for number, user in enumerate(log)}
    datasets = {}
    for name, split in SPLITS.items():
        folder = tmp_path_factory.mktemp(name)
        datasets[name] = dataset_of(folder, log, split, starts=starts, ratings=ratings)
    return datasets


@pytest.fixture(scope="module")
def run(datasets: dict[str, Dataset], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model with the preset's settings, trained for three steps on the first draw."""
    preset = load_config("next-movie").model
    small = preset.model_dump() | {"layers": 1, "heads": 1, "width": 8, "feed_forward": 8}
    config = Config(
        model=ModelConfig.model_validate(small), training=TrainingConfig(batch_size=64, max_steps=3)
    )
    return train(datasets["windows-0"], tmp_path_factory.mktemp("runs") / "run", config=config).path


@pytest.fixture(scope="module")
def results(datasets: dict[str, Dataset], run: Path) -> list[next_movie.TargetSetResults]:
    ours = NamedRun("ours", run)
    runs_of_sets = ([ours], [ours], [])
    return [
        next_movie.evaluate_on(target_set, datasets, runs)
        for target_set, runs in zip(TARGET_SETS, runs_of_sets, strict=True)
    ]


def test_an_id_hits_the_movie_with_that_token() -> None:
    # The ids 1, 2, 3, 5, 9 have the tokens 0 to 4; 5 and 9 are not token numbers.
    assert items_hit_as_tokens(["5", "1", "3", "2", "9"]).tolist() == [-1, 3, 0, 2, -1]
    assert items_hit_as_tokens(["0", "10", "9"]).tolist() == [0, -1, -1]


@given(st.lists(st.integers(0, 60), min_size=1, max_size=30, unique=True))
def test_hit_items_agree_with_a_dictionary(numbers: list[int]) -> None:
    movie_of_token = dict(enumerate(sorted(numbers)))
    indices = items_hit_as_tokens([str(number) for number in numbers])
    hits = [numbers[index] if index >= 0 else None for index in indices]
    assert hits == [movie_of_token.get(number) for number in numbers]


def published_reciprocal_ranks(data: Dataset, k: int) -> list[float]:
    """Reciprocal rank of each test target as the post computes it: ids compared with tokens."""
    sequences, ids = data.sequences, [int(item_id) for item_id in data.items.ids]
    token_of = {movie: token for token, movie in enumerate(sorted(ids))}
    assert sequences.ratings is not None
    assert sequences.target_parts is not None
    ratings_of: dict[int, list[float]] = {}
    for item, rating in zip(sequences.items, sequences.ratings, strict=True):
        ratings_of.setdefault(ids[item - N_SPECIALS], []).append(float(rating))
    min_ratings = np.quantile([len(ratings) for ratings in ratings_of.values()], 0.95)
    means = {
        movie: np.mean(ratings)
        for movie, ratings in ratings_of.items()
        if len(ratings) >= min_ratings
    }
    best = sorted(means, key=lambda movie: -means[movie])
    reciprocal_ranks = []
    for row in range(len(sequences)):
        tokens = [token_of[ids[item - N_SPECIALS]] for item in sequences.row(row)]
        parts = sequences.target_parts[sequences.offsets[row] : sequences.offsets[row + 1]]
        for position in np.flatnonzero(parts == TEST_TARGET):
            context, target = tokens[max(position - 5, 0) : position], tokens[position]
            recommended = [movie for movie in best if movie not in context][:k]
            rank = recommended.index(target) + 1 if target in recommended else 0
            reciprocal_ranks.append(1 / rank if rank else 0.0)
    return reciprocal_ranks


def test_the_baseline_as_published_has_the_metrics_of_the_post(
    datasets: dict[str, Dataset],
) -> None:
    data = datasets["windows-1"]
    ranker = top_rated_as_published(data)
    (result,) = evaluate(
        ranker, data, baselines=None, config=EvaluationConfig(ks=(1,), resamples=0)
    ).results
    expected = published_reciprocal_ranks(data, k=1)
    assert len(expected) == result.n
    assert sum(expected) > 0
    assert result.metrics["mrr@1"].mean == pytest.approx(np.mean(expected))


def test_most_targets_of_a_second_draw_were_trained_on(datasets: dict[str, Dataset]) -> None:
    first, second = datasets["windows-0"], datasets["windows-1"]
    last_movies = datasets["leave-one-out"]
    assert next_movie.share_of_training_targets(first, first) == 0
    assert next_movie.share_of_training_targets(last_movies, last_movies) == 0
    test_parts, training_parts = second.sequences.target_parts, first.sequences.target_parts
    assert test_parts is not None
    assert training_parts is not None
    pairs = [(int(a), int(b)) for a, b in zip(test_parts, training_parts, strict=True)]
    expected = np.mean([b == TRAIN_TARGET for a, b in pairs if a == TEST_TARGET])
    assert next_movie.share_of_training_targets(first, second) == expected
    assert expected > 0.7


def test_every_target_set_has_its_runs_and_the_baselines(results) -> None:
    names = [[result.model for result in of_set.results] for of_set in results]
    baselines = [AS_PUBLISHED, *BASELINES]
    assert names == [["ours", *baselines], ["ours", *baselines], baselines]
    assert [of_set.seen for of_set in results] == ["exclude-context", "exclude-context", "exclude"]
    assert results[0].trained_share > 0.7
    assert [of_set.trained_share for of_set in results[1:]] == [0, 0]
    assert json.loads(json.dumps([next_movie.to_dict(of_set) for of_set in results]))


def test_a_run_of_another_dataset_is_refused(datasets: dict[str, Dataset], run: Path) -> None:
    with pytest.raises(RunError, match="trained on another dataset than"):
        next_movie.evaluate_on(TARGET_SETS[2], datasets, [NamedRun("ours", run)])


def test_two_runs_with_the_same_name_are_refused(datasets: dict[str, Dataset], run: Path) -> None:
    ours = NamedRun("ours", run)
    with pytest.raises(RequestError, match="two rankers are called 'ours'"):
        next_movie.evaluate_on(TARGET_SETS[1], datasets, [ours, ours])


def test_tables_have_one_row_per_model_and_target_set(results, run: Path) -> None:
    descriptions = [next_movie.describe(NamedRun("ours", run))]
    blocks = next_movie.report(results, descriptions).split("\n\n")
    assert len(blocks) == 2 + 2 * len(KS)
    summary = blocks[0].splitlines()
    assert len(summary) == len(TARGET_SETS) + 1
    assert summary[-1].startswith("- ours, trained on dataset-windows-all-0: ")
    for k, block in zip(KS, blocks[1:], strict=False):
        header, rule, *rows = [line.strip("| ").split(" | ") for line in block.splitlines()]
        assert header[1:4] == ["targets", f"mrr@{k}", f"map@{k}"]
        assert rule[:3] == [":--", ":--", "--:"]
        models = [row[0] for row in rows]
        assert models[:2] == list(PUBLISHED)
        assert models.count("ours") == 2
        assert all(models.count(name) == 3 for name in (AS_PUBLISHED, *BASELINES))


def test_beyond_accuracy_metrics_are_those_of_held_out_windows(results) -> None:
    header, _, *rows = [
        line.strip("| ").split(" | ")
        for line in next_movie.beyond_accuracy_table(results, 3).splitlines()
    ]
    assert header[2:] == [f"{metric}@3" for metric in next_movie.BEYOND_ACCURACY]
    assert [row[:2] for row in rows] == [
        [name, "held out"] for name in ("ours", AS_PUBLISHED, *BASELINES)
    ]
    assert all(len(row) == 2 + len(next_movie.BEYOND_ACCURACY) for row in rows)


def test_ratios_are_our_figures_divided_by_the_published_ones(results) -> None:
    as_published = results[0].results
    rows = list(next_movie.ratio_rows(as_published))
    assert len(rows) == 2 * 3 * len(KS)
    assert {(row[0], row[2]) for row in rows} == {
        ("published model", "ours"),
        ("published baseline", AS_PUBLISHED),
    }
    (row,) = [row for row in rows if row[:2] == ["published model", "ndcg@10"]]
    ours = as_published[0].metrics["ndcg@10"].mean
    assert row[3:] == ["0.1449", f"{ours:.4f}", f"{ours / 0.144872:.2f}"]


def test_the_published_figures_are_consistent() -> None:
    for figures in PUBLISHED.values():
        for k in KS:
            assert figures[f"mrr@{k}"] <= figures[f"ndcg@{k}"] <= figures[f"hr@{k}"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (0.0, "0.000000"), (0.000157374, "0.000157"), (0.144872, "0.1449")],
)
def test_small_figures_have_six_decimals(value: float | None, text: str) -> None:
    assert next_movie._figure(value) == text


@pytest.mark.parametrize("text", ["run", "=run", "name=", ""])
def test_a_run_without_a_name_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="NAME=RUN"):
        NamedRun.parse(text)
    assert NamedRun.parse("a=b=c") == ("a", Path("b=c"))


def test_without_data_there_are_no_results(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "argv", ["next_movie.py"])
    monkeypatch.setenv("SEGUE_DATA", str(tmp_path))
    next_movie.main()
    message, last = capsys.readouterr().out.splitlines()
    assert message == "No MovieLens-1M: give its folder, or set SEGUE_DATA."
    assert json.loads(last) == {"benchmark": "next_movie", "runs": [], "target_sets": []}


def test_an_unreadable_folder_is_a_one_line_error(
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
    return prepare(segue_data / "ml-1m", tmp_path_factory.mktemp("ml-1m") / "data", config=config)


@pytest.mark.real_data
def test_the_baseline_as_published_recommends_the_ids_of_the_post(movielens: Dataset) -> None:
    empty = Ragged.from_rows([[]])
    query = Query(empty, empty, np.zeros(1, int))
    items, _ = top_rated_as_published(movielens).top(query.with_k(10))
    movies = sorted(int(item_id) for item_id in movielens.items.ids)
    hits = [int(movielens.items.ids[item - N_SPECIALS]) for item in items[0]]
    printed = [318, 858, 50, 527, 1198, 260, 750, 912, 2762, 1193]
    assert [movies.index(movie) for movie in hits] == printed


@pytest.mark.real_data
def test_the_corrected_baseline_is_15_times_as_good(movielens: Dataset) -> None:
    rankers = [top_rated_as_published(movielens), "top-rated"]
    options = EvaluationConfig(ks=(10,), resamples=0, max_sequences=2000)
    evaluation = evaluate(rankers, movielens, baselines=None, config=options)
    published, corrected = (result.metrics for result in evaluation.results)
    # Over all windows, with all ratings, they are .00043, .0025, .0009 and .0065, .0209, .0098.
    assert published["mrr@10"].mean == pytest.approx(0.00043, abs=0.0002)
    assert published["hr@10"].mean == pytest.approx(0.0025, abs=0.001)
    assert published["ndcg@10"].mean == pytest.approx(0.0009, abs=0.0004)
    assert corrected["mrr@10"].mean == pytest.approx(0.0065, abs=0.001)
    assert corrected["hr@10"].mean == pytest.approx(0.0209, abs=0.003)
    assert corrected["ndcg@10"].mean == pytest.approx(0.0098, abs=0.0015)
