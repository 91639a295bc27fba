"""Items by index: numbering, ids, titles and categories."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.dataset.items import Items, PopularityOrder, build_items_table, item_order
from segue.tokens import N_SPECIALS, UNK


def make_items() -> Items:
    attributes = pa.table(
        {"item_id": ["x", "y", "z"], "title": ["The X", None, "The Z"], "year": [1999, None, 2001]}
    )
    return Items(build_items_table(attributes, np.array([7, 2, 0])))


@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=30),
    st.sampled_from(["train", "all"]),
    st.data(),
)
def test_item_order(counts, catalogue, data):
    codes = data.draw(st.lists(st.integers(0, len(counts) - 1), unique=True))
    order, n_catalogue = item_order(np.array(codes, np.int64), np.array(counts), catalogue)
    assert order.tolist() == sorted(codes, key=lambda code: -counts[code])
    trained = sum(counts[code] > 0 for code in codes)
    assert n_catalogue == (len(codes) if catalogue == "all" else trained)


def test_indices_start_after_the_special_tokens():
    table = make_items().table
    assert table.column_names == ["index", "item_id", "title", "year", "training_count"]
    assert table.column("index").to_pylist() == [N_SPECIALS, N_SPECIALS + 1, N_SPECIALS + 2]


def test_training_counts_are_by_index():
    assert make_items().training_counts.tolist() == [0, 0, 0, 0, 7, 2, 0]


@given(st.lists(st.integers(0, 4), max_size=30))
def test_popularity_sorts_the_catalogue_by_count_after_the_special_tokens(counts):
    popularity_order = PopularityOrder.of(np.array([0] * N_SPECIALS + counts))
    catalogue = sorted(range(len(counts)), key=lambda row: -counts[row])
    expected = [*range(N_SPECIALS), *(N_SPECIALS + row for row in catalogue)]
    assert popularity_order.items.tolist() == expected
    np.testing.assert_array_equal(
        popularity_order.positions[popularity_order.items], np.arange(len(expected))
    )
    is_sorted = counts == sorted(counts, reverse=True)
    assert (popularity_order.tie_order is None) == is_sorted


def test_candidates_are_the_catalogue_or_some_of_it():
    items = make_items()
    assert items.candidate_mask(N_SPECIALS + 2).tolist() == [False] * 4 + [True, True, False]
    some = Items(items.table.append_column("is_candidate", pa.array([False, True, True])))
    assert some.candidate_mask(N_SPECIALS + 2).tolist() == [False] * 5 + [True, False]


def test_find_gives_unk_for_unknown_ids():
    indices = make_items().find(["z", "nothing", "x", ""])
    assert indices.tolist() == [6, UNK, 4, UNK]
    assert indices.dtype == np.int32


def test_category_codes_number_the_values_of_a_column():
    artists = pa.table({"item_id": list("vwxyz"), "artist": ["B", None, "A", "B", "A"]})
    codes = Items(build_items_table(artists, np.ones(5, np.int64))).category_codes("artist")
    assert codes is not None
    assert codes.tolist() == [-1, -1, -1, -1, 0, -1, 1, 0, 1]


def test_category_codes_of_a_column_without_values():
    no_artists = pa.table({"item_id": ["x", "y"], "artist": pa.array([None, None], pa.string())})
    assert (
        Items(build_items_table(no_artists, np.ones(2, np.int64))).category_codes("artist") is None
    )
    assert make_items().category_codes("artist") is None


def test_titles_fall_back_to_ids():
    items = make_items()
    assert items.titles([4, 5, 6]) == ["The X", "y", "The Z"]
    assert items.titles(np.array([UNK, 4], dtype=np.int32)) == ["<unk>", "The X"]
    assert items.titles([]) == []


def test_titles_of_many_items_are_not_kept(monkeypatch):
    few, many = (make_items() for _ in range(2))
    monkeypatch.setattr("segue.dataset.items.MAX_LISTED_TITLES", 2)
    assert many.titles([6, 4, UNK, 5]) == few.titles([6, 4, UNK, 5])


def test_titles_of_items_without_titles():
    items = Items(build_items_table(pa.table({"item_id": ["p", "q"]}), np.array([1, 1])))
    assert items.titles([5, 4, 0]) == ["q", "p", "<pad>"]


def test_describe_leaves_out_missing_attributes():
    items = make_items()
    assert items.describe(4) == {
        "index": 4,
        "item_id": "x",
        "title": "The X",
        "year": 1999,
        "training_count": 7,
    }
    assert "title" not in items.describe(5)
    assert items.describe(UNK) == {"item_id": "<unk>"}


def test_describe_shows_a_vector_by_its_width():
    table = pa.table(
        {
            "item_id": ["p", "q"],
            "sound": pa.array([[0.5] * 512, None], pa.list_(pa.float32())),
            "genres": [["Drama"], []],
        }
    )
    items = Items(build_items_table(table, np.array([2, 1])))
    assert items.describe(4)["sound"] == "512 numbers"
    assert items.describe(4)["genres"] == ["Drama"]
    assert "sound" not in items.describe(5)
    assert items.describe(5)["genres"] == []


def test_length_and_ids():
    assert len(make_items()) == 3
    assert make_items().ids == ["x", "y", "z"]


@pytest.mark.parametrize("index", [7, 100])
def test_an_index_without_an_item_is_an_error(index):
    with pytest.raises(IndexError):
        make_items().describe(index)
