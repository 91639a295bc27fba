"""Behaviour against hand-computed lists, slow references and invariants."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from segue.axes import N_SPECIALS, PAD
from segue.metrics import (
    Background,
    ShownLists,
    behaviour_metrics,
    coverage,
    diversity,
    exposures,
    gini,
    novelty,
    popularity,
    serendipity,
)

A, B, C, D, E = range(N_SPECIALS, N_SPECIALS + 5)
SETS = {A: {"x"}, B: {"x"}, C: {"x", "y"}, D: {"z"}, E: set[str]()}
"""What stands for the items; nothing is known of the last."""
HOLDERS = {A: 8, B: 4, C: 2, D: 1, E: 0}


def background(
    sets: dict[int, set[str]] = SETS, holders: dict[int, int] = HOLDERS, n_sequences: int = 8
) -> Background:
    size = N_SPECIALS + len(sets)
    names = sorted(set().union(*sets.values())) or ["nothing"]
    features = np.zeros((size, len(names)))
    for item, words in sets.items():
        for word in words:
            features[item, names.index(word)] = 1 / math.sqrt(len(words))
    counts = np.array([holders.get(item, 0) for item in range(size)])
    return Background(counts, n_sequences, sparse.csr_array(features), "words")


def shown(
    items: list[list[int]],
    relevant: Sequence[Sequence[int | bool]] | None = None,
    popular_places: list[list[int]] | None = None,
) -> ShownLists:
    found = np.array(items, np.int32).reshape(len(items), -1)
    marks = np.zeros(found.shape, bool) if relevant is None else np.array(relevant, bool)
    places = found.astype(np.int64) if popular_places is None else np.array(popular_places)
    return ShownLists(found, marks, places)


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ([A, B], 0),  # the same set
        ([A, D], 1),  # nothing in common
        ([A, C], 1 - 1 / math.sqrt(2)),
        ([A, E], 1),  # unlike anything, as nothing is known
        ([A, B, D], 1 - 1 / 3),  # one alike pair of three
        ([A, B, PAD], 0),  # places that are not filled make no pair
        ([A, PAD, PAD], 0),
        ([PAD, PAD], 0),
    ],
)
def test_diversity_by_hand(items: list[int], expected: float) -> None:
    assert diversity(shown([items]), 5, background()) == pytest.approx([expected])


def test_diversity_looks_at_the_first_places_only() -> None:
    lists = shown([[A, B, D, C]])
    assert diversity(lists, 2, background()) == pytest.approx([0])
    assert diversity(lists, 3, background()) == pytest.approx([2 / 3])


@pytest.mark.parametrize(
    ("items", "bits", "share"),
    [
        ([A], 0, 1),  # everyone has it
        ([B, C], 1.5, 0.375),
        ([D, E], 3, 0.0625),  # one that none holds counts as held by one, in bits alone
        ([C, PAD], 2, 0.25),  # a mean over what is filled
        ([PAD], 0, 0),
    ],
)
def test_novelty_and_popularity_by_hand(items: list[int], bits: float, share: float) -> None:
    assert novelty(shown([items]), 3, background()) == pytest.approx([bits])
    assert popularity(shown([items]), 3, background()) == pytest.approx([share])


def test_serendipity_counts_targets_that_popularity_would_not_show() -> None:
    # Place 2 holds a target that the most popular list has third.
    lists = shown([[B, C, D]], relevant=[[1, 1, 0]], popular_places=[[1, 3, 9]])
    assert serendipity(lists, 1) == pytest.approx([0])
    assert serendipity(lists, 2) == pytest.approx([1 / 2])
    assert serendipity(lists, 3) == pytest.approx([0])  # that list has it too, by now


def test_coverage_and_gini_by_hand() -> None:
    counts = exposures(np.array([[A, B], [A, PAD]], np.int32), N_SPECIALS + 4)
    np.testing.assert_array_equal(counts, [2, 1, 0, 0])
    assert coverage(counts) == 0.5
    # Ascending 0 0 1 2 with weights -3 -1 1 3, over 3 times the sum of 3.
    assert gini(counts) == pytest.approx(7 / 9)


def test_gini_at_its_ends() -> None:
    assert gini(np.array([5, 5, 5])) == 0
    assert gini(np.array([0, 0, 9])) == 1
    assert gini(np.array([0, 0])) == gini(np.array([3])) == 0


def test_keys_are_printed_as_documented_and_one_item_has_no_diversity() -> None:
    found = behaviour_metrics(shown([[A, B, C]]), [1, 3], background())
    assert list(found) == [
        "novelty@1",
        "serendipity@1",
        "popularity@1",
        "diversity@3",
        "novelty@3",
        "serendipity@3",
        "popularity@3",
    ]


SOME_SETS = st.lists(st.sets(st.sampled_from("vwxyz")), min_size=2, max_size=12)


@st.composite
def worlds(draw: st.DrawFn) -> tuple[ShownLists, Background, int]:
    """Lists over a catalogue of items with random sets and holders, and a cut-off."""
    sets = dict(enumerate(draw(SOME_SETS), N_SPECIALS))
    n_sequences = draw(st.integers(1, 20))
    holders = {item: draw(st.integers(0, n_sequences)) for item in sets}
    places = draw(st.integers(1, len(sets)))
    rows = []
    for _ in range(draw(st.integers(1, 4))):
        order = draw(st.permutations(list(sets)))
        filled = draw(st.integers(0, places))
        rows.append(order[:filled] + [PAD] * (places - filled))
    marks = [[draw(st.booleans()) and item != PAD for item in row] for row in rows]
    popular = [[item - N_SPECIALS + 1 for item in row] for row in rows]
    known = background(sets, holders, n_sequences)
    return shown(rows, marks, popular), known, draw(st.integers(1, places + 2))


def slow_behaviour(
    lists: ShownLists, row: int, known: Background, k: int
) -> tuple[float, float, float, float]:
    """The definitions, pair by pair and item by item."""
    places = range(min(k, lists.items.shape[1]))
    items = [int(lists.items[row, i]) for i in places if lists.items[row, i] != PAD]
    dense = known.features.toarray()
    unlike = [1 - float(dense[a] @ dense[b]) for a, b in itertools.combinations(items, 2)]
    n = known.n_sequences
    bits = [-math.log2(max(int(known.holders[item]), 1) / n) for item in items]
    shares = [known.holders[item] / n for item in items]
    lucky = [i for i in places if lists.relevant[row, i] and lists.popular_places[row, i] > k]
    return (
        sum(unlike) / len(unlike) if unlike else 0,
        sum(bits) / len(bits) if bits else 0,
        len(lucky) / k,
        sum(shares) / len(shares) if shares else 0,
    )


@given(worlds())
def test_behaviour_agrees_with_the_slow_reference(world) -> None:
    lists, known, k = world
    found = [
        diversity(lists, k, known),
        novelty(lists, k, known),
        serendipity(lists, k),
        popularity(lists, k, known),
    ]
    for row in range(len(lists.items)):
        expected = slow_behaviour(lists, row, known, k)
        assert [values[row] for values in found] == pytest.approx(expected, abs=1e-12)


@given(worlds())
def test_shares_stay_within_0_and_1_and_bits_below_the_rarest(world) -> None:
    lists, known, k = world
    for name, values in behaviour_metrics(lists, [k], known).items():
        most = math.log2(known.n_sequences) if name.startswith("novelty") else 1
        assert ((values >= 0) & (values <= most + 1e-12)).all()


@given(worlds(), st.randoms(use_true_random=False))
def test_the_order_within_the_places_does_not_matter(world, random) -> None:
    lists, known, _ = world
    order = list(range(lists.items.shape[1]))
    random.shuffle(order)
    turned = ShownLists(*(part[:, order] for part in lists))
    k = len(order)
    before, after = (behaviour_metrics(each, [k], known) for each in (lists, turned))
    assert all(after[name] == pytest.approx(values) for name, values in before.items())
    size = len(known.holders)
    np.testing.assert_array_equal(exposures(lists.items, size), exposures(turned.items, size))


@given(worlds())
def test_a_list_is_judged_by_itself_to_the_last_bit(world) -> None:
    lists, known, k = world
    together = behaviour_metrics(lists, [k], known)
    for i in range(len(lists.items)):
        alone = behaviour_metrics(ShownLists(*(part[i : i + 1] for part in lists)), [k], known)
        assert all(together[name][i] == alone[name][0] for name in together)


COUNTS = st.lists(st.integers(0, 1000), min_size=1, max_size=30)


@given(COUNTS, st.integers(2, 5), st.randoms(use_true_random=False))
def test_gini_knows_shares_alone(counts: list[int], factor: int, random) -> None:
    value = gini(np.array(counts))
    assert 0 <= value <= 1
    assert gini(factor * np.array(counts)) == pytest.approx(value)
    random.shuffle(counts)
    assert gini(np.array(counts)) == pytest.approx(value)


@given(COUNTS.filter(lambda counts: len(counts) > 1 and sum(counts) > 0))
def test_gini_is_the_mean_difference_of_two_items(counts: list[int]) -> None:
    n, mean = len(counts), sum(counts) / len(counts)
    differences = sum(abs(a - b) for a, b in itertools.permutations(counts, 2))
    assert gini(np.array(counts)) == pytest.approx(differences / (n * (n - 1)) / (2 * mean))


@given(st.integers(1, 1000), st.integers(1, 30))
def test_equal_exposure_has_no_inequality(count: int, n: int) -> None:
    assert gini(np.full(n, count)) == 0
    assert coverage(np.full(n, count)) == 1


@given(worlds(), worlds())
def test_exposures_of_blocks_add_up(first, second) -> None:
    items = [world[0].items.ravel()[None] for world in (first, second)]
    size = max(len(world[1].holders) for world in (first, second))
    added = sum(exposures(block, size) for block in items)
    np.testing.assert_array_equal(exposures(np.concatenate(items, axis=1), size), added)
