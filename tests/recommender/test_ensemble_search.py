"""Lists, ranks and END of an ensemble against a slow, dense reference in float64."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from segue.baselines.item_item import HistoryWeights, ItemItemRanker
from segue.batches import PromptLayout
from segue.errors import RequestError
from segue.ragged import Ragged
from segue.ranking import Query
from segue.recommender import item_item_scores, shapes
from segue.recommender.encoder import Encoder
from segue.recommender.ensemble import Ensemble
from segue.recommender.generation import EnsembleDecoder, generate_sequences
from segue.recommender.item_item_scores import ItemItemScores, RowTable
from segue.recommender.masks import catalogue_mask
from segue.recommender.members import ItemBias, PureSVD, SparseMember
from segue.recommender.sampling import Sampling
from segue.tokens import END, N_SPECIALS, PAD, UNK

pytestmark = [pytest.mark.usefixtures("strict_types"), pytest.mark.usefixtures("bonus_limit")]

VOCABULARY_SIZE = N_SPECIALS + 1500
"""So many items that a search for 10 uses the grouped search."""


ENCODER_WEIGHTS = (1.0, 0.0, 0.7)


@pytest.fixture(scope="module", params=[0, 1 << 20], ids=["sparse", "dense"])
def bonus_limit(request: pytest.FixtureRequest) -> Iterator[int]:
    """Run a test twice: with bonuses as sparse entries, and as an array of all items."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shapes, "MAX_DENSE_BONUS_ITEMS", request.param)
        yield request.param


class LastItemEncoder(Encoder):
    """Stands for a transformer: the state is the vector of the last item, or a constant."""

    def __init__(self, vocabulary_size: int, dim: int, seed: int) -> None:
        random = np.random.default_rng(seed)
        self.vectors = random.normal(size=(vocabulary_size, dim)).astype(np.float32)
        self.layout = PromptLayout(8, vocabulary_size, start=True, end=True)

    def states(self, query: Query, n_rows: int) -> np.ndarray:
        states = np.zeros((n_rows, self.vectors.shape[1]), np.float32)
        for i in range(len(query)):
            history = query.histories.row(i)
            last = int(history[-1]) if len(history) else 1
            states[i] = self.vectors[last if last < len(self.vectors) else UNK]
        return states


class RandomFollowers:
    """A sparse ranker: each item of the history votes for a few others, some of them negatively."""

    name = "random-followers"

    def __init__(self, vocabulary_size: int, per_item: int, seed: int) -> None:
        random = np.random.default_rng(seed)
        rows = np.repeat(np.arange(vocabulary_size), per_item)
        columns = random.integers(0, vocabulary_size, len(rows))
        votes = random.normal(1, 1, len(rows)).astype(np.float32)
        shape = (vocabulary_size, vocabulary_size)
        self.followers = sparse.csr_matrix((votes, (rows, columns)), shape=shape)

    def sparse_scores(self, query: Query) -> sparse.csr_matrix:
        offsets, items = query.histories
        is_inside = items < self.followers.shape[0]
        rows = np.repeat(np.arange(len(query)), np.diff(offsets))[is_inside]
        ones = np.ones(len(rows), np.float32)
        shape = (len(query), self.followers.shape[0])
        return sparse.csr_matrix((ones, (rows, items[is_inside])), shape=shape) @ self.followers


def ensemble_of(
    vocabulary_size: int = VOCABULARY_SIZE, per_item: int = 20, encoder_weight: float = 1.0
) -> Ensemble:
    """An encoder, PureSVD, scores that depend on no request, and two sparse members."""
    random = np.random.default_rng(5)
    encoder = LastItemEncoder(vocabulary_size, 8, seed=0)
    puresvd = PureSVD(random.normal(size=(vocabulary_size, 6)).astype(np.float32), 3.0)
    bias = ItemBias(random.normal(size=(vocabulary_size, 1)).astype(np.float32), 0.8)
    sparse_members = [
        SparseMember(RandomFollowers(vocabulary_size, per_item, seed), weight, scale)
        for seed, weight, scale in ((1, 1.5, 0.01), (2, 0.7, 0.1))
    ]
    return Ensemble(encoder, [puresvd, bias], sparse_members, encoder_weight=encoder_weight)


def dense_parts(ensemble: Ensemble, query: Query) -> tuple[np.ndarray, np.ndarray]:
    """The scores of the encoder alone and of the whole ensemble, in float64, without masks."""
    encoder, *further = [
        np.asarray(member.states(query, len(query)), np.float64)
        @ np.asarray(member.vectors, np.float64).T
        for member in (ensemble.encoder, *ensemble.further_dense)
    ]
    combined = ensemble.encoder_weight * encoder + sum(further)
    for member in ensemble.sparse:
        votes = member.ranker.sparse_scores(query).toarray().astype(np.float64)
        votes[:, :N_SPECIALS] = 0
        for i in range(len(query)):
            seen = query.seen.row(i)
            votes[i, seen[seen < votes.shape[1]]] = 0
        votes = np.maximum(votes, 0)
        shares = votes / np.maximum(votes.sum(axis=1, keepdims=True), 1e-300)
        combined = combined + member.weight * np.log1p(shares / member.scale)
    return encoder, combined


def reference(ensemble: Ensemble, query: Query, is_candidate: np.ndarray | None = None):
    """The combined scores, -inf for items that may not be recommended."""
    scores = dense_parts(ensemble, query)[1].copy()
    scores[:, :N_SPECIALS] = -np.inf
    if is_candidate is not None:
        scores[:, ~is_candidate] = -np.inf
    for left_out in (query.seen, query.excluded):
        for i in range(len(query) if left_out is not None else 0):
            items = left_out.row(i)
            scores[i, items[items < scores.shape[1]]] = -np.inf
    return scores


def random_query(n: int, seed: int, vocabulary_size: int = VOCABULARY_SIZE, k: int = 10) -> Query:
    """Histories of 0 to 12 items, some beyond the vocabulary, and exclusions."""
    random = np.random.default_rng(seed)
    histories = Ragged.from_rows(
        [random.integers(N_SPECIALS, vocabulary_size + 9, random.integers(0, 13)) for _ in range(n)]
    )
    excluded = Ragged.from_rows(
        [random.integers(0, vocabulary_size + 9, random.integers(0, 40)) for _ in range(n)]
    )
    seen = histories if seed % 2 else Ragged.from_rows([[]] * n)
    return Query(histories, seen, np.full(n, -1), k=k, excluded=excluded)


def query_of(rows: list[list[int]], *, seen: bool = True) -> Query:
    histories, nothing = Ragged.from_rows(rows), Ragged.from_rows([[]] * len(rows))
    return Query(histories, histories if seen else nothing, np.full(len(rows), -1))


def assert_lists(query: Query, scores: np.ndarray, ranked) -> None:
    """Lists and scores are those of a full sort, up to the order of scores equal to rounding."""
    expected = -np.sort(-scores, axis=1)[:, : query.k]
    np.testing.assert_allclose(ranked.scores, expected, rtol=1e-4, atol=1e-4)
    for row, items in enumerate(ranked.items):
        listed = items[items != PAD]
        assert len(set(listed.tolist())) == len(listed)
        np.testing.assert_allclose(
            scores[row, listed], ranked.scores[row, : len(listed)], rtol=1e-4, atol=1e-4
        )


@pytest.fixture(scope="module")
def ensemble() -> Ensemble:
    return ensemble_of()


@pytest.mark.fast_cases(1)
@given(n=st.sampled_from([1, 3, 9]), k=st.sampled_from([1, 10, 30]), seed=st.integers(0, 999))
def test_lists_equal_the_dense_reference(n, k, seed):
    ensemble = ensemble_of(encoder_weight=ENCODER_WEIGHTS[seed % 3])
    query = random_query(n, seed, k=k)
    assert_lists(query, reference(ensemble, query), ensemble.top(query))


@pytest.mark.fast_cases(1)
@given(seed=st.integers(0, 999))
def test_ranks_equal_the_dense_reference(seed):
    ensemble = ensemble_of(encoder_weight=ENCODER_WEIGHTS[seed % 3])
    query = random_query(9, seed)
    scores = reference(ensemble, query)
    # Targets from the top, from the middle and from the end of the list.
    order = np.argsort(-scores, axis=1)
    targets = order[np.arange(9), [[0, 3, 40, 700][i % 4] for i in range(9)]].astype(np.int32)
    assert_ranks(scores, targets, ensemble.ranks(query, targets))


def assert_ranks(scores: np.ndarray, targets: np.ndarray, ranks: np.ndarray) -> None:
    """Ranks are exact, except among scores that differ from the target's by rounding only."""
    for row, target, rank in zip(scores, targets, ranks, strict=True):
        margin = 1e-4 * (1 + abs(row[target]))
        higher = np.count_nonzero(row > row[target] + margin)
        not_lower = np.count_nonzero(row >= row[target] - margin)
        assert higher + 1 <= rank <= not_lower
        if not_lower == higher + 1:
            assert rank == higher + 1


@pytest.mark.fast_cases(1)
@given(n_tied=st.integers(2, 9), seed=st.integers(0, 99), with_bonus=st.booleans())
def test_items_with_equal_vectors_and_bonus_share_their_rank(n_tied, seed, with_bonus):
    random = np.random.default_rng(seed)
    encoder = LastItemEncoder(300, 16, seed)
    tied = random.permutation(np.arange(20, 300))[:n_tied]
    encoder.vectors[tied] = encoder.vectors[tied[0]]
    voters = RandomFollowers(300, 1, seed)
    followers = [*tied, *range(5, 15)] if with_bonus else list(range(5, 15))
    votes = np.ones(len(followers), np.float32)
    rows = np.full(len(followers), 4)
    voters.followers = sparse.csr_matrix((votes, (rows, followers)), shape=(300, 300))
    ensemble = Ensemble(encoder, [], [SparseMember(voters, 1.3, 0.03)])
    history = Ragged.from_rows([[7, 4]] * n_tied)
    query = Query(history, history, np.full(n_tied, -1), k=50)
    ranks = ensemble.ranks(query, tied.astype(np.int32))
    assert len(set(ranks.tolist())) == 1
    positions = np.flatnonzero(np.isin(reference(ensemble, query)[0].argsort()[::-1], tied)) + 1
    assert ranks[0] == -(-(positions[0] + positions[-1]) // 2)


def test_candidates_do_not_change_scores(ensemble: Ensemble) -> None:
    """A catalogue of another dataset, and exclusions, only leave items out."""
    query = random_query(5, seed=3)
    is_candidate = np.arange(VOCABULARY_SIZE) % 3 == 0
    catalogue = catalogue_mask(is_candidate)
    ranked = ensemble.top(query, catalogue)
    scores = reference(ensemble, query, is_candidate)
    assert_lists(query, scores, ranked)
    everything = ensemble.scores(query, Ragged.from_rows([list(range(VOCABULARY_SIZE))] * 5))
    by_item = everything.reshape(5, VOCABULARY_SIZE)
    for row in range(5):
        np.testing.assert_allclose(
            by_item[row, ranked.items[row]], ranked.scores[row], rtol=1e-4, atol=1e-4
        )
    targets = ranked.items[:, 4]
    np.testing.assert_array_equal(ensemble.ranks(query, targets, catalogue), 5)


@pytest.mark.fast_cases(1)
def test_large_catalogues_are_searched_exactly() -> None:
    size = N_SPECIALS + 150_000
    ensemble = ensemble_of(size, per_item=50)
    query = random_query(5, seed=8, vocabulary_size=size, k=100)
    scores = reference(ensemble, query)
    ranked = ensemble.top(query)
    assert_lists(query, scores, ranked)
    for position in (0, 50, 99):
        targets = ranked.items[:, position]
        assert_ranks(scores, targets, ensemble.ranks(query, targets))


# --- END ---


@pytest.mark.parametrize("encoder_weight", ENCODER_WEIGHTS)
@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_end_keeps_the_probability_that_the_encoder_gives_it(
    temperature: float, encoder_weight: float
) -> None:
    """Its odds against the whole catalogue are those of the encoder alone at the temperature."""
    ensemble, query = ensemble_of(encoder_weight=encoder_weight), random_query(6, seed=4)
    alone, combined = (scores / temperature for scores in dense_parts(ensemble, query))
    catalogue_alone = np.log(np.exp(alone[:, N_SPECIALS:]).sum(axis=1))
    catalogue = np.log(np.exp(combined[:, N_SPECIALS:]).sum(axis=1))
    expected = temperature * (alone[:, END] - catalogue_alone + catalogue)
    end_scores = ensemble.next_items(query, end_temperature=temperature).end_scores
    np.testing.assert_allclose(end_scores, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("temperature", [1e-45, 1e-30])
def test_at_low_temperatures_end_competes_with_the_best_item(
    ensemble: Ensemble, temperature: float
) -> None:
    """Its distance from the best item is that in the encoder."""
    query = random_query(6, seed=4)
    alone, combined = dense_parts(ensemble, query)
    best_alone, best = (scores[:, N_SPECIALS:].max(axis=1) for scores in (alone, combined))
    end_scores = ensemble.next_items(query, end_temperature=temperature).end_scores
    np.testing.assert_allclose(end_scores, alone[:, END] - best_alone + best, rtol=1e-3, atol=1e-3)


def test_items_that_are_no_candidates_are_not_in_the_odds_of_end() -> None:
    is_candidate = np.arange(VOCABULARY_SIZE) % 3 == 0
    everything = ensemble_of()
    ensemble = Ensemble(
        everything.encoder, everything.dense[1:], everything.sparse, is_candidate=is_candidate
    )
    query = random_query(6, seed=4)
    alone, combined = (scores[:, is_candidate] for scores in dense_parts(ensemble, query))
    is_item = np.flatnonzero(is_candidate) >= N_SPECIALS
    end = dense_parts(ensemble, query)[0][:, END]
    odds = end - np.log(np.exp(alone[:, is_item]).sum(axis=1))
    expected = odds + np.log(np.exp(combined[:, is_item]).sum(axis=1))
    end_scores = ensemble.next_items(query, end_temperature=1.0).end_scores
    np.testing.assert_allclose(end_scores, expected, rtol=1e-3, atol=1e-3)


def test_a_transformer_alone_keeps_its_score_of_end() -> None:
    encoder = LastItemEncoder(50, 4, seed=1)
    alone = Ensemble(encoder)
    query = random_query(4, seed=1, vocabulary_size=50, k=5)
    expected = encoder.states(query, 4) @ encoder.vectors[END]
    end_scores = alone.next_items(query, end_temperature=2.0).end_scores
    np.testing.assert_allclose(end_scores, expected, rtol=1e-5)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_an_ensemble_ends_with_the_probability_of_the_encoder(temperature: float) -> None:
    """Sampled from the whole catalogue, END comes as often as the encoder alone predicts it."""
    ensemble, n = ensemble_of(60, per_item=4), 3000
    history = [7, 20, 9]
    state = ensemble.encoder.states(query_of([history]), 1)[0]
    # A vector in the direction of the state, so that END has a share of about a third.
    logits = np.asarray(ensemble.encoder.vectors[N_SPECIALS:] @ state, np.float64) / temperature
    end_score = temperature * (np.log(np.exp(logits).sum()) - np.log(2))
    ensemble.encoder.vectors[END] = end_score * state / (state @ state)
    query = query_of([history] * n, seen=False)
    options = Sampling(temperature, top_k=56, end_weight=1.0)
    ended = generate_sequences(
        EnsembleDecoder(ensemble), query, 1, options, [[7, row] for row in range(n)]
    ).items[:, 0]
    assert (ended == END).mean() == pytest.approx(1 / 3, abs=0.03)


# --- the weight of the encoder ---


class UnusedEncoder(LastItemEncoder):
    """An encoder that must not be computed."""

    def states(self, query: Query, n_rows: int) -> np.ndarray:
        raise AssertionError(f"the encoder was computed for {len(query)} requests, {n_rows} rows")


def test_an_encoder_of_weight_0_is_not_computed() -> None:
    everything = ensemble_of()
    unused = UnusedEncoder(VOCABULARY_SIZE, 8, seed=0)
    ensemble = Ensemble(unused, everything.further_dense, everything.sparse, encoder_weight=0.0)
    query = random_query(3, seed=4)
    ranked = ensemble.top(query)
    assert_lists(query, reference(ensemble_of(encoder_weight=0.0), query), ranked)
    assert ensemble.ranks(query, ranked.items[:, 2]).tolist() == [3, 3, 3]
    assert ensemble.states(query).shape == (3, 7)


def test_a_bias_orders_the_items_that_no_member_scores() -> None:
    counts = np.array([0] * N_SPECIALS + [5, 9, 2, 7])
    encoder = LastItemEncoder(len(counts), 2, seed=0)
    voters = RandomFollowers(len(counts), 1, seed=0)
    voters.followers = sparse.csr_matrix(([1.0], ([4], [6])), shape=voters.followers.shape)
    bias = ItemBias.of_popularity(counts, 1e-3)
    ensemble = Ensemble(encoder, [bias], [SparseMember(voters, 1.0, 0.1)], encoder_weight=0.0)
    ranked = ensemble.top(query_of([[4]], seen=False).with_k(4))
    assert ranked.items[0].tolist() == [6, 5, 7, 4]
    np.testing.assert_allclose(ranked.scores[0, 1:], 1e-3 * np.log([10, 8, 6]), rtol=1e-5)


def test_impossible_weights_of_the_encoder_are_refused() -> None:
    encoder = LastItemEncoder(60, 4, seed=0)
    for weight in (-1.0, float("nan"), float("inf")):
        with pytest.raises(RequestError, match=f"encoder_weight is {weight}, expected"):
            Ensemble(encoder, encoder_weight=weight)
    member = SparseMember(RandomFollowers(60, 1, 0), 1.0, 0.1)
    with pytest.raises(RequestError, match="no other member scores all items"):
        Ensemble(encoder, [], [member], encoder_weight=0.0)


@pytest.mark.parametrize("encoder_weight", ENCODER_WEIGHTS)
def test_similar_items_depend_on_no_weight_and_no_bias(encoder_weight: float) -> None:
    ensemble = ensemble_of(encoder_weight=encoder_weight)
    without_bias = Ensemble(ensemble.encoder, ensemble.further_dense[:1])
    items = np.array([7, 90], np.int32)
    similar, expected = (e.similar_items(items, 5) for e in (ensemble, without_bias))
    np.testing.assert_array_equal(similar.items, expected.items)


# --- sparse members ---


def test_members_of_another_vocabulary_are_refused() -> None:
    encoder = LastItemEncoder(60, 4, seed=0)
    message = "a member has 50 items, but the model has 60"
    with pytest.raises(RequestError, match=message):
        Ensemble(encoder, [PureSVD(np.ones((50, 2), np.float32), 1.0)])
    with pytest.raises(RequestError, match=message):
        Ensemble(encoder, is_candidate=np.ones(50, bool))
    wrong = Ensemble(encoder, [], [SparseMember(RandomFollowers(50, 1, 0), 1.0, 0.1)])
    with pytest.raises(RequestError, match=message):
        wrong.top(query_of([[5]]))


def test_no_requests_and_no_items_to_score(ensemble: Ensemble) -> None:
    nothing = query_of([])
    assert ensemble.top(nothing).items.shape == (0, 10)
    assert ensemble.states(nothing).shape == (0, 15)
    assert ensemble.scores(query_of([[5], [6]]), Ragged.from_rows([[], []])).shape == (0,)


def test_shares_do_not_depend_on_what_a_request_excludes(ensemble: Ensemble) -> None:
    query = random_query(4, seed=5)
    bonus = ensemble.sparse[0].bonus(query)
    without = ensemble.sparse[0].bonus(replace(query, excluded=None))
    assert (bonus != without).nnz == 0
    assert (bonus.data > 0).all()
    for row in range(4):
        seen = query.seen.row(row)
        assert not bonus[row, seen[seen < VOCABULARY_SIZE]].nnz


def test_an_empty_history_has_no_bonus(ensemble: Ensemble) -> None:
    nothing = Ragged.from_rows([[], []])
    query = Query(nothing, nothing, np.full(2, -1))
    assert ensemble.sparse[0].bonus(query).nnz == 0
    assert not ensemble.sparse[0].dense_bonus(query, 2).any()


@given(seed=st.integers(0, 999), n=st.sampled_from([1, 3, 40]))
def test_the_bonus_of_all_items_is_that_of_the_sparse_entries(seed: int, n: int) -> None:
    """By any of the products, with padding rows, for any weights of the history."""
    random = np.random.default_rng(seed)
    size = N_SPECIALS + 60
    counts, density = random.integers(0, 9, size), random.choice([0.02, 0.5])
    pairs = sparse.random_array((size, size), density=density, rng=random, dtype=np.float32)
    weights = HistoryWeights(
        length=[None, 3][seed % 2], power=seed % 3 / 2, distinct=seed % 5 > 2, half_life=4.0
    )
    divisors = random.uniform(1, 5, size) if seed % 2 else None
    ranker = ItemItemRanker("pairs", sparse.csr_matrix(pairs), counts, weights, divisors=divisors)
    member = SparseMember(ranker, 0.7, 0.02)
    query = random_query(n, seed, vocabulary_size=size)
    dense = member.dense_bonus(query, n + 5)
    np.testing.assert_allclose(dense[:n], member.bonus(query).toarray(), rtol=1e-4, atol=1e-6)
    assert not dense[n:].any()


@pytest.mark.parametrize("has_table", [False, True])
@pytest.mark.parametrize("ns_per_term", [0.0, 1e9])
def test_all_products_give_the_scores_of_the_ranker(
    ns_per_term: float, has_table: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sums of sparse rows, of rows of a table, and a product of the whole matrix."""
    monkeypatch.setattr(item_item_scores, "NS_PER_TERM", ns_per_term)
    monkeypatch.setattr(item_item_scores, "NS_PER_TERM_OF_TABLE", ns_per_term)
    monkeypatch.setattr(item_item_scores, "MAX_PADDING", 10.0 if has_table else 0.0)
    random = np.random.default_rng(0)
    pairs = sparse.csr_matrix(random.normal(size=(30, 30)) * (random.random((30, 30)) < 0.3))
    assert (RowTable.of(pairs) is not None) == has_table
    ranker = ItemItemRanker(
        "pairs", pairs.astype(np.float32), np.arange(30), HistoryWeights(power=1.0)
    )
    query = random_query(4, 7, vocabulary_size=30)
    scores = ItemItemScores(ranker).scores(query, 8)
    expected = ranker.sparse_scores(query).toarray()
    np.testing.assert_allclose(scores[:4], expected, rtol=1e-4, atol=1e-5)
    assert not scores[4:].any()
    assert scores.flags.c_contiguous


def test_a_table_has_the_rows_of_a_matrix_of_moderate_size(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = sparse.csr_matrix(np.array([[0, 2, 0], [3, 0, 4], [0, 0, 5]], np.float32))
    assert RowTable.of(pairs) is None  # a third of it would be padding
    monkeypatch.setattr(item_item_scores, "MAX_PADDING", 2.0)
    table = RowTable.of(pairs)
    assert table is not None
    np.testing.assert_array_equal(table.columns, [[1, 0], [0, 2], [2, 0]])
    np.testing.assert_array_equal(table.values, [[2, 0], [3, 4], [5, 0]])
    monkeypatch.setattr(item_item_scores, "MAX_TABLE_ENTRIES", 5)
    assert RowTable.of(pairs) is None


@pytest.mark.parametrize(("weight", "scale"), [(-1.0, 0.1), (1.0, 0.0), (float("nan"), 0.1)])
def test_impossible_weights_are_refused(weight: float, scale: float) -> None:
    with pytest.raises(RequestError, match="expected a weight from 0 up and a scale above 0"):
        SparseMember(RandomFollowers(9, 1, 0), weight, scale)


# --- shapes ---


def test_buckets_are_few_and_large_enough() -> None:
    rows = {n: shapes.row_bucket(n) for n in range(1, shapes.MAX_ROWS + 1)}
    results = {k: shapes.result_bucket(k, 10_000) for k in range(1, 10_001)}
    lengths = {n: shapes.length_bucket(n, 200) for n in range(1, 201)}
    for buckets, n_buckets in ((rows, 12), (results, 7), (lengths, 2)):
        assert all(bucket >= n for n, bucket in buckets.items())
        assert len(set(buckets.values())) == n_buckets
    assert shapes.length_bucket(300, 200) == 200


def test_blocks_of_requests_fit_in_the_memory_for_scores() -> None:
    assert shapes.rows_per_block(3_706, 16) == shapes.MAX_ROWS
    rows = shapes.rows_per_block(4_000_000, 80_000)
    assert rows in shapes.ROW_BUCKETS
    assert rows * 4_000_000 <= shapes.MAX_STORED_SCORES
