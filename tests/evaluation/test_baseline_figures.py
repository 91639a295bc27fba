"""Published and measured figures of the baselines, on real data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segue import baselines
from segue.config import EvaluationConfig, PrepareConfig, SourceConfig, SplitConfig
from segue.dataset import Dataset
from segue.evaluation import evaluate
from segue.preparation import prepare
from segue.ragged import Ragged
from segue.ranking import Query
from segue.tokens import N_SPECIALS

pytestmark = pytest.mark.real_data


@pytest.fixture(scope="module")
def canonical(segue_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The file behind the SASRec and BERT4Rec papers: 6,040 users, 3,416 movies."""
    config = PrepareConfig(
        source=SourceConfig(format="tabular"),
        split=SplitConfig(kind="leave-one-out", catalogue="all"),
    )
    folder = tmp_path_factory.mktemp("canonical") / "dataset"
    return prepare(segue_data / "ml-1m-canonical" / "ml-1m.txt", folder, config=config)


@pytest.mark.parametrize(
    ("name", "fit_on_validation", "hr", "ndcg"),
    [
        ("popularity", False, 0.0369, 0.0180),
        ("popularity", True, 0.0363, 0.0178),
        ("last-item", False, 0.2144, 0.1259),
        ("co-occurrence", False, 0.2742, 0.1616),
        pytest.param("item-knn", False, 0.0806, 0.0406, marks=pytest.mark.slow),
        pytest.param("ease", False, 0.1084, 0.0535, marks=pytest.mark.slow),
    ],
)
def test_baselines_on_the_canonical_file(canonical, name, fit_on_validation, hr, ndcg) -> None:
    ranker = baselines.fit(name, canonical, fit_on_validation)
    (result,) = evaluate(
        ranker, canonical, baselines=None, config=EvaluationConfig(resamples=0)
    ).results
    assert result.n == 6040
    assert result.target_statistics == (0, 0, 1.0)
    assert result.metrics["hr@10"].mean == pytest.approx(hr, abs=0.00005)
    assert result.metrics["ndcg@10"].mean == pytest.approx(ndcg, abs=0.00005)


@pytest.mark.parametrize(
    ("kind", "best"),
    [
        # All events except those of one sequence: the list published for this file.
        ("holdout", ["318", "858", "50", "527", "1198"]),
        # An eighth of the ratings belongs to held-out targets.
        ("windows", ["318", "858", "50", "527"]),
    ],
)
def test_the_top_rated_movies(segue_data: Path, tmp_path: Path, kind, best) -> None:
    shares = {"validation_share": 0.0, "test_share": 1e-4} if kind == "holdout" else {}
    split = SplitConfig(kind=kind, catalogue="all", **shares)
    data = prepare(segue_data / "ml-1m", tmp_path / "movies", config=PrepareConfig(split=split))
    empty = Ragged.from_rows([[]])
    ranked = baselines.fit("top-rated", data).top(Query(empty, empty, np.zeros(1, int), k=10))
    assert [data.items.ids[item - N_SPECIALS] for item in ranked.items[0]][: len(best)] == best


@pytest.mark.slow
def test_baselines_on_playlists(segue_data: Path, tmp_path: Path) -> None:
    source, split = SourceConfig(format="mpd"), SplitConfig(kind="holdout")
    folder = tmp_path / "playlists"
    data = prepare(
        segue_data / "mpd-subset", folder, config=PrepareConfig(source=source, split=split)
    )
    options = EvaluationConfig(max_sequences=40, given=(5,), given_random=(), resamples=0)
    rankers = [baselines.fit(name, data) for name in ("popularity", "co-occurrence")]
    results = evaluate(rankers, data, baselines=None, config=options).results
    assert [result.given for result in results] == [None, "first-5"] * 2
    # About a quarter of the held-out entries are tracks without a training event.
    assert all(0.6 < result.target_statistics.ceiling < 0.85 for result in results)
    popularity, co_occurrence = results[1].metrics, results[3].metrics
    for metric in ("r_precision", "r_precision_artist", "ndcg@500", "ndcg_challenge@500"):
        assert popularity[metric].mean < co_occurrence[metric].mean
    assert popularity["clicks"].mean > co_occurrence["clicks"].mean
