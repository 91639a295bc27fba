"""``Ensemble``: the members of a trained model, from a batch of requests to lists and ranks.

The path of a request: ``encode`` turns it into one state per dense member, which stay on the
device, a bit mask of the items to leave out, and the bonus of the sparse members; ``search``
combines them. The score of an item is the sum over the members.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import replace
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float32, Int32, Int64, UInt8
from scipy import sparse

from segue.bfloat16 import largest_value, to_float32
from segue.controls import Controls
from segue.errors import NotFiniteError, RequestError, RunError
from segue.features import SequenceVocabulary
from segue.machine import check_fork
from segue.ragged import Ragged
from segue.ranking import Query, Ranked
from segue.recommender import search, shapes, similarity, steering
from segue.recommender.encoder import Encoder
from segue.recommender.masks import catalogue_mask, request_masks
from segue.recommender.members import DenseMember, ItemBias, PureSVD, SparseMember, Window
from segue.recommender.reranking import rerank
from segue.recommender.search import EncodedQuery, SparseBonus
from segue.recommender.search_kernels import largest_score, scaled
from segue.recommender.second_transformer import SecondTransformer
from segue.tokens import END, INDEX_DTYPE, N_SPECIALS

MIN_TEMPERATURE = 1e-30
"""Lower temperatures overflow, so they are raised to this one; both always take the best item."""


ValueT = TypeVar("ValueT")


class shared_property(cached_property[ValueT]):  # noqa: N801 - used like ``cached_property``
    """A cached property that copies of an ensemble take from their original."""

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """The value of the original, computed on first use."""
        if instance is None:
            return self
        return super().__get__(instance._original or instance, owner)


NOT_FINITE = (
    "the scores of the model are not finite",
    "its training diverged: train again with a lower optimizer.learning_rate",
)
"""Message and hint of the error about such scores."""


class NextItems(NamedTuple):
    """The best next items of each request, and the scores of END if requested."""

    ranked: Ranked
    end_scores: Float32[np.ndarray, " batch"] | None


class Ensemble:
    """An encoder and further members; all in the item indices of the model.

    Attributes:
        encoder: the transformer.
        encoder_weight: factor on its scores.
        training_counts: training events by item index; None if unknown.
        further_dense: the dense members besides the encoder.
        dense: the dense members that score items: the encoder, if its weight is not 0, comes
            first.
        sparse: the sparse members.
        is_candidate: by item index, whether an item may be recommended.
        catalogue: the mask of the items that are never recommended, as in ``masks``.
    """

    def __init__(
        self,
        encoder: Encoder,
        dense: Sequence[DenseMember] = (),
        sparse: Sequence[SparseMember] = (),
        is_candidate: Bool[np.ndarray, " vocabulary"] | None = None,
        encoder_weight: float = 1.0,
        training_counts: Int64[np.ndarray, " vocabulary"] | None = None,
    ) -> None:
        """Combine the members.

        Args:
            dense: dense members besides the encoder.
            sparse: sparse members.
            is_candidate: by item index, whether an item may be recommended, false for special
                tokens; by default the whole catalogue may.
            encoder_weight: factor on the scores of the encoder, 0 or more. With 0 it is not
                computed, except for the probability of END.
            training_counts: training events by item index, for the popularity dial.

        Raises:
            RequestError: a member or ``is_candidate`` has another number of items, or the weight
                is not possible.
        """
        if not 0 <= encoder_weight <= np.finfo(np.float32).max:
            message = f"encoder_weight is {encoder_weight}, expected a number from 0 up"
            raise RequestError(message, "1 is usual")
        if not (encoder_weight or dense):
            raise RequestError(
                "encoder_weight is 0, and no other member scores all items",
                "add an ItemBias, such as ItemBias.of_popularity",
            )
        self._original: Ensemble | None = None
        self.encoder = encoder
        self.encoder_weight = encoder_weight
        self.training_counts = training_counts
        self.further_dense = tuple(dense)
        self.dense: tuple[DenseMember, ...] = self.further_dense
        if encoder_weight:
            self.dense = (encoder, *self.dense)
        self.sparse = tuple(sparse)
        if is_candidate is None:
            is_candidate = np.arange(self.vocabulary_size) >= N_SPECIALS
        for size in (len(is_candidate), *(len(member.vectors) for member in dense)):
            self._check_size(size)
        self.is_candidate = is_candidate
        self.catalogue = catalogue_mask(is_candidate)

    @cached_property
    def vocabulary(self) -> SequenceVocabulary:
        """The sequence features that the encoder or a second transformer reads."""
        values = [encoder.vocabulary.values for encoder in self.encoders]
        return SequenceVocabulary({name: by_name[name] for by_name in values for name in by_name})

    @property
    def encoders(self) -> tuple[Encoder, ...]:
        """The encoder and those of further transformers."""
        second = (m.encoder for m in self.further_dense if isinstance(m, SecondTransformer))
        return (self.encoder, *second)

    def encoder_alone(self) -> Ensemble:
        """The encoder without the other members."""
        return Ensemble(
            self.encoder, is_candidate=self.is_candidate, training_counts=self.training_counts
        )

    def caching(self) -> Ensemble:
        """A copy for queries whose histories grow; see ``PrefixCache``.

        Its members keep what they computed for the last query, so each query must be one block,
        of at most ``rows_per_block`` requests. It is for one thread at a time.
        """
        return self._with_dense(
            self.encoder.caching(), [member.caching() for member in self.further_dense]
        )

    def with_window(self, window: Window) -> Ensemble:
        """A copy whose transformers read other tokens of histories longer than their context."""
        return self._with_dense(
            self.encoder.with_window(window),
            [member.with_window(window) for member in self.further_dense],
        )

    def _with_dense(self, encoder: Encoder, further_dense: Iterable[DenseMember]) -> Ensemble:
        """A copy with other dense members, which have the same vectors."""
        ensemble = copy(self)
        ensemble._original = self._original or self
        ensemble.encoder = encoder
        ensemble.further_dense = tuple(further_dense)
        ensemble.dense = ensemble.further_dense
        if self.encoder_weight:
            ensemble.dense = (ensemble.encoder, *ensemble.dense)
        return ensemble

    def rows_per_caching_block(self, k: int) -> int:
        """Largest number of requests for ``k`` items in a query of a copy by ``caching``."""
        n_results = shapes.result_bucket(k, self.vocabulary_size)
        bytes_per_row = sum(encoder.cache_bytes_per_row for encoder in self.encoders)
        return min(
            self.rows_per_block(n_results),
            shapes.cached_rows(bytes_per_row),
        )

    @property
    def members(self) -> tuple[DenseMember | SparseMember, ...]:
        """All members besides the encoder."""
        return (*self.further_dense, *self.sparse)

    @shared_property
    def vectors(self) -> search.Vectors:
        """For each member of ``dense`` its item vectors, on the device."""
        return _on_device(self.dense)

    @property
    def vocabulary_size(self) -> int:
        """Number of special tokens and catalogue items."""
        return self.encoder.layout.vocabulary_size

    @property
    def has_sparse_bonus(self) -> bool:
        """Whether there are sparse members, and too many items for an array of their bonuses."""
        return bool(self.sparse) and self.vocabulary_size > shapes.MAX_DENSE_BONUS_ITEMS

    def rows_per_block(self, k: int | None = None) -> int:
        """Largest number of requests that are computed together.

        Args:
            k: number of results of a search; None for none.
        """
        size = shapes.MAX_ROWS if k is None else shapes.rows_per_block(self.vocabulary_size, k)
        if self.sparse and not self.has_sparse_bonus:
            size = min(size, shapes.dense_bonus_rows(self.vocabulary_size))
        return size

    @cached_property
    def n_candidates(self) -> int:
        """Number of items that may be recommended."""
        return int(np.count_nonzero(self.is_candidate))

    def encode(
        self, query: Query, catalogue: UInt8[np.ndarray, " bytes"] | None = None
    ) -> EncodedQuery:
        """Encode at most ``rows_per_block`` requests.

        Its states are those of ``vectors_of(query)``.

        Args:
            catalogue: the mask of the items that are not candidates, if it is not the model's.
        """
        n_rows = shapes.row_bucket(len(query))
        left_out = [query.seen] if query.excluded is None else [query.seen, query.excluded]
        masks = request_masks(
            self.catalogue if catalogue is None else catalogue, left_out, n_rows, query.controls
        )
        return EncodedQuery(
            len(query),
            self._states(query),
            masks,
            self._sparse_bonus(query),
            self._dense_bonus(query),
        )

    def vectors_of(self, query: Query) -> search.Vectors:
        """The item vectors that belong to the states of a query: those of the dense members.

        The dials and examples of the requests add further ones.
        """
        if query.controls is None:
            return self.vectors
        added = steering.steering_vectors(
            query.controls, lambda: self._popularity, lambda: self._unit_vectors
        )
        return (*self.vectors, *added)

    def top(self, query: Query, catalogue: UInt8[np.ndarray, " bytes"] | None = None) -> Ranked:
        """The list of each request: its ``query.k`` best items, under all of its controls.

        Raises:
            NotFiniteError: the scores of the requests may not be finite; so of all methods here.
        """

        def best(query: Query) -> Ranked:
            return self.next_items(query, catalogue=catalogue).ranked

        if query.controls is None or not any(row.reranks for row in query.controls):
            return best(query)
        return rerank(query, best, self.unit_rows, self.vocabulary_size)

    def next_items(
        self,
        query: Query,
        *,
        catalogue: UInt8[np.ndarray, " bytes"] | None = None,
        end_temperature: float | None = None,
    ) -> NextItems:
        """The ``query.k`` best items of each request and, if asked for, the scores of END.

        Caps and diversity, which concern a list, are not applied; see ``top``.

        END keeps the probability that the encoder gives it at the temperature, whatever the weight
        of the encoder is: its odds against the whole catalogue are those of the encoder alone.

        Args:
            catalogue: as in ``encode``.
            end_temperature: the temperature, above 0; None for no scores of END.
        """
        n_results = shapes.result_bucket(query.k, self.vocabulary_size)
        items = np.zeros((len(query), query.k), INDEX_DTYPE)
        scores = np.zeros((len(query), query.k), np.float32)
        end_scores = None if end_temperature is None else np.zeros(len(query), np.float32)
        size = self.rows_per_block(n_results)
        for block, block_query in query.blocks(size):
            encoded = self.encode(block_query, catalogue)
            items[block], scores[block] = search.top(encoded, self.vectors_of(block_query), query.k)
            self._check_finite(encoded.states)
            if end_scores is not None and end_temperature is not None:
                end_scores[block] = self._end_scores(block_query, encoded, end_temperature)
        return NextItems(Ranked(items, scores), end_scores)

    def ranks(
        self,
        query: Query,
        targets: Int32[np.ndarray, " batch"],
        catalogue: UInt8[np.ndarray, " bytes"] | None = None,
    ) -> Int64[np.ndarray, " batch"]:
        """The rank of the target of each request; see ``search.ranks``.

        Raises:
            RequestError: a request has caps or diversity, which concern a list.
        """
        if query.controls is not None and any(row.reranks for row in query.controls):
            message = "a rank under caps or diversity is not defined"
            raise RequestError(message, "leave them out, or look the target up in a list")
        ranks = np.zeros(len(query), np.int64)
        for block, block_query in query.blocks(self.rows_per_block()):
            encoded = self.encode(block_query, catalogue)
            ranks[block] = search.ranks(encoded, self.vectors_of(block_query), targets[block])
            self._check_finite(encoded.states)
        return ranks

    def scores(self, query: Query, items: Ragged) -> Float32[np.ndarray, " values"]:
        """The score of each item of ``items``, in order, whether it may be recommended or not.

        Args:
            items: item indices to score, one row per request.
        """
        scores = [np.zeros(0, np.float32)]
        for block, block_query in query.blocks(self.rows_per_block()):
            offsets, values = items.slice(block.start, block.stop)
            rows = np.repeat(np.arange(len(block_query)), np.diff(offsets))
            states = self._states(block_query)
            vectors = self.vectors_of(block_query)
            scores.append(search.pair_scores(states, vectors, rows, values))
            self._check_finite(states)
            if (dense_bonus := self._dense_bonus(block_query)) is not None:
                scores[-1] += dense_bonus[rows, values]
            if (sparse_bonus := self._sparse_bonus(block_query)) is not None:
                scores[-1] += search.bonus_at(sparse_bonus, rows, values, self.vocabulary_size)
        return np.concatenate(scores)

    def states(self, query: Query) -> Float32[np.ndarray, "batch dim"]:
        """The states of all members of ``dense``, concatenated.

        Their inner products with ``item_vectors`` are the scores without sparse members, dials and
        examples.
        """
        query = replace(query, controls=None)
        dim = sum(member.shape[1] for member in self.vectors)
        blocks = [np.zeros((0, dim), np.float32)]
        for _, block_query in query.blocks(self.rows_per_block()):
            states = self._states(block_query)
            members = [np.asarray(member) for member in states]
            blocks.append(np.concatenate(members, axis=1)[: len(block_query)])
            self._check_finite(states)
        return np.concatenate(blocks)

    def item_vectors(self) -> Float32[np.ndarray, "vocabulary dim"]:
        """The item vectors of all members of ``dense``, concatenated, in float32."""
        check_fork()
        return np.concatenate([np.asarray(to_float32(member)) for member in self.vectors], axis=1)

    def with_puresvd_weight(self, weight: float) -> Ensemble:
        """A copy with another weight of the PureSVD member.

        Args:
            weight: in nats; 0 removes the member.

        Raises:
            RequestError: the weight is negative or not finite.
            RunError: the model has no PureSVD member.
        """
        if not 0 <= weight <= np.finfo(np.float32).max:
            raise RequestError(f"weight is {weight}, expected a number from 0 up", "16 is usual")
        if not any(isinstance(member, PureSVD) for member in self.further_dense):
            raise RunError(
                "the model has no PureSVD ensemble member",
                "train a model with ensemble.puresvd_factors above 0",
            )
        dense = [
            replace(member, weight=weight) if isinstance(member, PureSVD) else member
            for member in self.further_dense
            if weight or not isinstance(member, PureSVD)
        ]
        return Ensemble(
            self.encoder,
            dense,
            self.sparse,
            self.is_candidate,
            self.encoder_weight,
            self.training_counts,
        )

    def similar_items(
        self,
        items: Int32[np.ndarray, " batch"],
        k: int,
        *,
        excluded: Ragged | None = None,
        controls: Sequence[Controls] | None = None,
    ) -> Ranked:
        """The ``k`` items with the most similar vectors per item; see ``similarity``.

        The vectors are those of the encoder and of the other dense members, whatever their
        weights are, without item biases, which have no direction.

        Args:
            excluded: item indices that are not listed, one row per item.
            controls: of each item; only what they allow is listed, and all else has no effect.
        """
        check_fork()
        return similarity.similar_items(
            self._unit_vectors, self.catalogue, items, k, excluded=excluded, controls=controls
        )

    @shared_property
    def _unit_vectors(self) -> search.Vectors:
        vectors = self._vectors_of_content
        states = tuple(jnp.zeros((1, member.shape[1])) for member in vectors)
        _check_finite(states, _largest_of(vectors))
        return similarity.unit_vectors(vectors)

    @shared_property
    def _vectors_of_content(self) -> search.Vectors:
        """The vectors by which items are similar: without item biases, which have no direction."""
        members = [m for m in self.further_dense if not isinstance(m, ItemBias)]
        return _on_device([self.encoder, *members])

    def unit_rows(self, items: Int32[np.ndarray, " items"]) -> Float32[np.ndarray, "items dim"]:
        """The vectors of some items, scaled to length 1."""
        n_rows = shapes.result_bucket(len(items), self.vocabulary_size)
        padded = np.pad(items, (0, n_rows - len(items)))
        rows = similarity.unit_rows(self._vectors_of_content, padded)
        return np.concatenate([np.asarray(member) for member in rows], axis=1)[: len(items)]

    @shared_property
    def _popularity(self) -> Array:
        if self.training_counts is None:
            message = "the popularity dial needs the training counts of the items"
            raise RequestError(message, "leave popularity out, or give training_counts")
        return jnp.asarray(steering.popularity_vectors(self.training_counts, self.is_candidate))

    def _states(self, query: Query) -> search.States:
        """For each vector of ``vectors_of(query)`` the state per request, padded, on the device."""
        check_fork()
        n_rows = shapes.row_bucket(len(query))
        states = [jnp.asarray(member.states(query, n_rows)) for member in self.dense]
        if self.encoder_weight not in (0, 1):
            states[0] = scaled(states[0], np.float32(self.encoder_weight))
        if query.controls is not None:
            states += steering.steering_states(query.controls, n_rows, lambda: self._unit_vectors)
        return tuple(states)

    def _check_finite(self, states: search.States) -> None:
        """``_check_finite`` of all dense members. What steers a request is bounded."""
        _check_finite(states[: len(self.dense)], self._largest_of_vectors)

    @shared_property
    def _largest_of_vectors(self) -> Float32[Array, " members"]:
        return _largest_of(self.vectors)

    @shared_property
    def _encoder_vectors(self) -> search.Vectors:
        return _on_device([self.encoder])

    @shared_property
    def _largest_of_encoder(self) -> Float32[Array, " members"]:
        return _largest_of(self._encoder_vectors)

    def _check_size(self, size: int) -> None:
        if size != self.vocabulary_size:
            raise RequestError(
                f"a member has {size} items, but the model has {self.vocabulary_size}, special "
                "tokens included",
                "fit the members on the dataset that the model was trained on",
            )

    def _sparse_bonus(self, query: Query) -> SparseBonus | None:
        if not self.has_sparse_bonus:
            return None
        bonuses = [member.bonus(query) for member in self.sparse]
        for bonus in bonuses:
            self._check_size(int(bonus.get_shape()[1]))
        total = sparse.csr_matrix(sum(bonuses))
        rows = np.repeat(np.arange(len(query)), np.diff(total.indptr))
        return SparseBonus(rows, total.indices.astype(np.int64), total.data.astype(np.float32))

    def _dense_bonus(self, query: Query) -> Float32[np.ndarray, "rows vocabulary"] | None:
        if self.has_sparse_bonus or not self.sparse:
            return None
        n_rows = shapes.row_bucket(len(query))
        bonuses = [member.dense_bonus(query, n_rows) for member in self.sparse]
        for bonus in bonuses:
            self._check_size(bonus.shape[1])
        for bonus in bonuses[1:]:
            bonuses[0] += bonus
        return bonuses[0]

    def _end_scores(
        self, query: Query, encoded: EncodedQuery, temperature: float
    ) -> Float32[np.ndarray, " batch"]:
        """The score at which END has the probability that the encoder gives it."""
        temperature = max(temperature, MIN_TEMPERATURE)
        states, vectors = self._encoder_states(query, encoded), self._encoder_vectors
        alone = EncodedQuery(encoded.n, states, encoded.masks)
        rows = np.arange(encoded.n)
        scores = search.pair_scores(states, vectors, rows, np.full(encoded.n, END))
        if not self.members and self.encoder_weight == 1 and query.controls is None:
            return scores
        combined = search.log_normalisers(
            encoded, self.vectors_of(query), self.catalogue, temperature
        )
        encoder = search.log_normalisers(alone, vectors, self.catalogue, temperature)
        _check_finite(states, self._largest_of_encoder)
        return scores + np.float32(temperature) * (combined - encoder)

    def _encoder_states(self, query: Query, encoded: EncodedQuery) -> search.States:
        """The states of the encoder alone, without its weight."""
        if not self.encoder_weight:
            n_rows = encoded.masks.shape[1]
            return (jnp.asarray(self.encoder.states(query, n_rows)),)
        if self.encoder_weight == 1:
            return encoded.states[:1]
        return (encoded.states[0] / self.encoder_weight,)


def _on_device(members: Iterable[DenseMember]) -> search.Vectors:
    check_fork()
    return tuple(jnp.asarray(member.vectors) for member in members)


def _largest_of(vectors: search.Vectors) -> Float32[Array, " members"]:
    """The largest absolute value of the vectors of each dense member, on the device."""
    return jnp.stack([largest_value(member) for member in vectors])


def _check_finite(states: search.States, largest: Float32[Array, " members"]) -> None:
    """Check that no dense score of a block of requests can overflow.

    Called once the results are on the host, so that the device does not wait for the host in
    between. A NaN in them is harmless until then.

    Args:
        largest: the largest absolute value of the vectors of each dense member.

    Raises:
        NotFiniteError: one can, or a state or a vector is not finite.
    """
    if not np.isfinite(largest_score(states, largest)):
        raise NotFiniteError(*NOT_FINITE)
