"""The vocabulary of sequence features: which values get an id, and how rows are encoded."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from segue.config import ModelConfig
from segue.dataset import Items, Sequences
from segue.dataset.items import build_items_table
from segue.errors import ConfigError
from segue.features import (
    MAX_FEATURE_IDS,
    MIN_COUNT,
    USER,
    FeatureIds,
    Features,
    SequenceVocabulary,
)
from segue.ragged import Ragged
from segue.tokens import N_SPECIALS


def sequences_of(train_ends: list[int] | None = None, **attributes: list) -> Sequences:
    """Sequences of one event each, with attributes.

    Args:
        train_ends: training events of each sequence; by default one.
    """
    n = len(next(iter(attributes.values()))) if attributes else len(train_ends or [])
    ragged = Ragged.from_rows([[N_SPECIALS]] * n)
    ends = np.array([1] * n if train_ends is None else train_ends, np.int32)
    return Sequences(
        ids=pa.array([f"s{row}" for row in range(n)]),
        offsets=ragged.offsets,
        items=ragged.values,
        times=None,
        ratings=None,
        train_end=ends,
        valid_end=ends,
        target_parts=None,
        attributes=pa.table(attributes),
    )


def weights_by_value(
    vocabulary: SequenceVocabulary, feature_ids: FeatureIds, row: int
) -> dict[str, float]:
    """The values that the ids of one row stand for, with their weights."""
    values = ["", *itertools.chain.from_iterable(vocabulary.values.values())]
    pairs = zip(feature_ids.ids[row].tolist(), feature_ids.weights[row].tolist(), strict=True)
    return {values[feature_id]: weight for feature_id, weight in pairs if weight}


# --- values of the vocabulary ---


def test_texts_and_their_words_are_values():
    names = ["Christmas Party", "christmas party!", "My Christmas", "PARTY", "lonely night"]
    vocabulary = SequenceVocabulary.of(sequences_of(name=names), ["name"])
    # "my", "lonely night" and its words occur in one name only.
    assert vocabulary.values == {"name": ["christmas", "party", "christmas party"]}
    assert vocabulary.n_feature_ids == 4


def test_values_are_ordered_by_descending_count_then_by_name():
    names = ["b", "a", "c", "c", "b", "a", "c"]
    vocabulary = SequenceVocabulary.of(sequences_of(name=names), ["name"])
    assert vocabulary.values["name"] == ["c", "a", "b"]


def test_values_of_sequences_without_training_events_are_left_out():
    names = ["road trip", "road trip", "rain", "rain"]
    sequences = sequences_of([1, 1, 1, 0], name=names)
    vocabulary = SequenceVocabulary.of(sequences, ["name", USER])
    assert vocabulary.values["name"] == ["road", "road trip", "trip"]
    assert vocabulary.values[USER] == ["s0", "s1", "s2"]


def test_the_user_feature_has_one_value_per_trained_sequence():
    vocabulary = SequenceVocabulary.of(sequences_of([1, 0, 2]), [USER])
    assert vocabulary.values == {USER: ["s0", "s2"]}
    assert vocabulary.feature_slots == [slice(0, 1)]


def test_without_features_there_are_no_ids():
    vocabulary = SequenceVocabulary.of(sequences_of(name=["a", "a"]), [])
    assert vocabulary.n_feature_ids == 0
    feature_ids = vocabulary.encode_rows(sequences_of(name=["a", "a"]))
    assert feature_ids.ids.shape == feature_ids.weights.shape == (2, 0)


def test_an_attribute_without_shared_words_is_refused():
    names = ["first rain", "second sun", "second rain"]
    for sequences in (sequences_of(name=names[:2]), sequences_of([1, 1, 0], name=names)):
        with pytest.raises(ConfigError, match="share a word of it") as caught:
            SequenceVocabulary.of(sequences, ["name"])
        assert caught.value.hint == "remove it from model.sequence_features"


def test_a_feature_without_values_still_has_the_padding_id():
    vocabulary = SequenceVocabulary({"name": []})
    assert vocabulary.n_feature_ids == 1
    assert not vocabulary.encode_rows(sequences_of(name=["a", "b"])).weights.any()


@pytest.mark.parametrize("attribute", ["title", "Name", ""])
def test_an_unknown_attribute_is_refused(attribute):
    message = f"names '{attribute}', which is not an attribute of the dataset's sequences"
    with pytest.raises(ConfigError, match=message) as caught:
        SequenceVocabulary.of(sequences_of(name=["a"], age=["1"]), [attribute])
    assert caught.value.hint == "available: user, name, age"


# --- encoding ---

WORLD = sequences_of(
    name=["red wine", "red wine", "white wine", "white", None, "☂", "blue"],
    mood=["calm", "calm", "loud", "loud", "calm", "loud", "rare"],
)
VOCABULARY = SequenceVocabulary.of(WORLD, ["name", USER, "mood"])


def test_values_outside_the_vocabulary_are_dropped():
    feature_ids = VOCABULARY.encode_rows(WORLD)
    weights = [weights_by_value(VOCABULARY, feature_ids, row) for row in range(7)]
    third = pytest.approx(1 / 3)
    assert weights == [
        {"red wine": third, "red": third, "wine": third, "s0": 1, "calm": 1},
        {"red wine": third, "red": third, "wine": third, "s1": 1, "calm": 1},
        {"white": 0.5, "wine": 0.5, "s2": 1, "loud": 1},
        {"white": 1, "s3": 1, "loud": 1},
        {"s4": 1, "calm": 1},
        {"s5": 1, "loud": 1},
        {"s6": 1},
    ]
    assert (feature_ids.ids[feature_ids.weights == 0] == 0).all()
    assert feature_ids.ids.max() == VOCABULARY.n_feature_ids - 1


def test_each_feature_has_separate_slots():
    assert VOCABULARY.feature_slots == [
        slice(0, MAX_FEATURE_IDS),
        slice(MAX_FEATURE_IDS, MAX_FEATURE_IDS + 1),
        slice(MAX_FEATURE_IDS + 1, 2 * MAX_FEATURE_IDS + 1),
    ]
    feature_ids = VOCABULARY.encode_rows(WORLD)
    assert feature_ids.ids.shape == (7, 2 * MAX_FEATURE_IDS + 1)
    first_ids = [1, 1 + len(VOCABULARY.values["name"])]
    first_ids.append(first_ids[-1] + len(VOCABULARY.values[USER]))
    for slots, first, values in zip(
        VOCABULARY.feature_slots, first_ids, VOCABULARY.values.values(), strict=True
    ):
        ids = feature_ids.ids[:, slots][feature_ids.weights[:, slots] > 0]
        assert first <= ids.min()
        assert ids.max() < first + len(values)


def test_rows_encoded_one_by_one_equal_all_at_once():
    all_rows = VOCABULARY.encode_rows(WORLD)
    rows = [
        {"name": name, "mood": mood, USER: f"s{row}"}
        for row, (name, mood) in enumerate(
            zip(
                *(WORLD.attributes.column(key).to_pylist() for key in ("name", "mood")), strict=True
            )
        )
    ]
    for row, described in enumerate(rows):
        alone = VOCABULARY.encode([described])
        for single, expected in zip(alone, all_rows, strict=True):
            np.testing.assert_array_equal(single[0], expected[row])


def test_missing_features_get_no_ids():
    feature_ids = VOCABULARY.encode([{}, {"mood": "CALM!"}, {"name": "Wine, red", "mood": None}])
    assert weights_by_value(VOCABULARY, feature_ids, 0) == {}
    assert weights_by_value(VOCABULARY, feature_ids, 1) == {"calm": 1}
    assert weights_by_value(VOCABULARY, feature_ids, 2) == {"red": 0.5, "wine": 0.5}


def test_a_dataset_without_an_attribute_is_encoded_by_the_others():
    without_names = replace(WORLD, attributes=WORLD.attributes.select(["mood"]))
    feature_ids = VOCABULARY.encode_rows(without_names)
    assert weights_by_value(VOCABULARY, feature_ids, 2) == {"s2": 1, "loud": 1}


def test_only_the_first_words_of_a_long_text_are_kept():
    name = " ".join(f"w{number:02}" for number in range(20))
    vocabulary = SequenceVocabulary.of(sequences_of(name=[name, name]), ["name"])
    feature_ids = vocabulary.encode([{"name": name}, {"name": f"new {name}"}])
    assert list(weights_by_value(vocabulary, feature_ids, 0))[:2] == [name, "w00"]
    assert list(weights_by_value(vocabulary, feature_ids, 1)) == [
        f"w{number:02}" for number in range(MAX_FEATURE_IDS)
    ]
    np.testing.assert_allclose(feature_ids.weights.sum(axis=1), 1, rtol=1e-6)


def test_numbers_are_values_too():
    sequences = sequences_of(age=[25, 18, 25, None])
    vocabulary = SequenceVocabulary.of(sequences, ["age"])
    assert vocabulary.values == {"age": ["25"]}
    feature_ids = vocabulary.encode_rows(sequences)
    assert [weights_by_value(vocabulary, feature_ids, row) for row in range(4)] == [
        {"25": 1},
        {},
        {"25": 1},
        {},
    ]
    assert weights_by_value(vocabulary, vocabulary.encode([{"age": "25"}]), 0) == {"25": 1}


@pytest.mark.parametrize(
    ("name", "value", "is_unknown"),
    [
        ("name", "RED", False),
        ("name", "a blue wine", False),
        ("name", "blue", True),
        ("name", "", True),
        ("name", "☂", True),
        (USER, "s3", False),
        (USER, "S3", True),
        ("mood", "rare", True),
    ],
)
def test_a_value_is_unknown_if_none_of_its_words_has_an_id(name, value, is_unknown):
    assert VOCABULARY.is_unknown(name, value) == is_unknown


texts = st.lists(st.text("ab C-", max_size=8), min_size=1, max_size=12)


@given(names=texts)
def test_vocabulary_and_ids_match_a_naive_encoding(names):
    def parts(name: str) -> list[str]:
        words = name.lower().replace("-", " ").split()
        return list(dict.fromkeys([" ".join(words), *words])) if words else []

    counts = Counter(part for name in names for part in parts(name))
    frequent = [part for part, count in counts.items() if count >= MIN_COUNT]
    assume(frequent)
    sequences = sequences_of(name=names)
    vocabulary = SequenceVocabulary.of(sequences, ["name"])
    assert vocabulary.values["name"] == sorted(frequent, key=lambda part: (-counts[part], part))
    feature_ids = vocabulary.encode_rows(sequences)
    for row, name in enumerate(names):
        matching = [part for part in parts(name) if part in frequent][:MAX_FEATURE_IDS]
        expected = {part: 1 / len(matching) for part in matching}
        assert weights_by_value(vocabulary, feature_ids, row) == pytest.approx(expected)


@pytest.mark.parametrize("features", [["name"], [USER], [USER, "name"]])
def test_selected_rows_are_encoded_like_all_rows_and_negative_ones_as_unknown(features):
    sequences = sequences_of(name=["rain", "sun", "rain", "sun"])
    vocabulary = SequenceVocabulary.of(sequences, features)
    all_rows = vocabulary.encode_rows(sequences)
    selected = vocabulary.encode_rows(sequences, np.array([3, -1, 0, 3]))
    for array, expected in zip(selected, all_rows, strict=True):
        np.testing.assert_array_equal(array[[0, 2, 3]], expected[[3, 0, 3]])
    assert not selected.weights[1].any()


def test_values_of_session_of_are_not_split_into_words():
    owners = ["user-12", "user-12", "user-1", "user-1", "Ab", "ab", "!!", "!!"]
    vocabulary = SequenceVocabulary.of(sequences_of(session_of=owners), ["session_of"])
    assert vocabulary.values == {"session_of": ["!!", "user-1", "user-12"]}
    feature_ids = vocabulary.encode_rows(sequences_of(session_of=owners))
    assert feature_ids.ids[:, 0].tolist() == [3, 3, 2, 2, 0, 0, 1, 1]
    assert feature_ids.ids.shape[1] == 1


# --- selecting rows ---


def test_take_returns_rows_in_order_as_a_copy():
    feature_ids = FeatureIds(
        np.array([[1, 2], [3, 0]], np.int32), np.array([[0.5, 0.5], [1, 0]], np.float32)
    )
    selected = feature_ids.take(np.array([1, 0, 1]))
    assert selected.weights.tolist() == [[1, 0], [0.5, 0.5], [1, 0]]
    assert selected.ids.tolist() == [[3, 0], [1, 2], [3, 0]]
    selected.weights[:] = 9
    assert feature_ids.weights.max() == 1


def test_features_have_the_sequences_that_the_model_is_trained_on():
    sequences = sequences_of(name=["christmas", None, "party"])
    items = Items(build_items_table(pa.table({"item_id": ["i0"]}), np.array([3])))
    size, config = N_SPECIALS + 1, ModelConfig()
    vocabulary = SequenceVocabulary({"name": ["christmas", "party"]})
    trained = Features.of(items, size, config, vocabulary, sequences)
    assert trained.sequences is not None
    assert trained.sequences.ids[:, 0].tolist() == [1, 0, 2]
    assert Features.of(items, size, config, vocabulary).sequences is None
    assert Features.of(items, size, config, SequenceVocabulary({}), sequences).sequences is None
