"""The benchmark of controls: its table on a small model, and the times of a small catalogue."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from controls import filter_times, measure, report, untrained, with_members

from segue.dataset import Dataset
from segue.recommender import Recommender, steering
from segue.tokens import INDEX_DTYPE, N_SPECIALS


@pytest.mark.slow
def test_each_control_does_what_its_name_says(
    genre_run: Path, genres: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = {row["controls"]: row for row in measure(Recommender.load(genre_run), genres, 40)}
    report("genres", list(rows.values()), {"alone": {"unfiltered ms": 1.0}})
    lines = capsys.readouterr().out.splitlines()
    assert json.loads(lines[-1])["rows"][0] == rows["none"]
    dials = ["popularity -1", "popularity -0.5", "none", "popularity 0.5", "popularity 1"]
    counts = [rows[name]["log_count"] for name in dials]
    assert counts == sorted(counts)
    assert rows["diversity 1"]["cosine_within"] < rows["none"]["cosine_within"]
    assert rows["cap year=1"]["most_of_one_value"] == 1
    names = [f"{name} the listed" for name in ("unlike", "exclude", "like")]
    unlike, exclude, like = (rows[name]["cosine_to_example"] for name in names)
    assert unlike < exclude < like


@pytest.mark.slow
def test_the_time_of_a_filter() -> None:
    model = with_members(untrained(2_000), n_playlists=200)
    assert [member.name for member in model.ensemble.members] == [
        "puresvd",
        "co-occurrence",
        "item-knn",
    ]
    times = filter_times(model)
    assert set(times) == {
        f"{name} {unit}"
        for name in ("unfiltered", "filtered", "new filter")
        for unit in ("ms", "core_ms")
    }
    assert min(times.values()) > 0


@pytest.mark.slow
def test_a_search_in_many_groups_of_items_obeys_all_controls() -> None:
    model = untrained(3_000)
    history, ids = model.item_ids[:5], model.item_ids
    indices = np.arange(N_SPECIALS, model.ensemble.vocabulary_size, dtype=INDEX_DTYPE)
    vectors = model.ensemble.content.unit_rows(indices)
    scores = model.score(history, ids) + steering.SIMILARITY_NATS * vectors @ vectors[7]
    answer = model.recommend(
        history, 4, where="year >= 90", exclude=ids[90:100], cap={"year": 1}, like=[ids[7]]
    )
    expected: list[int] = []
    for item in np.argsort(-scores).tolist():
        is_allowed = item % 100 >= 90 and not 90 <= item < 100
        if is_allowed and item % 100 not in [listed % 100 for listed in expected]:
            expected.append(item)
    assert [int(item.item_id) for item in answer] == expected[:4]
