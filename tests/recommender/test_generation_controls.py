"""Generation under controls: filters and caps hold at every position; sessions take them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segue.dataset import Dataset
from segue.errors import RequestError
from segue.recommender import Answer, Recommender
from small_ensembles import mixed_copy

pytestmark = pytest.mark.usefixtures("strict_types")

HISTORY = ["200", "301", "402"]
DIALS = {"popularity": -0.5, "like": ["210"], "unlike": ["310"]}


@pytest.fixture(scope="module")
def model(
    genre_run: Path, genres: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> Recommender:
    folder = tmp_path_factory.mktemp("generation") / "mixed"
    return Recommender.load(mixed_copy(genre_run, genres, folder))


@pytest.fixture(scope="module")
def table(genres: Dataset) -> dict[str, dict[str, Any]]:
    """The attributes of each item by id."""
    return {row["item_id"]: row for row in genres.items.table.to_pylist()}


def ids_of(answer: Answer) -> list[str]:
    return [item.item_id for item in answer]


def genre_counts(ids: list[str], table: dict[str, dict[str, Any]]) -> Counter[str]:
    return Counter(genre for item in ids for genre in np.atleast_1d(table[item]["genres"]))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_filters_hold_at_every_position(model: Recommender, seed: int) -> None:
    free = ids_of(model.generate(HISTORY, 4, seed=seed))
    only = [item for item in model.item_ids if item not in free][:8]
    assert set(ids_of(model.generate(HISTORY, 6, seed=seed, only=only))) <= set(only)
    assert not set(ids_of(model.generate(HISTORY, 6, seed=seed, exclude=free))) & set(free)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_caps_hold_at_every_position(
    model: Recommender, table: dict[str, dict[str, Any]], seed: int
) -> None:
    free = genre_counts(ids_of(model.generate(HISTORY, 4, seed=seed)), table)
    capped = ids_of(model.generate(HISTORY, 4, seed=seed, cap={"genres": 1}))
    assert max(free.values()) > 1
    assert max(genre_counts(capped, table).values()) == 1


def test_locked_items_count_in_caps_before_their_position(
    model: Recommender, table: dict[str, dict[str, Any]]
) -> None:
    first = ids_of(model.generate(HISTORY, 1, temperature=0.0))[0]
    free = [item for item in model.item_ids if item not in [*HISTORY, first]]
    locked = next(item for item in free if table[item]["year"] == table[first]["year"])
    answer = ids_of(
        model.generate(HISTORY, 3, temperature=0.0, cap={"year": 1}, locked={2: locked})
    )
    assert answer[2] == locked
    assert first not in answer
    assert len({table[item]["year"] for item in answer}) == 3


def test_caps_of_a_request_do_not_concern_others(
    model: Recommender, table: dict[str, dict[str, Any]]
) -> None:
    controls = [{"cap": {"genres": 1}}, None]
    capped, free = model.generate([HISTORY, HISTORY], 4, controls=controls)
    assert ids_of(capped) == ids_of(model.generate(HISTORY, 4, cap={"genres": 1}))
    assert ids_of(free) == ids_of(model.generate(HISTORY, 4))


def test_dials_change_the_scores_as_in_recommend(model: Recommender) -> None:
    first = model.recommend(HISTORY, 1, **DIALS).items[0]
    generated = model.generate(HISTORY, 1, temperature=0.0, **DIALS).items[0]
    assert generated.item_id == first.item_id
    assert generated.score == pytest.approx(first.score, rel=1e-4)


def test_a_session_takes_controls(model: Recommender) -> None:
    session = model.session(HISTORY[:2])
    session.append(HISTORY[2])
    for options in (DIALS, {"cap": {"genres": 1}}, {"diversity": 0.5}, {"exclude": ["210"]}):
        expected = model.recommend(HISTORY, 4, **options)
        assert ids_of(session.recommend(4, **options)) == ids_of(expected)


def test_copies_share_what_is_computed_once(model: Recommender) -> None:
    caching = model.ensemble.caching()
    assert caching.vectors is model.ensemble.vectors
    assert caching.caching().vectors is model.ensemble.vectors


def test_a_sequence_has_no_diversity(model: Recommender) -> None:
    with pytest.raises(RequestError, match="diversity re-ranks a list"):
        model.generate(HISTORY, 3, diversity=0.5)
