"""Explanations: one pass equals removing each event, for every member, and the words say so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from segue.baselines.item_item import HistoryWeights, ItemItemRanker
from segue.config import ModelConfig
from segue.dataset import Dataset
from segue.errors import NotFiniteError, RequestError
from segue.features import NO_FEATURES, Features, SequenceVocabulary
from segue.model import Transformer
from segue.ragged import Ragged
from segue.ranking import Query
from segue.recommender import (
    Encoder,
    Ensemble,
    ItemBias,
    PureSVD,
    Recommender,
    SecondTransformer,
    SparseMember,
    prompt_layout,
    removals,
    shapes,
)
from segue.recommender.explaining.contributions import contributions
from segue.recommender.explaining.item_item_removals import item_item_contributions
from segue.recommender.explaining.why import N_FOLLOWERS, often_follows
from segue.tokens import N_SPECIALS, UNK
from small_ensembles import mixed_copy

VOCABULARY = 16
MEMBER_WEIGHTS = {
    "last events": HistoryWeights(4, power=1.0),
    "half-life": HistoryWeights(half_life=2.5),
    "distinct": HistoryWeights(power=0.7, distinct=True),
    "last distinct": HistoryWeights(3, half_life=1.5, distinct=True),
}
HISTORIES = [
    [4, 9, 9, 5, UNK, 9, 7, 4, 15, 6, 11, 9, 40, 8, 10],  # longer than the context of 12
    [5, 6, 7],
    [],
    [12],
    [4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
]


def random_member(weights: HistoryWeights, seed: int, vocabulary: int = VOCABULARY) -> SparseMember:
    """An item-item member with positive and negative weights, and divisors for even seeds."""
    random = np.random.default_rng(seed)
    matrix = random.normal(0.5, 1.0, (vocabulary, vocabulary)) * random.integers(0, 2, vocabulary)
    counts = random.integers(0, 9, vocabulary)
    divisors = random.uniform(0.5, 3.0, vocabulary) if seed % 2 == 0 else None
    pairs = sparse.csr_matrix(np.float32(matrix))
    ranker = ItemItemRanker("random", pairs, counts, weights, divisors=divisors)
    return SparseMember(ranker, 0.7, 0.02)


def without(history: list[int]) -> list[list[int]]:
    """The history without each of its events."""
    return [history[:i] + history[i + 1 :] for i in range(len(history))]


def removed_one_by_one(ensemble: Ensemble, query: Query, items: Ragged) -> list[np.ndarray]:
    """The contributions by scoring the history without each event, one after the other."""
    results = []
    for row in range(len(query)):
        request, listed = query.slice(row, row + 1), items.slice(row, row + 1)
        score = ensemble.scores(request, listed)
        columns = np.zeros((len(listed.values), request.histories.offsets[-1]), np.float32)
        for i, rest in enumerate(without(request.histories.row(0).tolist())):
            shortened = replace(request, histories=Ragged.from_rows([rest]))
            columns[:, i] = score - ensemble.scores(shortened, listed)
        results.append(columns)
    return results


@pytest.mark.parametrize("name", MEMBER_WEIGHTS)
@settings(max_examples=25)
@given(
    history=st.lists(st.sampled_from([UNK, *range(N_SPECIALS, 10), VOCABULARY + 3]), max_size=12),
    n_unseen=st.integers(0, 3),
    seed=st.integers(0, 3),
)
def test_running_sums_equal_the_bonus_without_each_event(
    name: str, history: list[int], n_unseen: int, seed: int
) -> None:
    member = random_member(MEMBER_WEIGHTS[name], seed)
    seen, items = np.array(history[n_unseen:], np.int32), np.arange(VOCABULARY, dtype=np.int32)
    actual = item_item_contributions(member, np.array(history, np.int32), seen, items)
    rows = [history, *without(history)]
    query = Query(
        Ragged.from_rows(rows), Ragged.from_rows([seen] * len(rows)), np.full(len(rows), -1)
    )
    bonus = member.bonus(query).toarray()
    np.testing.assert_allclose(actual, bonus[0][:, None] - bonus[1:].T, atol=2e-5)


def test_running_sums_in_blocks_of_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    from segue.recommender.explaining import item_item_removals

    member = random_member(MEMBER_WEIGHTS["distinct"], 1)
    history = np.array([4, 5, 4, 6, 7], np.int32)
    arguments = (member, history, history, np.array([9, 8, 15], np.int32))
    whole = item_item_contributions(*arguments)
    monkeypatch.setattr(item_item_removals, "SCORES_PER_BLOCK", 12)
    np.testing.assert_allclose(item_item_contributions(*arguments), whole, rtol=1e-5)
    assert np.abs(whole).max() > 0.01


@pytest.fixture(scope="module")
def ensemble(genre_run: Path) -> Ensemble:
    """Members of every kind: two transformers, one of which reads the user and three events."""
    model = Recommender.load(genre_run)
    size = model.ensemble.vocabulary_size
    config = ModelConfig(
        layers=1, heads=1, width=8, feed_forward=8, context=3, sequence_features=("user",)
    )
    features = Features.of(model.items, size, config, SequenceVocabulary({"user": ["ann", "bo"]}))
    transformer = Transformer(config, size, features.sizes, rngs=nnx.Rngs(1))
    second = Encoder(*nnx.split(transformer), prompt_layout(config, size), features)
    random = np.random.default_rng(0)
    vectors = random.normal(size=(size, 4)).astype(np.float32)
    vectors[UNK] = 0
    counted = random_member(MEMBER_WEIGHTS["last events"], 0, size)
    return Ensemble(
        model.encoder,
        [
            SecondTransformer(second, 3.0),
            PureSVD(vectors, 2.0),
            ItemBias.of_popularity(random.integers(0, 9, size), 0.3),
        ],
        [
            random_member(MEMBER_WEIGHTS["distinct"], 1, size),
            replace(counted, ranker=Opaque(counted)),
        ],
        encoder_weight=0.6,
    )


class Opaque:
    """A ranker with sparse scores that is not an ``ItemItemRanker``."""

    name = "opaque"

    def __init__(self, member: SparseMember) -> None:
        self.sparse_scores = member.ranker.sparse_scores


def query_of(histories: list[list[int]]) -> Query:
    users = ["ann", "nobody", "bo", None, "ann"]
    features = [{"user": user, "gender": "f"} for user in users[: len(histories)]]
    seen = Ragged.from_rows([row[:-2] for row in histories])
    rows = np.full(len(histories), -1)
    return Query(Ragged.from_rows(histories), seen, rows, sequence_features=features)


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("min_context", [64, 4], ids=["whole histories", "shared prefixes"])
def test_one_pass_equals_removing_each_event(
    ensemble: Ensemble, monkeypatch: pytest.MonkeyPatch, min_context: int
) -> None:
    monkeypatch.setattr(removals, "MIN_CONTEXT", min_context)
    assert removals.shares_prefixes(ensemble.encoder.layout, 12) == (min_context == 4)
    query = query_of(HISTORIES)
    items = Ragged.from_rows([[5, 10, 14], [9], [8, 4], [], [6, 15]])
    expected = removed_one_by_one(ensemble, query, items)
    for actual, by_hand in zip(contributions(ensemble, query, items), expected, strict=True):
        assert actual.shape == by_hand.shape
        np.testing.assert_allclose(actual, by_hand, atol=3e-5)
    assert np.abs(expected[0]).min(axis=0).max() > 0.01


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("start", [True, False])
@pytest.mark.parametrize("suffix_tokens", [1, 1 << 10], ids=["one row", "all rows"])
def test_states_from_shared_prefixes_equal_those_of_each_history(
    monkeypatch: pytest.MonkeyPatch, start: bool, suffix_tokens: int
) -> None:
    """Also where START or an older event moves in, and with a context that four does not divide."""
    monkeypatch.setattr(shapes, "SUFFIX_TOKENS", suffix_tokens)
    config = ModelConfig(layers=2, heads=2, width=8, feed_forward=8, context=7, start=start)
    transformer = Transformer(config, VOCABULARY, rngs=nnx.Rngs(0))
    encoder = Encoder(*nnx.split(transformer), prompt_layout(config, VOCABULARY), NO_FEATURES)
    events = np.random.default_rng(0).integers(UNK, VOCABULARY, 12).astype(np.int32)
    for n_events in (3, 6, 7, 8, 12):
        history = events[:n_events]
        rows = without(history.tolist())[-7:]
        nothing = Ragged.from_rows([[]] * len(rows))
        query = Query(Ragged.from_rows(rows), nothing, np.full(len(rows), -1))
        expected = np.asarray(encoder.states(query, 8))[: len(rows)]
        actual = encoder.states_without_events(history, {})
        np.testing.assert_allclose(actual, expected, atol=1e-5)


def test_events_beyond_the_context_contribute_through_other_members(ensemble: Ensemble) -> None:
    """The encoder reads 12 tokens, the second one 3, the count-based members all."""
    query, items = query_of(HISTORIES[:1]), Ragged.from_rows([[10, 14]])
    alone = Ensemble(ensemble.encoder, is_candidate=ensemble.is_candidate)
    [encoder] = contributions(alone, query, items)
    np.testing.assert_array_equal(encoder[:, :3], 0)
    assert np.abs(encoder[:, 3:]).min() > 0
    [all_members] = contributions(ensemble, query, items)
    assert np.abs(all_members[:, :3]).max() > 0.001


def test_blocks_of_requests_and_rows_change_nothing(
    ensemble: Ensemble, monkeypatch: pytest.MonkeyPatch
) -> None:
    from segue.recommender.explaining import contributions as module

    query, items = query_of(HISTORIES), Ragged.from_rows([[5, 10, 14]] * len(HISTORIES))
    whole = contributions(ensemble, query, items)
    monkeypatch.setattr(module, "REQUESTS_PER_BLOCK", 2)
    monkeypatch.setattr(shapes, "TOKENS_TO_ENCODE", 48)
    for a, b in zip(contributions(ensemble, query, items), whole, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5)


def test_scores_that_are_not_finite_are_an_error(ensemble: Ensemble) -> None:
    vectors = np.full((ensemble.vocabulary_size, 1), np.nan, np.float32)
    broken = Ensemble(ensemble.encoder, [PureSVD(vectors, 1.0)])
    with pytest.raises(NotFiniteError, match="the scores of the model are not finite"):
        contributions(broken, query_of([[4, 5]]), Ragged.from_rows([[6]]))


@pytest.fixture(scope="module")
def model(
    cycle_run: Path, cycles: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> Recommender:
    """The transformer of the cycles with popularity, co-occurrence and item-kNN."""
    copy = mixed_copy(cycle_run, cycles, tmp_path_factory.mktemp("explained") / "run")
    return Recommender.load(copy)


def test_the_reason_is_the_item_that_the_next_one_follows(model: Recommender) -> None:
    explanation = model.explain(["i9", "i2", "i3"], k=3)
    answer = model.recommend(["i9", "i2", "i3"], k=3)
    assert [item.item_id for item in explanation] == [item.item_id for item in answer]
    assert explanation.events == ["i9", "i2", "i3"]
    assert explanation.contributions.shape == (3, 3)
    first = explanation.answer.items[0]
    assert first.item_id == "i4"
    assert first.why is not None
    assert first.why.text == "because of i3, after which i4 often follows"
    reason = first.why.reasons[0]
    assert (reason.item_id, reason.position, reason.often_follows) == ("i3", 2, True)
    assert reason.contribution == explanation.contributions[0].max() > 0
    strengths = [reason.contribution for reason in first.why.reasons]
    assert strengths == sorted(strengths, reverse=True)


def test_many_histories_equal_each_alone(model: Recommender) -> None:
    histories = [["i3", "i4"], [], ["i1", "unknown", "i7", "i1", "i8"]]
    for together, history in zip(model.explain(histories, k=2), histories, strict=True):
        alone = model.explain(history, k=2)
        assert together.events == alone.events == history
        assert [item.item_id for item in together] == [item.item_id for item in alone]
        np.testing.assert_allclose(together.contributions, alone.contributions, atol=1e-5)
    [_, empty, _] = model.explain(histories, k=2)
    assert empty.contributions.shape == (2, 0)
    assert [item.why.text for item in empty if item.why] == [
        "not because of any event of the history"
    ] * 2


def test_given_candidates_are_explained(model: Recommender) -> None:
    explanation = model.explain(["i3", "i4"], candidates=["i9", "i3", "i5"])
    scores = dict(
        zip(["i9", "i3", "i5"], model.score(["i3", "i4"], ["i9", "i3", "i5"]), strict=True)
    )
    assert [item.item_id for item in explanation] == sorted(scores, key=lambda i: -scores[i])
    for item in explanation:
        assert item.score == pytest.approx(scores[item.item_id], rel=1e-4)
    many = model.explain([["i3"], []], candidates=[["i4"], []])
    assert [len(one) for one in many] == [1, 0]
    assert all(not one.answer.notes for one in many)
    with pytest.raises(RequestError, match="candidate 'nowhere' is not in the catalogue"):
        model.explain(["i3"], candidates=["i4", "nowhere"])


def test_controls_decide_what_is_listed_and_contribute_nothing(model: Recommender) -> None:
    plain = model.explain(["i2", "i3"], k=9)
    steered = model.explain(["i2", "i3"], k=3, popularity=0.5, like=["i7"], exclude=["i4"])
    listed = model.recommend(["i2", "i3"], k=3, popularity=0.5, like=["i7"], exclude=["i4"])
    assert [item.item_id for item in steered] == [item.item_id for item in listed]
    rows = {item.item_id: row for item, row in zip(plain, plain.contributions, strict=True)}
    for item, row in zip(steered, steered.contributions, strict=True):
        np.testing.assert_allclose(row, rows[item.item_id], atol=1e-5)
        assert item.item_id != "i4"


@pytest.mark.slow
def test_items_are_ranked_by_each_member_alone(model: Recommender, cycle_run: Path) -> None:
    history, k = ["i2", "i3"], 4
    explanation = model.explain(history, k, members=True, popularity=0.9, exclude=["i9"])
    assert explanation.member_ranks is not None
    assert next(iter(explanation.member_ranks)) == "transformer"
    assert {"popularity", "co-occurrence", "item-knn"} < explanation.member_ranks.keys()
    alone = Recommender.load(cycle_run, without_ensemble=True)
    everything = [item.item_id for item in alone.recommend(history, 10)]
    expected = [everything.index(item.item_id) + 1 for item in explanation]
    assert explanation.member_ranks["transformer"] == expected
    assert explanation.to_dict()["member_ranks"] == explanation.member_ranks
    assert model.explain(history, k).member_ranks is None
    single = model.explain(["i3"], candidates=["i4"], members=True).member_ranks
    assert single is not None
    assert single["co-occurrence"] == [1], "i4 always follows i3"


def test_an_explanation_is_plain_values_and_an_answer_without_one_has_no_new_keys(
    model: Recommender,
) -> None:
    values = model.explain(["i3", "i4"], k=1).to_dict()
    assert values["events"] == ["i3", "i4"]
    assert len(values["contributions"][0]) == 2
    assert values["items"][0]["why"]["text"].startswith("because of i4")
    plain = model.recommend(["i3", "i4"], k=1).to_dict()
    assert plain["items"][0].keys() == {"item_id", "title", "score", "rank"}


def test_an_explanation_is_a_table_of_items_and_events(model: Recommender) -> None:
    explanation = model.explain(["i3", "unknown", "i4"], 2)
    rows = explanation.to_arrow().to_pylist()
    assert [(row["rank"], row["position"], row["event"]) for row in rows] == [
        (rank, position, event)
        for rank in (1, 2)
        for position, event in enumerate(["i3", "unknown", "i4"])
    ]
    for row in rows:
        assert row["item_id"] == explanation[row["rank"] - 1].item_id
        value = explanation.contributions[row["rank"] - 1, row["position"]]
        assert row["contribution"] == pytest.approx(float(value))
    lines = repr(explanation).splitlines()
    assert lines[0] == "Explanation of 2 items by 3 events"
    assert lines[1].startswith(f"  1. {explanation[0].title}: because of ")


def test_contributions_are_those_of_the_last_events_in_a_moving_window(
    model: Recommender,
) -> None:
    history = [f"i{i % 12}" for i in range(14)]
    moving = model.with_window("moving")
    candidates = ["i3", "i4"]
    expected = model.explain(history, candidates=candidates)
    explanation = moving.explain(history, candidates=candidates)
    by_id = {item.item_id: row for item, row in zip(expected, expected.contributions, strict=True)}
    for item, row in zip(explanation, explanation.contributions, strict=True):
        np.testing.assert_allclose(row, by_id[item.item_id], rtol=1e-4, atol=1e-5)


def test_events_of_a_user_come_first(model: Recommender, cycles: Dataset) -> None:
    row = cycles.sequences.find("u3")
    assert row is not None
    stored = model.explain(user="u3", k=1).events
    assert stored == [cycles.items.ids[i - N_SPECIALS] for i in cycles.sequences.row(row).tolist()]
    assert model.explain(["never seen"], user="u3", k=1).events == [*stored, "never seen"]


def test_only_members_of_the_next_item_say_what_follows() -> None:
    weights = np.zeros((40, 40), np.float32)
    weights[5, 6:36] = np.arange(30, 0, -1)
    rank = {
        name: SparseMember(
            ItemItemRanker(name, sparse.csr_matrix(weights), np.ones(40, int), HistoryWeights()),
            1.0,
            1.0,
        )
        for name in ("tale", "ease")
    }
    tale, ease = rank["tale"], rank["ease"]
    assert often_follows([ease, tale], 5, 6)
    assert often_follows([tale], 5, 5 + N_FOLLOWERS)
    assert not often_follows([tale], 5, 6 + N_FOLLOWERS)
    assert not often_follows([tale], 5, 39)
    assert not often_follows([tale], UNK, 6)
    assert not often_follows([ease], 5, 6)


def test_controls_in_a_generator_are_read_once(model: Recommender) -> None:
    history = model.item_ids[:3]
    first = model.recommend(history, 1).items[0].item_id
    (explained,) = model.explain([history], 3, controls=[{"exclude": (i for i in [first])}])
    expected = model.recommend(history, 3, exclude=[first])
    assert [item.item_id for item in explained.answer] == [item.item_id for item in expected]
