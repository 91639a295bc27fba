"""Numbers of texts against a dictionary, whatever their hashes."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue import numbering
from segue.numbering import Numbering

TEXTS = st.text(st.sampled_from("ab\u00e9\u96ea"), max_size=3)
BATCHES = st.lists(st.lists(TEXTS, max_size=20), max_size=8)


def strings(texts: list[str]) -> pa.StringArray:
    return pa.array(texts, pa.string())


@given(BATCHES)
def test_numbers_are_those_of_a_dictionary(batches):
    known: dict[str, int] = {}
    found = Numbering()
    for batch in batches:
        expected = [known.setdefault(text, len(known)) for text in batch]
        assert found.numbers(strings(batch)).tolist() == expected
        assert len(found) == len(known)
    texts = list(known)
    assert found.take(np.arange(len(known))).to_pylist() == texts
    assert [texts[number] for number in found.sorted()] == sorted(texts)


@pytest.mark.parametrize("n_hashes", [1, 3])
def test_texts_that_share_a_hash_stay_apart(monkeypatch, n_hashes):
    def few(texts: pa.Array) -> np.ndarray:
        return np.array([len(text) % n_hashes for text in texts.to_pylist()], np.int64)

    monkeypatch.setattr(numbering, "_hashes", few)
    found = Numbering()
    for batch in (["a", "b", "a", "cc"], [], ["dd", "b"], ["eee", "cc", "", "a", "f"]):
        numbers = found.numbers(strings(batch))
        assert found.take(numbers).to_pylist() == batch
    assert sorted(found.take(np.arange(len(found))).to_pylist()) == [
        "", "a", "b", "cc", "dd", "eee", "f",
    ]  # fmt: skip


def test_slices_and_large_strings_are_texts_too():
    found = Numbering()
    assert found.numbers(strings(["x", "a", "b", "c"]).slice(1, 2)).tolist() == [0, 1]
    assert found.numbers(pa.array(["b", "d"], pa.large_string())).tolist() == [1, 2]
    assert found.take(np.array([2, 0])).to_pylist() == ["d", "a"]


def test_it_takes_less_memory_than_a_dictionary():
    texts = [
        strings([f"spotify:track:{i:022d}" for i in range(a, a + 1000)])
        for a in range(0, 40_000, 1000)
    ]
    found = Numbering()
    tracemalloc.start()
    try:
        for batch in texts:
            found.numbers(batch)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(found) == 40_000
    assert held < 80 * len(found)
