"""What a model knows of sequences: words of their attributes, and the sequences themselves."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from segue.axes import N_SPECIALS, Ragged
from segue.dataset import Sequences
from segue.errors import ConfigError
from segue.features import MAX_CODES, MIN_COUNT, USER, Bag, SequenceVocabulary


def sequences_of(train_ends: list[int] | None = None, **attributes: list) -> Sequences:
    """Sequences of one event each, with attributes; all for training unless told otherwise."""
    n = len(next(iter(attributes.values()))) if attributes else len(train_ends or [])
    ragged = Ragged.of([[N_SPECIALS]] * n)
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


def words_of(vocabulary: SequenceVocabulary, bag: Bag, row: int) -> dict[str, float]:
    """The values behind the codes of one row, with their weights."""
    values = ["", *(value for known in vocabulary.values.values() for value in known)]
    pairs = zip(bag.codes[row].tolist(), bag.weights[row].tolist(), strict=True)
    return {values[code]: weight for code, weight in pairs if weight}


# --- the values that are known ---


def test_a_name_is_known_as_a_whole_and_by_its_words():
    names = ["Christmas Party", "christmas party!", "My Christmas", "PARTY", "lonely night"]
    vocabulary = SequenceVocabulary.of(sequences_of(name=names), ["name"])
    # In three names twice and more; "my", "lonely night" and its words come once.
    assert vocabulary.values == {"name": ["christmas", "party", "christmas party"]}
    assert vocabulary.n_codes == 4


def test_values_are_ordered_by_falling_count_then_by_name():
    names = ["b", "a", "c", "c", "b", "a", "c"]
    vocabulary = SequenceVocabulary.of(sequences_of(name=names), ["name"])
    assert vocabulary.values["name"] == ["c", "a", "b"]


def test_sequences_without_a_training_event_teach_no_value():
    names = ["road trip", "road trip", "rain", "rain"]
    sequences = sequences_of([1, 1, 1, 0], name=names)
    vocabulary = SequenceVocabulary.of(sequences, ["name", USER])
    assert vocabulary.values["name"] == ["road", "road trip", "trip"]
    assert vocabulary.values[USER] == ["s0", "s1", "s2"]


def test_every_trained_sequence_is_a_user_of_its_own():
    vocabulary = SequenceVocabulary.of(sequences_of([1, 0, 2]), [USER])
    assert vocabulary.values == {USER: ["s0", "s2"]}
    assert vocabulary.slots == [slice(0, 1)]


def test_nothing_is_known_where_nothing_is_asked_for():
    vocabulary = SequenceVocabulary.of(sequences_of(name=["a", "a"]), [])
    assert vocabulary.n_codes == 0
    bag = vocabulary.encode_rows(sequences_of(name=["a", "a"]))
    assert bag.codes.shape == bag.weights.shape == (2, 0)


def test_an_attribute_of_which_nothing_is_shared_is_refused():
    names = ["first rain", "second sun", "second rain"]
    for sequences in (sequences_of(name=names[:2]), sequences_of([1, 1, 0], name=names)):
        with pytest.raises(ConfigError, match="share a word of it") as caught:
            SequenceVocabulary.of(sequences, ["name"])
        assert caught.value.hint == "leave it out of model.sequence_features"


def test_a_feature_of_which_nothing_is_known_still_has_its_empty_code():
    vocabulary = SequenceVocabulary({"name": []})
    assert vocabulary.n_codes == 1
    assert not vocabulary.encode_rows(sequences_of(name=["a", "b"])).weights.any()


@pytest.mark.parametrize("asked", ["title", "Name", ""])
def test_an_attribute_that_there_is_not_is_one_clear_line(asked):
    with pytest.raises(ConfigError, match=f"names '{asked}', which .* sequences do not") as caught:
        SequenceVocabulary.of(sequences_of(name=["a"], age=["1"]), [asked])
    assert caught.value.hint == "they have: user, name, age"


# --- codes ---

WORLD = sequences_of(
    name=["red wine", "red wine", "white wine", "white", None, "☂", "blue"],
    mood=["calm", "calm", "loud", "loud", "calm", "loud", "rare"],
)
VOCABULARY = SequenceVocabulary.of(WORLD, ["name", USER, "mood"])


def test_a_text_becomes_the_codes_that_are_known_of_it():
    bag = VOCABULARY.encode_rows(WORLD)
    found = [words_of(VOCABULARY, bag, row) for row in range(7)]
    third = pytest.approx(1 / 3)
    assert found == [
        {"red wine": third, "red": third, "wine": third, "s0": 1, "calm": 1},
        {"red wine": third, "red": third, "wine": third, "s1": 1, "calm": 1},
        {"white": 0.5, "wine": 0.5, "s2": 1, "loud": 1},
        {"white": 1, "s3": 1, "loud": 1},
        {"s4": 1, "calm": 1},
        {"s5": 1, "loud": 1},
        {"s6": 1},
    ]
    assert (bag.codes[bag.weights == 0] == 0).all()
    assert bag.codes.max() == VOCABULARY.n_codes - 1


def test_each_feature_has_its_own_slots():
    assert VOCABULARY.slots == [
        slice(0, MAX_CODES),
        slice(MAX_CODES, MAX_CODES + 1),
        slice(MAX_CODES + 1, 2 * MAX_CODES + 1),
    ]
    bag = VOCABULARY.encode_rows(WORLD)
    assert bag.codes.shape == (7, 2 * MAX_CODES + 1)
    firsts = [1, 1 + len(VOCABULARY.values["name"])]
    firsts.append(firsts[-1] + len(VOCABULARY.values[USER]))
    for slots, first, values in zip(
        VOCABULARY.slots, firsts, VOCABULARY.values.values(), strict=True
    ):
        codes = bag.codes[:, slots][bag.weights[:, slots] > 0]
        assert first <= codes.min()
        assert codes.max() < first + len(values)


def test_one_at_a_time_and_all_at_once_agree():
    together = VOCABULARY.encode_rows(WORLD)
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
        for one, other in zip(alone, together, strict=True):
            np.testing.assert_array_equal(one[0], other[row])


def test_features_that_are_not_given_are_left_out():
    bag = VOCABULARY.encode([{}, {"mood": "CALM!"}, {"name": "Wine, red", "mood": None}])
    assert words_of(VOCABULARY, bag, 0) == {}
    assert words_of(VOCABULARY, bag, 1) == {"calm": 1}
    assert words_of(VOCABULARY, bag, 2) == {"red": 0.5, "wine": 0.5}


def test_a_dataset_that_lacks_an_attribute_is_told_the_rest():
    other = replace(WORLD, attributes=WORLD.attributes.select(["mood"]))
    bag = VOCABULARY.encode_rows(other)
    assert words_of(VOCABULARY, bag, 2) == {"s2": 1, "loud": 1}


def test_a_long_text_keeps_its_first_known_words():
    name = " ".join(f"w{number:02}" for number in range(20))
    vocabulary = SequenceVocabulary.of(sequences_of(name=[name, name]), ["name"])
    bag = vocabulary.encode([{"name": name}, {"name": f"unheard {name}"}])
    assert list(words_of(vocabulary, bag, 0))[:2] == [name, "w00"]
    assert list(words_of(vocabulary, bag, 1)) == [f"w{number:02}" for number in range(MAX_CODES)]
    np.testing.assert_allclose(bag.weights.sum(axis=1), 1, rtol=1e-6)


def test_attributes_may_be_numbers():
    sequences = sequences_of(age=[25, 18, 25, None])
    vocabulary = SequenceVocabulary.of(sequences, ["age"])
    assert vocabulary.values == {"age": ["25"]}
    bag = vocabulary.encode_rows(sequences)
    assert [words_of(vocabulary, bag, row) for row in range(4)] == [{"25": 1}, {}, {"25": 1}, {}]
    assert words_of(vocabulary, vocabulary.encode([{"age": "25"}]), 0) == {"25": 1}


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
def test_a_value_is_unknown_when_not_even_a_word_of_it_is_known(name, value, is_unknown):
    assert VOCABULARY.is_unknown(name, value) == is_unknown


texts = st.lists(st.text("ab C-", max_size=8), min_size=1, max_size=12)


@given(names=texts)
def test_vocabularies_are_what_they_should_be(names):
    def parts(name: str) -> list[str]:
        words = name.lower().replace("-", " ").split()
        return list(dict.fromkeys([" ".join(words), *words])) if words else []

    counts = Counter(part for name in names for part in parts(name))
    often = [part for part, count in counts.items() if count >= MIN_COUNT]
    assume(often)
    sequences = sequences_of(name=names)
    vocabulary = SequenceVocabulary.of(sequences, ["name"])
    assert vocabulary.values["name"] == sorted(often, key=lambda part: (-counts[part], part))
    bag = vocabulary.encode_rows(sequences)
    for row, name in enumerate(names):
        known = [part for part in parts(name) if part in often][:MAX_CODES]
        expected = {part: 1 / len(known) for part in known}
        assert words_of(vocabulary, bag, row) == pytest.approx(expected)


@pytest.mark.parametrize("features", [["name"], [USER], [USER, "name"]])
def test_some_sequences_are_encoded_as_all_are_and_negative_ones_as_unknown(features):
    sequences = sequences_of(name=["rain", "sun", "rain", "sun"])
    vocabulary = SequenceVocabulary.of(sequences, features)
    all_of_them = vocabulary.encode_rows(sequences)
    some = vocabulary.encode_rows(sequences, np.array([3, -1, 0, 3]))
    for part, whole in zip(some, all_of_them, strict=True):
        np.testing.assert_array_equal(part[[0, 2, 3]], whole[[3, 0, 3]])
    assert not some.weights[1].any()


def test_whose_a_session_is_stays_whole():
    owners = ["user-12", "user-12", "user-1", "user-1", "Ab", "ab", "!!", "!!"]
    vocabulary = SequenceVocabulary.of(sequences_of(session_of=owners), ["session_of"])
    assert vocabulary.values == {"session_of": ["!!", "user-1", "user-12"]}
    bag = vocabulary.encode_rows(sequences_of(session_of=owners))
    assert bag.codes[:, 0].tolist() == [3, 3, 2, 2, 0, 0, 1, 1]
    assert bag.codes.shape[1] == 1


# --- rows of a bag ---


def test_rows_are_taken_in_order_as_a_copy():
    bag = Bag(np.array([[1, 2], [3, 0]], np.int32), np.array([[0.5, 0.5], [1, 0]], np.float32))
    taken = bag.take(np.array([1, 0, 1]))
    assert taken.weights.tolist() == [[1, 0], [0.5, 0.5], [1, 0]]
    assert taken.codes.tolist() == [[3, 0], [1, 2], [3, 0]]
    taken.weights[:] = 9
    assert bag.weights.max() == 1
