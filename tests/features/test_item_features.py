"""What is read of items, against a slow encoding of one item at a time."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.axes import N_SPECIALS
from segue.config import ModelConfig
from segue.dataset import Items
from segue.dataset.vocabulary import item_table
from segue.errors import ConfigError
from segue.features import (
    MAX_CODES,
    MIN_COUNT,
    Bag,
    Features,
    FeatureSizes,
    ItemFeatures,
    SequenceVocabulary,
    check_item_features,
    item_features,
)

VECTOR = pa.list_(pa.float32())


def items_of(counts: list[int] | None = None, **columns: pa.Array | list) -> Items:
    """Items whose columns are given, of so many training events each."""
    arrays = {
        name: values if isinstance(values, pa.Array) else pa.array(values)
        for name, values in columns.items()
    }
    n_items = len(next(iter(arrays.values())))
    ids = {"item_id": pa.array([f"i{item}" for item in range(n_items)])}
    found = np.array([1] * n_items if counts is None else counts, np.int64)
    return Items(item_table(pa.table(ids | arrays), found))


def read(items: Items, *columns: str, catalogue: int | None = None) -> tuple[ItemFeatures, int]:
    """Encode columns for the whole table, or for a catalogue of the first so many items."""
    n_items = len(items) if catalogue is None else catalogue
    found, n_codes = item_features(items, columns, N_SPECIALS + n_items)
    assert found is not None
    return found, n_codes


def codes_of(bag: Bag, row: int) -> dict[int, float]:
    """The codes of one row with their weights, without empty places."""
    pairs = zip(bag.codes[row].tolist(), bag.weights[row].tolist(), strict=True)
    return {code: weight for code, weight in pairs if weight}


# --- words and categories ---


def test_values_are_coded_by_falling_count_then_by_name():
    items = items_of(artist=["b", "a", "c", "b", "a", "b", "d"])
    found, n_codes = read(items, "artist")
    # b comes three times, a twice, c and d once: too seldom to teach anything.
    coded = [codes_of(found.bag, row) for row in range(N_SPECIALS, N_SPECIALS + 7)]
    assert coded == [{1: 1.0}, {2: 1.0}, {}, {1: 1.0}, {2: 1.0}, {1: 1.0}, {}]
    assert n_codes == 3
    tied, _ = read(items_of(artist=["z", "y", "x", "x", "y", "z"]), "artist")
    assert [codes_of(tied.bag, N_SPECIALS + row) for row in range(3)] == [{3: 1}, {2: 1}, {1: 1}]


def test_entries_of_a_list_share_the_weight():
    genres = [["pop", "rock"], ["pop"], ["rock", "pop"], [], None, ["rock", "never", "pop"]]
    found, n_codes = read(items_of(genres=genres), "genres")
    both = {1: 0.5, 2: 0.5}
    coded = [codes_of(found.bag, row) for row in range(N_SPECIALS, N_SPECIALS + 6)]
    assert coded == [both, {1: 1.0}, both, {}, {}, both]
    assert n_codes == 3


def test_an_entry_that_an_item_repeats_counts_once():
    genres = [["pop", "pop"], ["rock"], ["rock", "rock", "jazz"], ["jazz"]]
    found, n_codes = read(items_of(genres=genres), "genres")
    coded = [codes_of(found.bag, row) for row in range(N_SPECIALS, N_SPECIALS + 4)]
    assert coded == [{}, {2: 1.0}, {2: 0.5, 1: 0.5}, {1: 1.0}]
    assert n_codes == 3, "pop is a value of one item only"


def test_numbers_are_values_like_words():
    found, n_codes = read(items_of(year=[1999, 1988, None, 1999, 1988, 2001]), "year")
    coded = [codes_of(found.bag, row) for row in range(N_SPECIALS, N_SPECIALS + 6)]
    assert coded == [{2: 1}, {1: 1}, {}, {2: 1}, {1: 1}, {}]
    assert n_codes == 3


def test_columns_lie_side_by_side_and_share_no_code():
    items = items_of(artist=["a", "a", "b", "b"], album=["a", "b", "a", "b"])
    found, n_codes = read(items, "artist", "album")
    assert found.bag.codes[N_SPECIALS:].tolist() == [[1, 3], [1, 4], [2, 3], [2, 4]]
    assert found.bag.weights[N_SPECIALS:].tolist() == [[1, 1]] * 4
    assert n_codes == 5


def test_an_item_of_very_many_entries_keeps_the_first():
    tags = [f"t{number:02}" for number in range(2 * MAX_CODES)]
    found, _ = read(items_of(tags=[tags, tags[::-1], tags[3:4]]), "tags")
    assert found.bag.codes.shape == (N_SPECIALS + 3, MAX_CODES)
    np.testing.assert_allclose(found.bag.weights[N_SPECIALS : N_SPECIALS + 2], 1 / MAX_CODES)
    # The fourth tag comes three times, the others twice, so that its code is the first.
    assert list(codes_of(found.bag, N_SPECIALS)) == [2, 3, 4, 1, 5, 6, 7, 8]
    assert list(codes_of(found.bag, N_SPECIALS + 1)) == [16, 15, 14, 13, 12, 11, 10, 9]


def test_special_tokens_have_nothing():
    vectors = pa.array([[1.0, 2.0], [3.0, 5.0]], VECTOR)
    found, _ = read(items_of(artist=["a", "a"], sound=vectors), "artist", "sound")
    assert not found.bag.weights[:N_SPECIALS].any()
    assert not found.bag.codes[:N_SPECIALS].any()
    assert not found.vectors[:N_SPECIALS].any()
    assert (found.is_trained[:N_SPECIALS] == 1).all()


def test_the_catalogue_alone_is_encoded_and_counted():
    """What stands outside it is not in the table, and gives no value its count."""
    items = items_of(artist=["a", "b", "b", "a"], counts=[3, 2, 2, 0])
    found, n_codes = read(items, "artist", catalogue=3)
    assert len(found.bag.codes) == len(found.vectors) == len(found.is_trained) == N_SPECIALS + 3
    assert [codes_of(found.bag, N_SPECIALS + row) for row in range(3)] == [{}, {1: 1}, {1: 1}]
    assert n_codes == 2


def test_items_without_a_training_event_have_features_and_no_id_of_their_own():
    items = items_of(artist=["a", "b", "a", "b"], counts=[5, 1, 0, 0])
    found, _ = read(items, "artist")
    assert found.is_trained[N_SPECIALS:].tolist() == [1, 1, 0, 0]
    np.testing.assert_array_equal(found.bag.codes[N_SPECIALS], found.bag.codes[N_SPECIALS + 2])


words = st.lists(st.lists(st.sampled_from("abcdef"), max_size=4), min_size=1, max_size=12)


@given(genres=words)
def test_bags_are_what_they_should_be(genres):
    found, n_codes = read(items_of(genres=pa.array(genres, pa.list_(pa.string()))), "genres")
    counts = Counter(value for entries in genres for value in set(entries))
    often = [value for value, count in counts.items() if count >= MIN_COUNT]
    known = sorted(often, key=lambda value: (-counts[value], value))
    assert n_codes == 1 + len(known)
    for row, entries in enumerate(genres, start=N_SPECIALS):
        mine = [1 + known.index(value) for value in dict.fromkeys(entries) if value in known]
        assert codes_of(found.bag, row) == pytest.approx({code: 1 / len(mine) for code in mine})
        assert (found.bag.codes[row][found.bag.weights[row] == 0] == 0).all()
    assert found.bag.codes.dtype == np.int32
    assert found.bag.weights.dtype == found.vectors.dtype == found.is_trained.dtype == np.float32


# --- vectors ---


def test_vectors_are_standardised_in_each_place():
    random = np.random.default_rng(0)
    numbers = random.normal([3, -100, 0.01], [2, 50, 1e-3], (40, 3)).astype(np.float32)
    found, n_codes = read(items_of(sound=pa.array(numbers.tolist(), VECTOR)), "sound")
    expected = (numbers - numbers.mean(axis=0)) / numbers.std(axis=0)
    np.testing.assert_allclose(found.vectors[N_SPECIALS:], expected, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(found.vectors[N_SPECIALS:].mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(found.vectors[N_SPECIALS:].std(axis=0), 1, rtol=1e-4)
    assert found.bag.codes.shape == (N_SPECIALS + 40, 0)
    assert n_codes == 1


def test_an_item_without_a_vector_has_zeros_and_does_not_count():
    sound = pa.array([[1.0, 5.0], None, [3.0, 7.0], None], VECTOR)
    found, _ = read(items_of(sound=sound), "sound")
    assert found.vectors[N_SPECIALS:].tolist() == [[-1, -1], [0, 0], [1, 1], [0, 0]]


def test_a_place_that_never_varies_says_nothing():
    """Not even when its mean cannot be written down exactly."""
    sound = pa.array([[0.1, 1.0], [0.1, 2.0], [0.1, 3.0]] * 41, VECTOR)
    found, _ = read(items_of(sound=sound), "sound")
    assert not found.vectors[:, 0].any()
    assert found.vectors[:, 1].std() > 0.5


def test_a_catalogue_without_any_vector_has_no_numbers():
    sound = pa.array([None, None, [1.0, 2.0]], VECTOR)
    found, _ = read(items_of(sound=sound, counts=[2, 1, 0]), "sound", catalogue=2)
    assert found.vectors.shape == (N_SPECIALS + 2, 0)


def test_two_columns_of_vectors_stand_in_one_row():
    items = items_of(
        sound=pa.array([[1.0], [3.0]], VECTOR),
        artist=["a", "a"],
        text=pa.array([[5.0, 0.0], [1.0, 8.0]], VECTOR),
    )
    found, n_codes = read(items, "sound", "artist", "text")
    assert found.vectors[N_SPECIALS:].tolist() == [[-1, 1, -1], [1, -1, 1]]
    assert n_codes == 2


# --- what a model needs to know of it all ---


def test_without_columns_there_is_nothing():
    assert item_features(items_of(artist=["a"]), (), N_SPECIALS + 1) == (None, 0)
    nothing = Features.of(items_of(artist=["a"]), 5, ModelConfig(), SequenceVocabulary({}))
    assert nothing.items is None
    assert nothing.sizes == FeatureSizes(0, 0, 0)


def test_sizes_are_those_of_the_tables_and_the_vectors():
    items = items_of(artist=["a", "a", "b"], sound=pa.array([[1.0, 2.0, 3.0]] * 3, VECTOR))
    config = ModelConfig(item_features=("artist", "sound"), sequence_features=("name",))
    vocabulary = SequenceVocabulary({"name": ["christmas", "party"]})
    found = Features.of(items, N_SPECIALS + 3, config, vocabulary)
    assert found.sizes == FeatureSizes(item_codes=2, item_numbers=3, sequence_codes=3)
    assert found.vocabulary is vocabulary


# --- what is refused ---


@pytest.mark.parametrize("name", ["genres", "index", "item_id", "training_count", "Artist"])
def test_a_column_that_the_items_do_not_have_is_one_clear_line(name):
    with pytest.raises(
        ConfigError, match=f"item_features names '{name}', which .* do not"
    ) as caught:
        read(items_of(artist=["a"], year=[1999]), name)
    assert caught.value.hint == "they have: artist, year"


CHECKED = items_of(
    artist=["a", "b", "a", "c"],
    title=["t", "u", "v", "t"],  # shared with an item outside a catalogue of three
    tags=[["x", "x"], ["y"], None, ["y"]],
    sound=pa.array([[1.0], None, [2.0], [1.0]], VECTOR),
    still=pa.array([[1.0], None, [1.0], [2.0]], VECTOR),
    silent=pa.array([None, None, None, [1.0]], VECTOR),
    text=["[0.1, -2e-3]", "[.5, 1.]", "[3, 4]", None],
    numbers=["1;2", "3;4", "5;6", "7;8"],
    rounded=["[0.1 0.2]", None, "[0.1 0.2]", "[0.3 0.2]"],
    tiny=["1e-3, 2E-3", "1e-3, 2E-3", None, None],
    codes=["1|2", "3", "1|2", "3|4"],
    mixed=["1.5, 2.5", "rock", "rock", None],
    year=[1999, 2000, 2001, 1999],
)


@pytest.mark.parametrize(("name", "why"), [
    ("title", "no two items of the catalogue share a value of it"),
    ("tags", "no two items of the catalogue share a value of it"),
    ("year", "no two items of the catalogue share a value of it"),
    ("text", "no two items of the catalogue share a value of it"),
    ("numbers", "no two items of the catalogue share a value of it"),
    ("rounded", "its values are vectors written as text"),
    ("tiny", "its values are vectors written as text"),
    ("still", "its vectors are all the same"),
    ("silent", "no item of the catalogue has a vector"),
])  # fmt: skip
def test_a_column_that_teaches_nothing_is_refused(name, why):
    with pytest.raises(ConfigError) as caught:
        check_item_features(CHECKED, ("artist", name), N_SPECIALS + 3)
    assert (
        caught.value.message == f"model.item_features names {name!r}, which teaches nothing: {why}"
    )
    is_text = name in ("text", "numbers", "rounded", "tiny")
    vectors = "; vectors take an items file in Parquet or JSON Lines" if is_text else ""
    assert caught.value.hint == f"leave it out of model.item_features{vectors}"


def test_a_column_that_teaches_something_is_not():
    check_item_features(CHECKED, ("artist", "sound"), N_SPECIALS + 3)
    check_item_features(
        CHECKED, ("title", "tags", "still", "year", "codes", "mixed"), N_SPECIALS + 4
    )


def test_a_run_that_was_trained_with_such_a_column_can_still_be_served():
    found, n_codes = read(CHECKED, "title", "silent", catalogue=3)
    assert n_codes == 1
    assert not found.bag.weights.any()
    assert found.vectors.shape == (N_SPECIALS + 3, 0)
