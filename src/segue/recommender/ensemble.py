"""``Ensemble``: the members of a trained model, from a batch of requests to lists and ranks.

The path of a request: ``encode`` turns it into one state per dense member, which stay on the
device, a bit mask of the items to leave out, and the bonus of the sparse members; ``search``
combines them. The score of an item is the sum over the members.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int32, Int64, UInt8
from scipy import sparse

from segue.controls import Controls
from segue.errors import RequestError
from segue.machine import check_fork
from segue.ragged import Ragged
from segue.ranking import Query, Ranked
from segue.recommender import search, shapes, steering
from segue.recommender.device_vectors import check_finite
from segue.recommender.end_scores import encoder_end_scores, ensemble_end_scores
from segue.recommender.ensemble_members import EnsembleMembers
from segue.recommender.masks import request_masks
from segue.recommender.reranking import rerank
from segue.recommender.search import EncodedQuery, SparseBonus
from segue.recommender.search_kernels import scaled
from segue.recommender.shared_property import shared_property
from segue.recommender.similarity import similar_items
from segue.tokens import INDEX_DTYPE


class NextItems(NamedTuple):
    """The best next items of each request, and the scores of END if requested."""

    ranked: Ranked
    end_scores: Float32[np.ndarray, " batch"] | None


class Ensemble(EnsembleMembers):
    """Members whose scores are added up: lists, ranks and scores of batches of requests."""

    def rows_per_caching_block(self, k: int) -> int:
        """Largest number of requests for ``k`` items in a query of a copy by ``caching``."""
        n_results = shapes.result_bucket(k, self.vocabulary_size)
        bytes_per_row = sum(encoder.cache_bytes_per_row for encoder in self.encoders)
        return min(
            self.rows_per_block(n_results),
            shapes.cached_rows(bytes_per_row),
        )

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
            query.controls, lambda: self._popularity, lambda: self.content.unit
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
        return rerank(query, best, self.content.unit_rows, self.vocabulary_size)

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
        unit = self.content.unit
        return similar_items(unit, self.catalogue, items, k, excluded=excluded, controls=controls)

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
        states = [_to_device(member.states(query, n_rows)) for member in self.dense]
        if self.encoder_weight not in (0, 1):
            states[0] = scaled(states[0], np.float32(self.encoder_weight))
        if query.controls is not None:
            states += steering.steering_states(query.controls, n_rows, lambda: self.content.unit)
        return tuple(states)

    def _check_finite(self, states: search.States) -> None:
        """``check_finite`` of all dense members. What steers a request is bounded."""
        check_finite(states[: len(self.dense)], self.largest_of_vectors)

    def _sparse_bonus(self, query: Query) -> SparseBonus | None:
        if not self.has_sparse_bonus:
            return None
        bonuses = [member.bonus(query) for member in self.sparse]
        for bonus in bonuses:
            self.check_size(int(bonus.get_shape()[1]))
        total = sparse.csr_matrix(sum(bonuses))
        rows = np.repeat(np.arange(len(query)), np.diff(total.indptr))
        return SparseBonus(rows, total.indices.astype(np.int64), total.data.astype(np.float32))

    def _dense_bonus(self, query: Query) -> Float32[np.ndarray, "rows vocabulary"] | None:
        if self.has_sparse_bonus or not self.sparse:
            return None
        n_rows = shapes.row_bucket(len(query))
        bonuses = [member.dense_bonus(query, n_rows) for member in self.sparse]
        for bonus in bonuses:
            self.check_size(bonus.shape[1])
        for bonus in bonuses[1:]:
            bonuses[0] += bonus
        return bonuses[0]

    def _end_scores(
        self, query: Query, encoded: EncodedQuery, temperature: float
    ) -> Float32[np.ndarray, " batch"]:
        """The score at which END has the probability that the encoder gives it."""
        vectors = self.encoder_vectors
        alone = EncodedQuery(encoded.n, self._encoder_states(query, encoded), encoded.masks)
        if not self.members and self.encoder_weight == 1 and query.controls is None:
            return encoder_end_scores(alone, vectors)
        scores = ensemble_end_scores(
            alone, vectors, encoded, self.vectors_of(query), self.catalogue, temperature
        )
        check_finite(alone.states, self.largest_of_encoder)
        return scores

    def _encoder_states(self, query: Query, encoded: EncodedQuery) -> search.States:
        """The states of the encoder alone, without its weight."""
        if not self.encoder_weight:
            n_rows = encoded.masks.shape[1]
            return (jnp.asarray(self.encoder.states(query, n_rows)),)
        if self.encoder_weight == 1:
            return encoded.states[:1]
        return (encoded.states[0] / self.encoder_weight,)


def _to_device(states: Float[Array | np.ndarray, "rows dim"]) -> Float[Array, "rows dim"]:
    """The states as they are if they are there already, which ``asarray`` takes long to notice."""
    return states if isinstance(states, jax.Array) else jnp.asarray(states)
