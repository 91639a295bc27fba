"""A model that is told of sequences and reads of items: what it answers, and to whom."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from genre_world import COLD, GENRES, SEEN, first_genre, gender_of, genre_of, is_cold, movie
from segue.axes import Ragged
from segue.dataset import Dataset
from segue.errors import RequestError
from segue.features import SequenceVocabulary
from segue.ranking import Queries
from segue.recommender import Answer, Recommender

every_genre = pytest.mark.parametrize("genre", range(len(GENRES)), ids=GENRES)
every_gender = pytest.mark.parametrize("gender", ["F", "M"])


@pytest.fixture(scope="module")
def model(genre_run: Path) -> Recommender:
    return Recommender.load(genre_run)


def ids(answer: Answer) -> list[str]:
    return [item.item_id for item in answer.items]


def history_of(data: Dataset, user: str) -> list[str]:
    row = data.sequences.find(user)
    assert row is not None
    return [data.items.ids[index - 4] for index in data.sequences.row(row)]


# --- what is known of items ---


@every_genre
def test_items_that_nobody_saw_are_served_by_their_genre(model, genre):
    """Those of the genre that follows stand above all others that nobody saw."""
    found = ids(model.recommend([movie(genre, 0)], k=35))
    cold = [genre_of(item) for item in found if is_cold(item)]
    assert len(cold) == COLD * len(GENRES)
    assert set(cold[:COLD]) == {(genre + 1) % len(GENRES)}


def test_an_item_that_nobody_saw_is_no_unknown_one_in_a_history(model):
    """Those of one genre, of which the same is known, are answered alike; others otherwise."""
    comedy, other_comedy, western = (
        model.recommend([movie(0, 1), movie(*cold)], k=SEEN)
        for cold in ((0, SEEN + 1), (0, SEEN + 2), (3, SEEN + 1))
    )
    assert comedy.unknown_items == western.unknown_items == []
    assert set(ids(comedy)) == set(ids(other_comedy))
    assert ids(comedy) != ids(western)


# --- what is told ---


@every_gender
def test_what_is_told_decides_where_a_sequence_begins(model, gender):
    """A cold start: not one item is given."""
    found = ids(model.recommend(k=SEEN, about={"gender": gender}))
    assert {genre_of(item) for item in found} == {first_genre(gender)}


@every_gender
def test_what_is_told_holds_for_a_whole_continuation(model, gender):
    found = model.continue_sequence(length=7, temperature=0.0, about={"gender": gender})
    expected = [(first_genre(gender) + step) % len(GENRES) for step in range(7)]
    assert [genre_of(item) for item in ids(found)] == expected


def test_without_a_word_a_sequence_begins_with_either_genre(model):
    found = ids(model.recommend(k=2 * SEEN))
    assert {genre_of(item) for item in found} == {first_genre("F"), first_genre("M")}


def test_a_known_user_brings_history_attributes_and_id(model, genres):
    user = "7"
    known = {"user": user, "gender": gender_of(7)}
    answer = model.recommend(user=user, k=5)
    assert answer.items == model.recommend(history_of(genres, user), k=5, about=known).items
    assert answer.notes == []
    assert answer.items != model.recommend(history_of(genres, user), k=5).items


def test_what_is_said_goes_before_what_is_known_of_a_user(model, genres):
    assert gender_of(7) == "M"
    answer = model.recommend(user="7", k=5, about={"gender": "F"})
    told = {"user": "7", "gender": "F"}
    assert answer.items == model.recommend(history_of(genres, "7"), k=5, about=told).items
    assert answer.items != model.recommend(user="7", k=5).items


def test_an_evaluation_is_told_what_a_user_is(model, genres):
    """Each question of what is known of its sequence; one from outside of nothing."""
    users = ["7", "8", "30"]
    rows = np.array([genres.sequences.find(user) for user in users])
    histories = Ragged.of([genres.sequences.row(row) for row in rows.tolist()])
    ranker = model.ranker(genres)
    for told, answers in (
        (rows, [model.recommend(user=user, k=5) for user in users]),
        (np.full(3, -1), [model.recommend(history_of(genres, user), k=5) for user in users]),
    ):
        found = ranker.top(Queries(histories, histories, told), 5)
        expected = [[item.score for item in answer.items] for answer in answers]
        np.testing.assert_allclose(found.scores, expected, rtol=1e-4, atol=1e-4)
        listed = [[genres.items.ids[index - 4] for index in items] for items in found.items]
        assert listed == [ids(answer) for answer in answers]


def test_an_evaluation_untold_is_told_nothing_and_says_so(model, genres):
    rows = np.array([genres.sequences.find(user) for user in ["7", "8", "30"]])
    histories = Ragged.of([genres.sequences.row(row) for row in rows.tolist()])
    untold = model.ranker(genres, told=False)
    found = untold.top(Queries(histories, histories, rows), 5)
    expected = model.ranker(genres).top(Queries(histories, histories, np.full(3, -1)), 5)
    np.testing.assert_array_equal(found.items, expected.items)
    assert untold.notes == ("told nothing of the sequences but their events",)


# --- what was never met ---


def test_a_user_never_met_is_answered_as_anyone_and_told_so(model):
    prompt = [movie(0, 1), movie(1, 2)]
    answer = model.recommend(prompt, user="stranger", k=5)
    assert answer.items == model.recommend(prompt, k=5).items
    assert len(answer.notes) == 1
    assert answer.notes[0].startswith("user stranger was never met in training: answered as for")
    assert answer.to_json()["notes"] == answer.notes


def test_a_user_without_training_events_is_told_so_too(genre_run, genres):
    """Such as one of the test part of a holdout: the history counts, the id says nothing."""
    model = Recommender.load(genre_run)
    network = model.network
    users = [user for user in network.vocabulary.values["user"] if user != "9"]
    network.vocabulary = SequenceVocabulary({**network.vocabulary.values, "user": users})
    answer = model.recommend(user="9", k=5)
    told = {"gender": gender_of(9)}
    assert answer.items == model.recommend(history_of(genres, "9"), k=5, about=told).items
    assert answer.notes[0].startswith("user 9 was never met in training")


def test_a_value_never_met_counts_for_nothing_and_is_said(model):
    prompt = [movie(0, 1)]
    answer = model.recommend(prompt, k=5, about={"gender": "unheard of"})
    assert answer.items == model.recommend(prompt, k=5).items
    assert answer.notes == [
        "the model knows nothing of the gender 'unheard of': it counts for nothing"
    ]


def test_the_model_says_what_it_reads(model):
    with pytest.raises(RequestError, match="genres reads no 'mood' of a sequence") as caught:
        model.recommend([movie(0, 1)], about={"mood": "calm"})
    assert caught.value.hint == "it reads: gender, user"
    assert "\n" not in str(caught.value)


def test_a_model_that_reads_nothing_says_so(cycle_run: Path):
    model = Recommender.load(cycle_run)
    with pytest.raises(RequestError, match="reads no 'name' of a sequence") as caught:
        model.continue_sequence(["i1"], length=2, about={"name": "rain"})
    assert caught.value.hint == "it reads: nothing"
