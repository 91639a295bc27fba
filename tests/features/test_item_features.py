"""Item features: encoding of categorical columns and vectors, and which columns are refused."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.config import ModelConfig
from segue.dataset import Items
from segue.dataset.items import build_items_table
from segue.errors import ConfigError
from segue.features import (
    MAX_FEATURE_IDS,
    MIN_COUNT,
    FeatureIds,
    Features,
    FeatureSizes,
    ItemFeatures,
    SequenceVocabulary,
    check_item_features,
    item_features,
)
from segue.tokens import N_SPECIALS

VECTOR = pa.list_(pa.float32())


def items_of(counts: list[int] | None = None, **columns: pa.Array | list) -> Items:
    """Items with the given columns.

    Args:
        counts: training events of each item; by default one.
    """
    arrays = {
        name: values if isinstance(values, pa.Array) else pa.array(values)
        for name, values in columns.items()
    }
    n_items = len(next(iter(arrays.values())))
    ids = {"item_id": pa.array([f"i{item}" for item in range(n_items)])}
    training_counts = np.array([1] * n_items if counts is None else counts, np.int64)
    return Items(build_items_table(pa.table(ids | arrays), training_counts))


def encode(items: Items, *columns: str, catalogue: int | None = None) -> tuple[ItemFeatures, int]:
    """Encode columns of all items, or of a catalogue of the first ``catalogue`` items."""
    n_items = len(items) if catalogue is None else catalogue
    features, n_ids = item_features(items, columns, N_SPECIALS + n_items)
    assert features is not None
    return features, n_ids


def weights_by_id(feature_ids: FeatureIds, row: int) -> dict[int, float]:
    """The ids of one row with their weights, without padding."""
    pairs = zip(feature_ids.ids[row].tolist(), feature_ids.weights[row].tolist(), strict=True)
    return {feature_id: weight for feature_id, weight in pairs if weight}


# --- categorical columns ---


def test_ids_are_assigned_by_descending_count_then_by_name():
    items = items_of(artist=["b", "a", "c", "b", "a", "b", "d"])
    features, n_ids = encode(items, "artist")
    # b occurs three times, a twice, c and d once, which is too rare for an id.
    weights = [
        weights_by_id(features.feature_ids, row) for row in range(N_SPECIALS, N_SPECIALS + 7)
    ]
    assert weights == [{1: 1.0}, {2: 1.0}, {}, {1: 1.0}, {2: 1.0}, {1: 1.0}, {}]
    assert n_ids == 3
    tied, _ = encode(items_of(artist=["z", "y", "x", "x", "y", "z"]), "artist")
    assert [weights_by_id(tied.feature_ids, N_SPECIALS + row) for row in range(3)] == [
        {3: 1},
        {2: 1},
        {1: 1},
    ]


def test_list_entries_share_the_weight_equally():
    genres = [["pop", "rock"], ["pop"], ["rock", "pop"], [], None, ["rock", "never", "pop"]]
    features, n_ids = encode(items_of(genres=genres), "genres")
    both = {1: 0.5, 2: 0.5}
    weights = [
        weights_by_id(features.feature_ids, row) for row in range(N_SPECIALS, N_SPECIALS + 6)
    ]
    assert weights == [both, {1: 1.0}, both, {}, {}, both]
    assert n_ids == 3


def test_repeated_entries_of_an_item_count_once():
    genres = [["pop", "pop"], ["rock"], ["rock", "rock", "jazz"], ["jazz"]]
    features, n_ids = encode(items_of(genres=genres), "genres")
    weights = [
        weights_by_id(features.feature_ids, row) for row in range(N_SPECIALS, N_SPECIALS + 4)
    ]
    assert weights == [{}, {2: 1.0}, {2: 0.5, 1: 0.5}, {1: 1.0}]
    assert n_ids == 3, "pop occurs in one item only"


def test_numbers_are_categorical_values():
    features, n_ids = encode(items_of(year=[1999, 1988, None, 1999, 1988, 2001]), "year")
    weights = [
        weights_by_id(features.feature_ids, row) for row in range(N_SPECIALS, N_SPECIALS + 6)
    ]
    assert weights == [{2: 1}, {1: 1}, {}, {2: 1}, {1: 1}, {}]
    assert n_ids == 3


def test_columns_are_side_by_side_with_distinct_ids():
    items = items_of(artist=["a", "a", "b", "b"], album=["a", "b", "a", "b"])
    features, n_ids = encode(items, "artist", "album")
    assert features.feature_ids.ids[N_SPECIALS:].tolist() == [[1, 3], [1, 4], [2, 3], [2, 4]]
    assert features.feature_ids.weights[N_SPECIALS:].tolist() == [[1, 1]] * 4
    assert n_ids == 5


def test_only_the_first_entries_of_a_long_list_are_kept():
    tags = [f"t{number:02}" for number in range(2 * MAX_FEATURE_IDS)]
    features, _ = encode(items_of(tags=[tags, tags[::-1], tags[3:4]]), "tags")
    assert features.feature_ids.ids.shape == (N_SPECIALS + 3, MAX_FEATURE_IDS)
    np.testing.assert_allclose(
        features.feature_ids.weights[N_SPECIALS : N_SPECIALS + 2], 1 / MAX_FEATURE_IDS
    )
    # The fourth tag occurs three times, the others twice, so it has the first id.
    assert list(weights_by_id(features.feature_ids, N_SPECIALS)) == [2, 3, 4, 1, 5, 6, 7, 8]
    assert list(weights_by_id(features.feature_ids, N_SPECIALS + 1)) == list(range(16, 8, -1))


def test_special_tokens_have_no_features():
    vectors = pa.array([[1.0, 2.0], [3.0, 5.0]], VECTOR)
    features, _ = encode(items_of(artist=["a", "a"], sound=vectors), "artist", "sound")
    assert not features.feature_ids.weights[:N_SPECIALS].any()
    assert not features.feature_ids.ids[:N_SPECIALS].any()
    assert not features.vectors[:N_SPECIALS].any()
    assert (features.is_trained[:N_SPECIALS] == 1).all()


def test_items_outside_the_catalogue_are_neither_encoded_nor_counted():
    items = items_of(artist=["a", "b", "b", "a"], counts=[3, 2, 2, 0])
    features, n_ids = encode(items, "artist", catalogue=3)
    assert (
        len(features.feature_ids.ids)
        == len(features.vectors)
        == len(features.is_trained)
        == N_SPECIALS + 3
    )
    assert [weights_by_id(features.feature_ids, N_SPECIALS + row) for row in range(3)] == [
        {},
        {1: 1},
        {1: 1},
    ]
    assert n_ids == 2


def test_items_without_training_events_have_features_but_are_untrained():
    items = items_of(artist=["a", "b", "a", "b"], counts=[5, 1, 0, 0])
    features, _ = encode(items, "artist")
    assert features.is_trained[N_SPECIALS:].tolist() == [1, 1, 0, 0]
    np.testing.assert_array_equal(
        features.feature_ids.ids[N_SPECIALS], features.feature_ids.ids[N_SPECIALS + 2]
    )


words = st.lists(st.lists(st.sampled_from("abcdef"), max_size=4), min_size=1, max_size=12)


@given(genres=words)
def test_feature_ids_match_a_naive_encoding(genres):
    features, n_ids = encode(items_of(genres=pa.array(genres, pa.list_(pa.string()))), "genres")
    counts = Counter(value for entries in genres for value in set(entries))
    frequent = [value for value, count in counts.items() if count >= MIN_COUNT]
    ordered = sorted(frequent, key=lambda value: (-counts[value], value))
    assert n_ids == 1 + len(ordered)
    for row, entries in enumerate(genres, start=N_SPECIALS):
        ids = [1 + ordered.index(value) for value in dict.fromkeys(entries) if value in ordered]
        assert weights_by_id(features.feature_ids, row) == pytest.approx(
            {feature_id: 1 / len(ids) for feature_id in ids}
        )
        assert (features.feature_ids.ids[row][features.feature_ids.weights[row] == 0] == 0).all()
    assert features.feature_ids.ids.dtype == np.int32
    assert (
        features.feature_ids.weights.dtype
        == features.vectors.dtype
        == features.is_trained.dtype
        == np.float32
    )


# --- vectors ---


def test_vectors_are_standardised_per_dimension():
    random = np.random.default_rng(0)
    numbers = random.normal([3, -100, 0.01], [2, 50, 1e-3], (40, 3)).astype(np.float32)
    features, n_ids = encode(items_of(sound=pa.array(numbers.tolist(), VECTOR)), "sound")
    expected = (numbers - numbers.mean(axis=0)) / numbers.std(axis=0)
    np.testing.assert_allclose(features.vectors[N_SPECIALS:], expected, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(features.vectors[N_SPECIALS:].mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(features.vectors[N_SPECIALS:].std(axis=0), 1, rtol=1e-4)
    assert features.feature_ids.ids.shape == (N_SPECIALS + 40, 0)
    assert n_ids == 1


def test_an_item_without_a_vector_has_zeros_and_is_not_in_the_mean():
    sound = pa.array([[1.0, 5.0], None, [3.0, 7.0], None], VECTOR)
    features, _ = encode(items_of(sound=sound), "sound")
    assert features.vectors[N_SPECIALS:].tolist() == [[-1, -1], [0, 0], [1, 1], [0, 0]]


def test_a_constant_dimension_becomes_exactly_zero():
    """Even if float32 cannot represent its value exactly."""
    sound = pa.array([[0.1, 1.0], [0.1, 2.0], [0.1, 3.0]] * 41, VECTOR)
    features, _ = encode(items_of(sound=sound), "sound")
    assert not features.vectors[:, 0].any()
    assert features.vectors[:, 1].std() > 0.5


def test_a_catalogue_without_any_vector_has_vectors_of_width_zero():
    sound = pa.array([None, None, [1.0, 2.0]], VECTOR)
    features, _ = encode(items_of(sound=sound, counts=[2, 1, 0]), "sound", catalogue=2)
    assert features.vectors.shape == (N_SPECIALS + 2, 0)


def test_vector_columns_are_concatenated():
    items = items_of(
        sound=pa.array([[1.0], [3.0]], VECTOR),
        artist=["a", "a"],
        text=pa.array([[5.0, 0.0], [1.0, 8.0]], VECTOR),
    )
    features, n_ids = encode(items, "sound", "artist", "text")
    assert features.vectors[N_SPECIALS:].tolist() == [[-1, 1, -1], [1, -1, 1]]
    assert n_ids == 2


# --- all features of a model ---


def test_without_columns_there_are_no_features():
    assert item_features(items_of(artist=["a"]), (), N_SPECIALS + 1) == (None, 0)
    without = Features.of(items_of(artist=["a"]), 5, ModelConfig(), SequenceVocabulary({}))
    assert without.items is None
    assert without.sizes == FeatureSizes(0, 0, 0)


def test_sizes_are_the_numbers_of_ids_and_the_vector_width():
    items = items_of(artist=["a", "a", "b"], sound=pa.array([[1.0, 2.0, 3.0]] * 3, VECTOR))
    config = ModelConfig(item_features=("artist", "sound"), sequence_features=("name",))
    vocabulary = SequenceVocabulary({"name": ["christmas", "party"]})
    features = Features.of(items, N_SPECIALS + 3, config, vocabulary)
    assert features.sizes == FeatureSizes(
        n_item_feature_ids=2, item_vector_width=3, n_sequence_feature_ids=3
    )
    assert features.vocabulary is vocabulary


# --- columns that are refused ---


@pytest.mark.parametrize("name", ["genres", "index", "item_id", "training_count", "Artist"])
def test_an_unknown_column_is_refused(name):
    with pytest.raises(
        ConfigError, match=f"item_features names '{name}', which is not an attribute of"
    ) as caught:
        encode(items_of(artist=["a"], year=[1999]), name)
    assert caught.value.hint == "available: artist, year"


CHECKED_ITEMS = items_of(
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


@pytest.mark.parametrize(("name", "reason"), [
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
def test_a_column_without_information_is_refused(name, reason):
    with pytest.raises(ConfigError) as caught:
        check_item_features(CHECKED_ITEMS, ("artist", name), N_SPECIALS + 3)
    assert (
        caught.value.message
        == f"model.item_features names {name!r}, which carries no information: {reason}"
    )
    is_text = name in ("text", "numbers", "rounded", "tiny")
    vectors_hint = "; vectors need an items file in Parquet or JSON Lines" if is_text else ""
    assert caught.value.hint == f"remove it from model.item_features{vectors_hint}"


def test_columns_with_information_are_accepted():
    check_item_features(CHECKED_ITEMS, ("artist", "sound"), N_SPECIALS + 3)
    check_item_features(
        CHECKED_ITEMS, ("title", "tags", "still", "year", "codes", "mixed"), N_SPECIALS + 4
    )


def test_columns_without_information_can_still_be_encoded_for_an_existing_run():
    features, n_ids = encode(CHECKED_ITEMS, "title", "silent", catalogue=3)
    assert n_ids == 1
    assert not features.feature_ids.weights.any()
    assert features.vectors.shape == (N_SPECIALS + 3, 0)
