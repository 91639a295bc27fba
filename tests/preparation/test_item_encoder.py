"""Item codes, and the precedence of item descriptions."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.preparation import item_encoder
from segue.preparation.item_encoder import ItemEncoder


def item_column(*ids: str) -> pa.DictionaryArray:
    return pa.array(ids, pa.string()).dictionary_encode()


def descriptions(*rows: dict) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(list(rows))


@pytest.fixture
def encoder(tmp_path: Path) -> ItemEncoder:
    return ItemEncoder(tmp_path / "items")


def table_in(order: list[int], encoder: ItemEncoder) -> list[dict]:
    codes = np.array(order, np.int64)
    return encoder.table(codes, encoder.attributes(codes)).to_pylist()


def table_of(encoder: ItemEncoder) -> list[dict]:
    return table_in(list(range(len(encoder))), encoder)


@given(st.lists(st.lists(st.sampled_from("abcdefgh"), min_size=1), max_size=6))
def test_codes_identify_ids_however_the_log_is_chunked(chunks):
    with tempfile.TemporaryDirectory() as folder:
        encoder = ItemEncoder(Path(folder) / "items")
        codes = [code for chunk in chunks for code in encoder.encode(item_column(*chunk)).tolist()]
        flat = [item for chunk in chunks for item in chunk]
        ids = [row["item_id"] for row in table_of(encoder)]
        assert [ids[code] for code in codes] == flat
        assert sorted(ids) == sorted(set(flat))
        assert [ids[code] for code in encoder.codes_by_id()] == sorted(ids)


def test_unused_entries_of_the_dictionary_get_no_code(encoder):
    items = pa.DictionaryArray.from_arrays(
        pa.array([2, 0, 2], pa.int32()), pa.array(["a", "unused", "b"])
    )
    assert encoder.encode(items).tolist() == [1, 0, 1]
    assert [row["item_id"] for row in table_of(encoder)] == ["a", "b"]


def test_the_first_description_counts(encoder):
    encoder.encode(item_column("a", "b"))
    encoder.describe(
        descriptions({"item_id": "b", "title": "B"}, {"item_id": "b", "title": "B again"})
    )
    encoder.describe(
        descriptions({"item_id": "b", "title": "late"}, {"item_id": "a", "title": "A"})
    )
    assert table_of(encoder) == [{"item_id": "a", "title": "A"}, {"item_id": "b", "title": "B"}]


def test_described_items_without_events_get_later_codes(encoder):
    encoder.encode(item_column("x"))
    encoder.describe(descriptions({"item_id": "y", "title": "Y"}))
    assert encoder.described().tolist() == [False, True]
    assert encoder.encode(item_column("z", "y")).tolist() == [2, 1]
    assert encoder.described().tolist() == [False, True, False]


def test_the_order_by_id_does_not_depend_on_events(encoder):
    encoder.describe(descriptions({"item_id": "late"}, {"item_id": "never"}, {"item_id": "early"}))
    encoder.encode(item_column("late", "10", "9"))
    ids = encoder.table(encoder.codes_by_id(), []).column("item_id").to_pylist()
    assert ids == ["10", "9", "early", "late", "never"]


def test_columns_of_later_chunks_are_joined_and_empty_ones_left_out(encoder):
    encoder.describe(descriptions({"item_id": "a", "year": None, "label": None}))
    encoder.describe(descriptions({"item_id": "b", "year": 1999}))
    assert table_of(encoder) == [{"item_id": "a", "year": None}, {"item_id": "b", "year": 1999}]


def test_the_table_is_in_the_requested_order(encoder):
    encoder.encode(item_column("a", "b", "c"))
    encoder.describe(descriptions({"item_id": "c", "title": "C"}))
    assert table_in([2, 0], encoder) == [
        {"item_id": "c", "title": "C"},
        {"item_id": "a", "title": None},
    ]


class TestOverride:
    @pytest.fixture(autouse=True)
    def described_items(self, encoder: ItemEncoder) -> None:
        encoder.describe(
            descriptions(
                {"item_id": "a", "title": "A", "genres": ["old"]},
                {"item_id": "b", "title": "B", "genres": ["old"]},
            )
        )

    def test_takes_precedence_value_by_value(self, encoder):
        encoder.override(
            descriptions(
                {"item_id": "b", "title": "better", "genres": None},
                {"item_id": "b", "title": "too late", "genres": None},
                {"item_id": "a", "title": None, "genres": ["new"]},
            )
        )
        assert table_of(encoder) == [
            {"item_id": "a", "title": "A", "genres": ["new"]},
            {"item_id": "b", "title": "better", "genres": ["old"]},
        ]

    def test_counts_each_described_item_of_the_log_once(self, encoder, tmp_path):
        encoder.encode(item_column("z"))
        rows = [{"item_id": item_id, "title": "T"} for item_id in ("z", "b", "new", "b")]
        assert encoder.override(descriptions(*rows)) == 2
        assert encoder.first_id() == "a"
        empty = ItemEncoder(tmp_path / "empty")
        assert empty.first_id() is None
        assert empty.override(descriptions(*rows)) == 0

    def test_adds_columns_and_items(self, encoder):
        encoder.override(descriptions({"item_id": "c", "mood": "calm"}))
        assert len(encoder) == 3
        assert table_of(encoder)[2] == {
            "item_id": "c",
            "title": None,
            "genres": None,
            "mood": "calm",
        }

    def test_a_column_of_another_type_replaces_the_former(self, encoder):
        encoder.override(descriptions({"item_id": "a", "title": 7}))
        assert [row["title"] for row in table_of(encoder)] == [7, None]


def test_reserved_columns_are_not_attributes(encoder):
    encoder.describe(descriptions({"item_id": "a", "index": 9, "training_count": 3, "title": "A"}))
    assert table_of(encoder) == [{"item_id": "a", "title": "A"}]


def test_an_attribute_without_values_for_the_requested_items_is_left_out(encoder, monkeypatch):
    monkeypatch.setattr(item_encoder, "ITEMS_PER_BLOCK", 2)
    rows = [{"item_id": item_id, "title": None, "year": None} for item_id in "abcde"]
    rows[4]["year"] = 1999
    encoder.describe(descriptions(*rows))
    assert encoder.names() == ["title", "year"]
    assert encoder.attributes(np.arange(5)) == ["year"]
    assert encoder.attributes(np.arange(4)) == []
    assert encoder.attributes(np.zeros(0, np.int64)) == []
