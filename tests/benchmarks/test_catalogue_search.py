"""The benchmark of the catalogue search, on a small catalogue."""

from __future__ import annotations

import numpy as np

import catalogue_search as benchmark
from segue.catalogue_search.edits import is_within_one_edit


def test_figures_of_a_small_catalogue() -> None:
    items = benchmark.synthetic_items(2_000, seed=1)
    result = benchmark.measure(items, n_queries=4, n_misspelled=60, seed=1)
    assert result["items"] == len(items) == 2_000
    assert result["searches"] > 4
    for times in (result["wall_ms"], result["core_ms"]):
        assert times == sorted(times)
    assert min(result["recall@10"].values()) > 0.8
    assert result["size_mb"] > 0.1


def test_misspelled_texts_have_one_edit() -> None:
    rng = np.random.default_rng(0)
    assert benchmark.misspelled("To be in 2011", rng) is None
    for _ in range(50):
        text = benchmark.misspelled("To Yesterday Mornings", rng)
        first, *words = text.split()
        assert first == "to"
        edited = [
            w for w, meant in zip(words, ("yesterday", "mornings"), strict=True) if w != meant
        ]
        assert len(edited) == 1
        assert is_within_one_edit(edited[0], "yesterday") != is_within_one_edit(
            edited[0], "mornings"
        )


def test_the_catalogue_depends_on_the_seed_alone() -> None:
    first, same, another = (benchmark.synthetic_items(500, seed) for seed in (3, 3, 4))
    assert first.table.equals(same.table)
    assert not first.table.equals(another.table)
