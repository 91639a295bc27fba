"""Request-time controls: each against an obvious reference over the scores of all items."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segue.dataset import Dataset, Items
from segue.dataset.items import build_items_table
from segue.errors import RequestError
from segue.recommender import Answer, Recommender, reranking, shapes, steering
from segue.recommender.item_attributes import AttributeColumn, ItemAttributes
from segue.tokens import N_SPECIALS
from small_ensembles import mixed_copy

HISTORY = ["200", "301", "402"]


@pytest.fixture(scope="module", params=["transformer", "ensemble", "ensemble of a large catalogue"])
def model(
    request: pytest.FixtureRequest,
    genre_run: Path,
    genres: Dataset,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Recommender]:
    run = genre_run
    if request.param != "transformer":
        run = mixed_copy(genre_run, genres, tmp_path_factory.mktemp("controls") / "mixed")
    with pytest.MonkeyPatch.context() as patch:
        if "large" in request.param:
            patch.setattr(shapes, "MAX_DENSE_BONUS_ITEMS", 0)
        yield Recommender.load(run)


@pytest.fixture(scope="module")
def table(genres: Dataset) -> dict[str, dict[str, Any]]:
    """The attributes of each item by id."""
    return {row["item_id"]: row for row in genres.items.table.to_pylist()}


def ids_of(answer: Answer) -> list[str]:
    return [item.item_id for item in answer]


def scores_of(model: Recommender, history: list[str] = HISTORY) -> dict[str, float]:
    """The score of every item that is not in the history, as without controls."""
    listed = model.recommend(history, model.ensemble.n_candidates)
    return {item.item_id: item.score for item in listed}


def n_left(model: Recommender) -> int:
    return len(scores_of(model))


# --- filters ---


@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_filters_never_leak_and_fill_the_list(
    model: Recommender, table: dict[str, dict[str, Any]], data: st.DataObject
) -> None:
    ids = model.item_ids
    some = st.lists(st.sampled_from(ids), max_size=12, unique=True)
    exclude, only = data.draw(some), data.draw(st.none() | some)
    genre = data.draw(st.none() | st.sampled_from(["Comedy", "drama", "Nothing"]))
    k = data.draw(st.integers(1, len(ids)))
    where = [] if genre is None else [f"genres has {genre}"]
    answer = model.recommend(HISTORY, k, exclude=exclude, only=only, where=where)
    expected = [
        item_id
        for item_id in scores_of(model)
        if item_id not in exclude
        and (only is None or item_id in only)
        and (genre is None or genre.lower() in map(str.lower, table[item_id]["genres"]))
    ]
    assert ids_of(answer) == expected[:k]
    assert bool(answer.notes) == (len(expected) < k)


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("genres has Comedy", lambda row: "Comedy" in row["genres"]),
        ("genres lacks comedy", lambda row: "Comedy" not in row["genres"]),
        ("year >= 1993", lambda row: row["year"] >= 1993),
        ("year<1993.5", lambda row: row["year"] < 1993.5),
        ("year == 1992", lambda row: row["year"] == 1992),
        ("year != 1992", lambda row: row["year"] != 1992),
        ("title has ie 2", lambda row: "ie 2" in row["title"]),
        ("title lacks ie 2", lambda row: "ie 2" not in row["title"]),
        ('item_id = "201"', lambda row: row["item_id"] == "201"),
        ("item_id != 201", lambda row: row["item_id"] != "201"),
        ("training_count > 3", lambda row: row["training_count"] > 3),
    ],
)
def test_conditions(
    model: Recommender, table: dict[str, dict[str, Any]], condition: str, holds: Any
) -> None:
    expected = [item_id for item_id in scores_of(model) if holds(table[item_id])]
    assert ids_of(model.recommend(HISTORY, 30, where=condition)) == expected[:30]


@pytest.mark.parametrize(("condition", "note"), [
    ("genres lacks comedi", "no item has genres 'comedi' (did you mean 'comedy'?)"),
    ("title = Nothing like it", "no item has title 'Nothing like it'"),
    ("title has zzz", "no item has title 'zzz'"),
])  # fmt: skip
def test_a_value_that_no_item_has_is_named(model: Recommender, condition: str, note: str) -> None:
    assert note in model.recommend(HISTORY, 3, where=condition).notes


def test_generators_and_sets_hold_for_every_history(model: Recommender) -> None:
    first, second = ids_of(model.recommend(HISTORY, 2))
    answers = model.recommend(
        [HISTORY, HISTORY],
        5,
        exclude=(item_id for item_id in [first]),
        unlike={second},
        where=(condition for condition in ["genres has all"]),
    )
    assert ids_of(answers[0]) == ids_of(answers[1])
    assert first not in ids_of(answers[0])


def test_several_conditions_must_all_hold(model: Recommender) -> None:
    both = model.recommend(HISTORY, 5, where=["genres has Comedy", "genres lacks Comedy"])
    assert ids_of(both) == []
    (note,) = both.notes
    assert "0 items satisfy where genres has Comedy and where genres lacks Comedy" in note


def test_a_short_list_says_what_restricts_it(model: Recommender) -> None:
    answer = model.recommend(
        HISTORY, 9, only=["100", "101", "101", "303"], exclude=["303"] * 3, like=["100"]
    )
    assert ids_of(answer) == ["101"]
    assert answer.notes == [
        "the list has 1 of the 9 items requested: no other item is left under its controls (3 "
        "items satisfy only, 1 item excluded, liked and disliked items are left out; items of the "
        "history are left out)"
    ]


def test_an_exclusion_changes_no_score(model: Recommender) -> None:
    expected = scores_of(model)
    excluded = list(expected)[:3]
    answer = model.recommend(HISTORY, 10, exclude=excluded)
    np.testing.assert_allclose(
        [item.score for item in answer], list(expected.values())[3:13], rtol=1e-5
    )


def test_unknown_ids_of_controls_are_named(model: Recommender) -> None:
    answer = model.recommend(HISTORY, 3, exclude=["no-item"], like=["nor-this"])
    assert ids_of(answer) == list(scores_of(model))[:3]
    assert answer.notes == [
        "1 unknown id of like ignored: 'nor-this'",
        "1 unknown id of exclude ignored: 'no-item'",
    ]


# --- caps ---


@settings(max_examples=8, deadline=None)
@given(limit=st.integers(1, 4), k=st.integers(1, 36), column=st.sampled_from(["genres", "year"]))
def test_caps_hold_and_take_the_best_of_what_is_left(
    model: Recommender, table: dict[str, dict[str, Any]], limit: int, k: int, column: str
) -> None:
    answer = model.recommend(HISTORY, min(k, n_left(model)), cap={column: limit})
    counts: Counter[Any] = Counter()
    expected = []
    for item_id in scores_of(model):
        values = table[item_id][column]
        values = values if isinstance(values, list) else [values]
        if all(counts[value] < limit for value in values):
            counts.update(values)
            expected.append(item_id)
    assert ids_of(answer) == expected[:k]


def test_a_pool_that_caps_exhaust_is_followed_by_another(
    model: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    controls = [{"cap": {"year": 1}}, {"cap": {"year": 2}, "exclude": ["101"]}, None]
    expected = model.recommend([HISTORY] * 3, 8, controls=controls, diversity=0.0)
    monkeypatch.setattr(reranking, "pool_size", lambda k, n_items: 2)
    answers = model.recommend([HISTORY] * 3, 8, controls=controls)
    assert list(map(ids_of, answers)) == list(map(ids_of, expected))
    assert [len(answer) for answer in answers] == [8, 8, 8]
    # With diversity, an item of a later pool is compared with those of earlier ones.
    diverse = model.recommend(HISTORY, 8, cap={"year": 1}, diversity=0.9)
    assert len(set(ids_of(diverse))) == 8


# --- diversity ---


def unit_vectors(model: Recommender) -> dict[str, np.ndarray]:
    items = model.ensemble.content.unit_rows(
        np.arange(N_SPECIALS, model.ensemble.vocabulary_size, dtype=np.int32)
    )
    return dict(zip(model.item_ids, items, strict=True))


@pytest.mark.parametrize("diversity", [0.2, 0.7, 1.0])
def test_diversity_is_maximal_marginal_relevance(model: Recommender, diversity: float) -> None:
    scores, vectors = scores_of(model), unit_vectors(model)
    expected: list[str] = []
    while len(expected) < 6:
        values = {}
        for item_id, score in scores.items():
            if item_id not in expected:
                cosines = [float(vectors[item_id] @ vectors[listed]) for listed in expected]
                penalty = reranking.DIVERSITY_NATS * max(cosines, default=-1.0)
                values[item_id] = (1 - diversity) * score - diversity * penalty
        expected.append(max(values, key=lambda item_id: values[item_id]))
    answer = model.recommend(HISTORY, 6, diversity=diversity)
    assert ids_of(answer) == expected
    for item in answer:
        assert item.score == pytest.approx(scores[item.item_id], rel=1e-5)


def test_more_diversity_gives_less_similar_lists(model: Recommender) -> None:
    vectors = unit_vectors(model)

    def similarity(diversity: float) -> float:
        listed = [vectors[i] for i in ids_of(model.recommend(HISTORY, 6, diversity=diversity))]
        cosines = np.array(listed) @ np.array(listed).T
        return float(cosines[np.triu_indices(6, 1)].mean())

    assert similarity(1.0) < similarity(0.0)


# --- dials and examples ---


def test_the_popularity_dial_moves_the_mean_count_monotonically(
    model: Recommender, table: dict[str, dict[str, Any]]
) -> None:
    means = []
    for dial in (-1, -0.5, 0, 0.25, 1):
        answer = model.recommend(HISTORY, 8, popularity=dial)
        counts = [table[item_id]["training_count"] for item_id in ids_of(answer)]
        means.append(round(float(np.log1p(counts).mean()), 9))
    assert means == sorted(means)
    assert means[0] < means[-1]


@pytest.mark.parametrize("controls", [
    {"popularity": 0.5}, {"popularity": -1}, {"like": ["101"]}, {"unlike": ["101", "300"]},
    {"like": ["100", "104"], "unlike": ["302"], "popularity": 0.3},
], ids=str)  # fmt: skip
def test_dials_and_examples_add_to_the_scores(
    model: Recommender, table: dict[str, dict[str, Any]], controls: dict[str, Any]
) -> None:
    scores, vectors = scores_of(model), unit_vectors(model)
    logs = {i: np.log1p(table[i]["training_count"]) for i in model.item_ids}
    mean, spread = np.mean(list(logs.values())), np.std(list(logs.values()))
    expected = {}
    for item_id, score in scores.items():
        dial = controls.get("popularity", 0) * steering.POPULARITY_NATS
        terms = [dial * (logs[item_id] - mean) / spread]
        for name, sign in (("like", 1), ("unlike", -1)):
            cosines = [float(vectors[item_id] @ vectors[i]) for i in controls.get(name, [])]
            terms.append(sign * steering.SIMILARITY_NATS * np.mean(cosines) if cosines else 0)
        if item_id not in [*controls.get("like", []), *controls.get("unlike", [])]:
            expected[item_id] = score + sum(terms)
    answer = model.recommend(HISTORY, len(expected), **controls)
    assert {item.item_id: item.score for item in answer} == pytest.approx(
        expected, rel=1e-4, abs=1e-4
    )
    assert np.diff([item.score for item in answer]).max() <= 0


# --- attributes of all types ---


def attributes_of(**columns: pa.Array) -> ItemAttributes:
    n_items = len(next(iter(columns.values())))
    ids = pa.array([str(i) for i in range(n_items)])
    table = build_items_table(pa.table({"item_id": ids, **columns}), np.ones(n_items, np.int64))
    return ItemAttributes(Items(table), N_SPECIALS + n_items)


def satisfying(attributes: ItemAttributes, text: str) -> list[int]:
    bits = np.unpackbits(attributes.mask(attributes.condition(text)), bitorder="little")
    return (np.flatnonzero(bits[N_SPECIALS : attributes.vocabulary_size])).tolist()


def test_attributes_of_all_types() -> None:
    attributes = attributes_of(**{
        "genre": pa.array(["Jazz", None, "jazz", ""]).dictionary_encode(),
        "genre name": pa.array(["a", "b", "c", "d"]),
        "price": pa.array([Decimal("1.50"), None, Decimal("2.00"), Decimal("3.25")]),
        "explicit": pa.array([True, False, None, True]),
        "year": pa.array([float("nan"), 1990.0, float("nan"), 1991.0]),
        "tags": pa.array([["a", None], [], None, ["A", "b"]]),
        "key": pa.array([2**60, 2**60 + 1, None, 2**62]),
        "city": pa.array(["ΟΔΟΣ", "İstanbul", "Straße", "it's"]),
        "numbers": pa.array([[7, 8], [], None, [7]]),
        "released": pa.array([date(1990, 5, 12), date(1989, 1, 1), None, date(1991, 1, 1)]),
        "at": pa.array([None, datetime(2001, 12, 31, 23), None, datetime(2002, 1, 1)]),
    })  # fmt: skip
    assert satisfying(attributes, "genre = JAZZ") == [0, 2]
    assert satisfying(attributes, "genre != jazz") == [1, 3]
    assert satisfying(attributes, "genre name = b") == [1]
    assert satisfying(attributes, "price >= 2") == [2, 3]
    assert satisfying(attributes, "explicit = true") == [0, 3]
    assert satisfying(attributes, "explicit != true") == [1, 2]
    assert satisfying(attributes, "year != 1990") == [0, 2, 3]
    assert satisfying(attributes, f"key = {2**60 + 1}") == [1]
    assert satisfying(attributes, f"key > {2**60}") == [1, 3]
    assert satisfying(attributes, f"key < {10**30}") == [0, 1, 3]
    assert satisfying(attributes, "tags has a") == [0, 3]
    assert satisfying(attributes, "tags lacks b") == [0, 1, 2]
    assert satisfying(attributes, "city = ΟΔΟΣ") == [0]
    assert satisfying(attributes, "city = 'İstanbul'") == [1]
    assert satisfying(attributes, 'city has "\'"') == [3]
    assert satisfying(attributes, "city = istanbul") == [1], "accents are folded"
    assert satisfying(attributes, "city = strasse") == [2]
    assert satisfying(attributes, "'genre name' = b") == [1]
    assert satisfying(attributes, '"genre name"!="b"') == [0, 2, 3]
    assert satisfying(attributes, "numbers has 7") == [0, 3]
    released = {
        "released >= 1990": [0, 3],
        "released < 1990-05": [1],
        "released = 1990-05": [0],
        "released > 1990-05-12": [3],
        "released != 1989": [0, 2, 3],
        "at = 2001": [1],
    }
    for condition, expected in released.items():
        assert satisfying(attributes, condition) == expected, condition
    for condition in ("released = may", "released has 1990", "released < 1990-5"):
        with pytest.raises(RequestError):
            attributes.condition(condition)
    # What is no value is not limited by a cap.
    for name, lengths in (("genre", [1, 0, 1, 0]), ("year", [0, 1, 0, 1]), ("tags", [1, 0, 0, 2])):
        values = attributes.cap(name, 1).values
        assert np.diff(values.offsets)[N_SPECIALS:].tolist() == lengths


# --- many histories ---


def test_a_batch_gives_each_history_the_list_that_it_gets_alone(model: Recommender) -> None:
    histories = [HISTORY, ["100"], ["303", "400"], HISTORY]
    own = [{"where": "year > 1992"}, None, {"cap": {"genres": 1}}, {"like": ["100"], "exclude": []}]
    together = model.recommend(histories, 5, controls=own, exclude=["305"], popularity=0.2)
    for history, controls, answer in zip(histories, own, together, strict=True):
        merged = {"exclude": ["305"], "popularity": 0.2} | (controls or {})
        alone = model.recommend(history, 5, **merged)
        assert ids_of(answer) == ids_of(alone)
        assert answer.notes == alone.notes


# --- errors ---


@pytest.mark.parametrize(("controls", "message"), [
    ({"where": "yaer > 3"}, "the items have no attribute 'yaer' (did you mean 'year'?"),
    ({"where": "genres = Comedy"}, "genres is a list (its operators: has, lacks)"),
    ({"where": "title < 3"}, "title is a text"),
    ({"where": "year >= new"}, "expected a number, because year is one"),
    ({"where": "year"}, "expected an attribute, an operator and a value"),
    ({"where": "year hasty"}, "expected an attribute, an operator and a value"),
    ({"where": ""}, "the items have no attribute ''"),
    ({"where": 3}, "where is 3, expected conditions"),
    ({"where": [3]}, "where has 3, expected a condition as text"),
    ({"where": "year >= 1990 and year < 1995"}, "expected one condition (give several conditions"),
    ({"where": "title => x"}, "expected an attribute, an operator and a value"),
    ({"where": "year = nan"}, "expected a number, because year is one"),
    ({"where": "sound has 1"}, "conditions do not support sound, which is of type list"),
    ({"where": "year >= " + "9" * 5000}, "expected a number, because year is one"),
    ({"cap": {"album": 2}}, "the items do not have: 'album'"),
    ({"cap": {"year": 0}}, "cap of year is 0, expected an integer from 1 up"),
    ({"cap": {"year": True}}, "cap of year is True"),
    ({"cap": 2}, "cap is 2, expected a mapping"),
    ({"diversity": -0.1}, "diversity is -0.1, expected a number from 0 to 1"),
    ({"diversity": float("nan")}, "diversity is nan"),
    ({"popularity": 1.5}, "popularity is 1.5, expected a number from -1 to 1"),
    ({"popularity": "high"}, "popularity is 'high'"),
    ({"only": "101"}, "only is the single value '101', expected a list of item ids"),
    ({"like": [None]}, "item id None stands for a missing id"),
    ({"novelty": 1}, "unknown argument or control 'novelty'"),
    ({"controls": {1: 2}}, "unknown argument or control 1"),
    ({"like": ["100", "101"], "unlike": ["101"]}, "an item is in like and in unlike"),
    ({"controls": [{}]}, "controls has [{}], expected a mapping"),
], ids=str)  # fmt: skip
def test_impossible_controls(model: Recommender, controls: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError) as raised:
        model.recommend(HISTORY, 3, **controls)
    assert message in str(raised.value)
    assert len(str(raised.value)) < 500


@pytest.mark.parametrize("value", ["no", 1, "yes"])
def test_include_seen_is_a_truth_value(model: Recommender, value: Any) -> None:
    with pytest.raises((RequestError, TypeError), match="include_seen"):
        model.recommend(HISTORY, 3, include_seen=value)


def test_a_control_of_none_leaves_that_of_all(model: Recommender) -> None:
    shared = {"where": "genres has Comedy"}
    answers = model.recommend([HISTORY] * 2, 3, controls=[{"where": None}, {"where": []}], **shared)
    assert ids_of(answers[0]) == ids_of(model.recommend(HISTORY, 3, **shared))
    assert ids_of(answers[1]) == ids_of(model.recommend(HISTORY, 3))


def test_baselines_and_other_datasets_refuse_controls(model: Recommender, genres: Dataset) -> None:
    from segue import baselines
    from segue.controls import Controls
    from segue.ragged import Ragged
    from segue.ranking import Query

    history = Ragged.from_rows([[5, 6]])
    query = Query(history, history, np.array([-1]), controls=[Controls(popularity=0.5)])
    lists = baselines.ListRanker("lists", Ragged.from_rows([[5]] * len(genres.sequences)))
    for ranker in (baselines.fit("popularity", genres), model.ranker(genres), lists):
        with pytest.raises(RequestError, match="does not support the controls"):
            ranker.top(query)


@pytest.mark.parametrize("sign", ["", "+", "-"])
def test_a_number_of_thousands_of_digits_is_read_or_refused(model: Recommender, sign: str) -> None:
    zeros = "0" * 5_000
    answer = model.recommend(HISTORY, 3, where=f"training_count > {sign}{zeros}")
    assert ids_of(answer) == ids_of(model.recommend(HISTORY, 3, where="training_count > 0"))
    with pytest.raises(RequestError, match="expected a number"):
        model.recommend(HISTORY, 3, where=f"training_count > {sign}1{zeros}")


@pytest.mark.parametrize("column", ["index", "is_candidate"])
def test_internal_columns_are_no_attributes(model: Recommender, column: str) -> None:
    with pytest.raises(RequestError, match=f"no attribute '{column}'"):
        model.recommend(HISTORY, 3, where=f"{column} = 5")


def test_a_repeated_condition_compares_the_texts_once(
    model: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = []
    codes = AttributeColumn.codes

    def counted(self: AttributeColumn, operator: str, value: str) -> np.ndarray:
        compared.append(value)
        return codes(self, operator, value)

    monkeypatch.setattr(AttributeColumn, "codes", counted)
    condition = "genres lacks a genre that occurs nowhere else"
    first = model.recommend(HISTORY, 3, where=condition)
    n_compared = len(compared)
    second = model.recommend(HISTORY, 3, where=condition)
    assert (ids_of(first), first.notes) == (ids_of(second), second.notes)
    assert 0 < n_compared == len(compared)
