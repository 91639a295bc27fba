"""Recommendations of a model with item features and sequence features."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from genre_world import GENRES, N_COLD, N_SEEN, first_genre, gender_of, genre_of, is_cold, movie_id
from segue.dataset import Dataset
from segue.errors import RequestError
from segue.features import SequenceVocabulary, stored_features
from segue.ragged import Ragged
from segue.ranking import Query
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


# --- item features ---


@every_genre
def test_items_without_events_are_ranked_by_genre(model, genre):
    """Cold items of the next genre rank above all other cold items."""
    recommended = ids(model.recommend([movie_id(genre, 0)], k=35))
    cold = [genre_of(item) for item in recommended if is_cold(item)]
    assert len(cold) == N_COLD * len(GENRES)
    assert set(cold[:N_COLD]) == {(genre + 1) % len(GENRES)}


def test_items_without_events_in_a_history_are_represented_by_their_features(model):
    """Two cold items with equal features give the same items, one of another genre does not."""
    comedy, other_comedy, western = (
        model.recommend([movie_id(0, 1), movie_id(*cold)], k=N_SEEN)
        for cold in ((0, N_SEEN + 1), (0, N_SEEN + 2), (3, N_SEEN + 1))
    )
    assert comedy.unknown_items == western.unknown_items == []
    assert set(ids(comedy)) == set(ids(other_comedy))
    assert ids(comedy) != ids(western)


# --- sequence features ---


@every_gender
def test_a_sequence_feature_determines_the_first_item(model, gender):
    """Cold start: the history is empty."""
    recommended = ids(model.recommend(k=N_SEEN, sequence_features={"gender": gender}))
    assert {genre_of(item) for item in recommended} == {first_genre(gender)}


@every_gender
def test_a_sequence_feature_is_used_throughout_generation(model, gender):
    generated = model.generate(length=7, temperature=0.0, sequence_features={"gender": gender})
    expected = [(first_genre(gender) + step) % len(GENRES) for step in range(7)]
    assert [genre_of(item) for item in ids(generated)] == expected


def test_without_sequence_features_both_first_genres_are_recommended(model):
    recommended = ids(model.recommend(k=2 * N_SEEN))
    assert {genre_of(item) for item in recommended} == {first_genre("F"), first_genre("M")}


def test_a_user_id_supplies_history_attributes_and_id(model, genres):
    user = "7"
    features = {"user": user, "gender": gender_of(7)}
    answer = model.recommend(user=user, k=5)
    assert (
        answer.items
        == model.recommend(history_of(genres, user), k=5, sequence_features=features).items
    )
    assert answer.notes == []
    assert answer.items != model.recommend(history_of(genres, user), k=5).items


def test_given_sequence_features_replace_stored_ones(model, genres):
    assert gender_of(7) == "M"
    answer = model.recommend(user="7", k=5, sequence_features={"gender": "F"})
    features = {"user": "7", "gender": "F"}
    assert (
        answer.items
        == model.recommend(history_of(genres, "7"), k=5, sequence_features=features).items
    )
    assert answer.items != model.recommend(user="7", k=5).items


def test_a_ranker_uses_the_sequence_features_of_its_dataset(model, genres):
    """Requests of dataset rows have features, requests with row -1 have none."""
    users = ["7", "8", "30"]
    rows = np.array([genres.sequences.find(user) for user in users])
    histories = Ragged.from_rows([genres.sequences.row(row) for row in rows.tolist()])
    ranker = model.ranker(genres)
    for query_rows, answers in (
        (rows, [model.recommend(user=user, k=5) for user in users]),
        (np.full(3, -1), [model.recommend(history_of(genres, user), k=5) for user in users]),
    ):
        features = stored_features(genres.sequences, query_rows)
        recommended = ranker.top(
            Query(histories, histories, query_rows, k=5, sequence_features=features)
        )
        expected = [[item.score for item in answer.items] for answer in answers]
        np.testing.assert_allclose(recommended.scores, expected, rtol=1e-4, atol=1e-4)
        listed = [[genres.items.ids[index - 4] for index in items] for items in recommended.items]
        assert listed == [ids(answer) for answer in answers]


def test_a_ranker_can_ignore_sequence_features(model, genres):
    rows = np.array([genres.sequences.find(user) for user in ["7", "8", "30"]])
    histories = Ragged.from_rows([genres.sequences.row(row) for row in rows.tolist()])
    without_features = model.ranker(genres, use_sequence_features=False)
    features = stored_features(genres.sequences, rows)
    query = Query(histories, histories, rows, k=5, sequence_features=features)
    recommended = without_features.top(query)
    expected = model.ranker(genres).top(replace(query, sequence_features=None))
    np.testing.assert_array_equal(recommended.items, expected.items)
    assert without_features.notes == ("sequence features were not used",)


# --- unknown values ---


def test_the_id_of_an_unknown_user_is_ignored_with_a_note(model):
    prompt = [movie_id(0, 1), movie_id(1, 2)]
    answer = model.recommend(prompt, user="stranger", k=5)
    assert answer.items == model.recommend(prompt, k=5).items
    assert answer.notes == ["user stranger was not in the training data: the user id was ignored"]
    assert answer.to_dict()["notes"] == answer.notes


def test_the_id_of_a_user_without_training_events_is_ignored(genre_run, genres):
    """For example a user of the test part of a holdout split: only the history is used."""
    model = Recommender.load(genre_run)
    values = model.encoder.vocabulary.values
    users = [user for user in values["user"] if user != "9"]
    vocabulary = SequenceVocabulary({**values, "user": users})
    model.encoder.vocabulary = vocabulary
    model._requests = replace(model._requests, vocabulary=vocabulary)
    answer = model.recommend(user="9", k=5)
    features = {"gender": gender_of(9)}
    assert (
        answer.items
        == model.recommend(history_of(genres, "9"), k=5, sequence_features=features).items
    )
    assert answer.notes == ["user 9 was not in the training data: the user id was ignored"]


def test_an_unknown_value_is_ignored_with_a_note(model):
    prompt = [movie_id(0, 1)]
    answer = model.recommend(prompt, k=5, sequence_features={"gender": "not stated"})
    assert answer.items == model.recommend(prompt, k=5).items
    assert answer.notes == ["unknown gender 'not stated' was ignored"]


def test_a_feature_that_the_model_lacks_is_refused(model):
    with pytest.raises(
        RequestError, match="the model genres has no sequence feature 'mood'"
    ) as caught:
        model.recommend([movie_id(0, 1)], sequence_features={"mood": "calm"})
    assert caught.value.hint == "its sequence features: gender, user"
    assert "\n" not in str(caught.value)


def test_a_model_without_sequence_features_refuses_them(cycle_run: Path):
    model = Recommender.load(cycle_run)
    with pytest.raises(RequestError, match="has no sequence feature 'name'") as caught:
        model.generate(["i1"], length=2, sequence_features={"name": "rain"})
    assert caught.value.hint == "its sequence features: none"
