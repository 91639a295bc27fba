"""``StringIndex`` against a dictionary, with and without hash collisions."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.storage import string_index
from segue.storage.string_index import StringIndex

STRINGS = st.text(st.sampled_from("ab\u00e9\u96ea"), max_size=3)
BATCHES = st.lists(st.lists(STRINGS, max_size=20), max_size=8)


def array_of(strings: list[str]) -> pa.StringArray:
    return pa.array(strings, pa.string())


@given(BATCHES)
def test_indices_are_those_of_a_dictionary(batches):
    reference: dict[str, int] = {}
    index = StringIndex()
    for batch in batches:
        expected = [reference.setdefault(string, len(reference)) for string in batch]
        assert index.encode(array_of(batch)).tolist() == expected
        assert len(index) == len(reference)
    strings = list(reference)
    assert index.decode(np.arange(len(reference))).to_pylist() == strings
    assert [strings[i] for i in index.sorted_indices()] == sorted(strings)


@pytest.mark.parametrize("n_hashes", [1, 3])
def test_colliding_strings_have_different_indices(monkeypatch, n_hashes):
    def few_hashes(strings: pa.Array) -> np.ndarray:
        return np.array([len(string) % n_hashes for string in strings.to_pylist()], np.int64)

    monkeypatch.setattr(string_index, "_hashes", few_hashes)
    index = StringIndex()
    for batch in (["a", "b", "a", "cc"], [], ["dd", "b"], ["eee", "cc", "", "a", "f"]):
        indices = index.encode(array_of(batch))
        assert index.decode(indices).to_pylist() == batch
    assert sorted(index.decode(np.arange(len(index))).to_pylist()) == [
        "", "a", "b", "cc", "dd", "eee", "f",
    ]  # fmt: skip


@given(st.lists(st.text(st.sampled_from("a\0\u00e9"), max_size=20), max_size=20), st.integers(0, 3))
def test_a_hash_depends_on_the_text_alone(strings, n_skipped):
    hashes = string_index._hashes(array_of(strings).slice(n_skipped))
    alone = [string_index._hashes(array_of([string]))[0] for string in strings[n_skipped:]]
    assert hashes.tolist() == alone
    assert len(set(alone)) == len(set(strings[n_skipped:]))


def test_accepts_slices_and_large_strings():
    index = StringIndex()
    assert index.encode(array_of(["x", "a", "b", "c"]).slice(1, 2)).tolist() == [0, 1]
    assert index.encode(pa.array(["b", "d"], pa.large_string())).tolist() == [1, 2]
    assert index.decode(np.array([2, 0])).to_pylist() == ["d", "a"]


def test_takes_less_memory_than_a_dictionary():
    batches = [
        array_of([f"spotify:track:{i:022d}" for i in range(a, a + 1000)])
        for a in range(0, 40_000, 1000)
    ]
    index = StringIndex()
    tracemalloc.start()
    try:
        for batch in batches:
            index.encode(batch)
        n_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(index) == 40_000
    assert n_bytes < 80 * len(index)
