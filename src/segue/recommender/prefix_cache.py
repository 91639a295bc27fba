"""Hidden states of histories that grow: keys and values of the last query are kept.

A new event costs one position of the transformer instead of the whole context. Positions of the
context are absolute, so keys and values hold only while the window does not move. Which tokens it
has depends on the length of the history alone (``PromptLayout.first_tokens``), so the states are
those of the encoder without a cache. Beyond the context, a window that moves by several events at
a time is computed again once it has moved. One that moves with every event is encoded without a
cache, since nothing of it can be kept.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int32, Int64

from segue.batches import PromptLayout
from segue.features import FeatureIds, ItemFeatures
from segue.model import StaticGraph
from segue.model.kv_cache import KVCache
from segue.ragged import Ragged
from segue.recommender import shapes
from segue.recommender.padding import padded_rows


class _Stored(NamedTuple):
    """What is kept of the histories of the last query.

    Attributes:
        first: index of the first token of the window of each row.
        tokens: the tokens of each window, padded at the end.
        counts: number of tokens of each window that are in the cache.
        features: the sequence features of each row.
        states: the state of the last token of each row, on the device, with padding rows.
        cache: keys and values of the tokens, on the device, with padding rows.
    """

    first: Int64[np.ndarray, " batch"]
    tokens: Int32[np.ndarray, "batch context"]
    counts: Int64[np.ndarray, " batch"]
    features: FeatureIds
    states: Float[Array, "rows dim"]
    cache: KVCache


class _Chunk(NamedTuple):
    """Tokens that are added to a cache together.

    Attributes:
        tokens: the next tokens of each row, padded at the end.
        first: the position of the first one.
        n_new: the number of tokens that a row has from there on, which may be more or none.
    """

    tokens: Int32[Array | np.ndarray, "rows length"]
    first: Int32[Array | np.ndarray, " rows"]
    n_new: Int32[Array | np.ndarray, " rows"]


class PrefixCache:
    """Keys and values of the histories of the last query. Not for several threads at a time."""

    def __init__(
        self,
        graph: StaticGraph,
        params: nnx.State,
        item_features: ItemFeatures | None,
        layout: PromptLayout,
    ) -> None:
        """Create it empty.

        Args:
            graph: the transformer, of a head with a state per position.
            params: its weights.
            item_features: item features on the device; None if the model uses none.
            layout: layout of its input tokens, without padding on the left.
        """
        self._graph = graph
        self._params = params
        self._item_features = item_features
        self._layout = layout
        self._stored: _Stored | None = None

    def states(
        self, histories: Ragged, features: FeatureIds, n_rows: int
    ) -> Float[Array, "rows dim"]:
        """The state of the last token of each history, on the device.

        Where a history starts with that of the same row of the last call, only what is new is
        computed. The results do not depend on the other rows.

        Args:
            histories: at most ``n_rows`` histories.
            features: the sequence features of each.
            n_rows: number of rows of the result; those beyond the histories are padding.
        """
        # An empty history without START is one token of PAD.
        lengths = np.diff(histories.offsets)
        totals = np.maximum(lengths + int(self._layout.start), 1)
        # Taken out, since its arrays on the device are used up below.
        stored, self._stored = self._stored, None
        first = self._layout.first_tokens(lengths)
        tokens, counts = self._tokens(histories, first), totals - first
        moves_on = np.flatnonzero((first > 0) & (self._layout.step == 1))
        if len(moves_on) == len(counts):
            return self._without_cache(tokens, counts, features, n_rows)
        is_kept = np.zeros(len(counts), bool)
        if stored is not None and _is_same_batch(stored, counts, features, n_rows):
            is_kept = _is_continued(stored, first, tokens, features)
            is_kept[moves_on] = True  # nothing of theirs is in the cache
        n_cached = counts.copy()
        n_cached[moves_on] = 0
        states, cache = self._encode_rows(stored, tokens, n_cached, features, is_kept, n_rows)
        if len(moves_on):
            n_few = shapes.moved_row_bucket(len(moves_on), n_rows)
            some = self._without_cache(
                tokens[moves_on], counts[moves_on], _rows_of(features, moves_on), n_few
            )
            rows = _beyond(moves_on, n_few, n_rows)
            states, _ = _replace_rows(states, (), (some, ()), rows)
        self._stored = _Stored(first, tokens, n_cached, features, states, cache)
        return states

    def _without_cache(
        self,
        tokens: Int32[np.ndarray, "batch context"],
        counts: Int64[np.ndarray, " batch"],
        features: FeatureIds,
        n_rows: int,
    ) -> Float[Array, "rows dim"]:
        """The state of the last token of each window."""
        return states_at(
            self._graph,
            self._params,
            self._item_features,
            padded_rows(tokens, n_rows),
            padded_rows((counts - 1).astype(np.int32), n_rows),
            FeatureIds(*(padded_rows(np.asarray(array), n_rows) for array in features)),
        )

    def _tokens(
        self, histories: Ragged, first: Int64[np.ndarray, " batch"]
    ) -> Int32[np.ndarray, "batch context"]:
        """The tokens of the window of each history from token ``first`` on."""
        starts, lengths = histories.offsets[:-1], np.diff(histories.offsets)
        context = self._layout.context
        return self._layout.tokens(histories.values, starts, lengths, first, context)

    def _encode_rows(
        self,
        stored: _Stored | None,
        tokens: Int32[np.ndarray, "batch context"],
        counts: Int64[np.ndarray, " batch"],
        features: FeatureIds,
        is_kept: Bool[np.ndarray, " batch"],
        n_rows: int,
    ) -> tuple[Float[Array, "rows dim"], KVCache]:
        """Compute the windows that are not kept from nothing, and what is new in the others."""
        moved = np.flatnonzero(~is_kept)
        if stored is None or len(moved) == len(counts):
            return self._encode(tokens, counts, features, n_rows)
        n_cached = np.where(is_kept, stored.counts, counts)
        states, cache = self._extend(
            tokens, n_cached, counts, features, stored.states, stored.cache
        )
        if not len(moved):
            return states, cache
        n_moved = shapes.moved_row_bucket(len(moved), n_rows)
        encoded = self._encode(tokens[moved], counts[moved], _rows_of(features, moved), n_moved)
        rows = _beyond(moved, n_moved, n_rows)
        return _replace_rows(states, cache, encoded, rows)

    def _encode(
        self,
        tokens: Int32[np.ndarray, "batch context"],
        counts: Int64[np.ndarray, " batch"],
        features: FeatureIds,
        n_rows: int,
    ) -> tuple[Float[Array, "rows dim"], KVCache]:
        """Compute windows from nothing."""
        states, cache = _nothing(self._graph, self._params, n_rows, self._layout.context)
        return self._extend(tokens, np.zeros_like(counts), counts, features, states, cache)

    def _extend(
        self,
        tokens: Int32[np.ndarray, "batch context"],
        n_cached: Int64[np.ndarray, " batch"],
        counts: Int64[np.ndarray, " batch"],
        features: FeatureIds,
        states: Float[Array, "rows dim"],
        cache: KVCache,
    ) -> tuple[Float[Array, "rows dim"], KVCache]:
        """Add the tokens ``n_cached`` to ``counts`` of each window, one or a chunk at a time."""
        n_rows = len(states)
        ids, weights = (padded_rows(np.asarray(array), n_rows) for array in features)
        while (n_left := int((counts - n_cached).max(initial=0))) > 0:
            length = 1 if n_left == 1 else shapes.chunk_length(self._layout.context)
            # What is beyond the last token of a row is padding, so it may be any token.
            columns = np.minimum(n_cached[:, None] + np.arange(length), self._layout.context - 1)
            chunk = _Chunk(
                padded_rows(np.take_along_axis(tokens, columns, axis=1), n_rows),
                padded_rows(n_cached.astype(np.int32), n_rows),
                padded_rows((counts - n_cached).astype(np.int32), n_rows),
            )
            states, cache = _extend(
                self._graph,
                self._params,
                chunk,
                states,
                cache,
                self._item_features,
                FeatureIds(ids, weights),
            )
            n_cached = np.minimum(n_cached + length, counts)
        return states, cache


def _is_same_batch(
    stored: _Stored, counts: Int64[np.ndarray, " batch"], features: FeatureIds, n_rows: int
) -> bool:
    """Whether the rows of a query can be compared with the stored ones."""
    return (
        len(stored.counts) == len(counts)
        and len(stored.states) == n_rows
        and stored.features.ids.shape == features.ids.shape
    )


def _is_continued(
    stored: _Stored,
    first: Int64[np.ndarray, " batch"],
    tokens: Int32[np.ndarray, "batch context"],
    features: FeatureIds,
) -> Bool[np.ndarray, " batch"]:
    """Which windows start with all that is stored of the same row."""
    is_new = np.arange(tokens.shape[1]) >= stored.counts[:, None]
    return (
        (first == stored.first)
        & ((tokens == stored.tokens) | is_new).all(axis=1)
        & (features.ids == stored.features.ids).all(axis=1)
        & (features.weights == stored.features.weights).all(axis=1)
    )


def _rows_of(features: FeatureIds, rows: Int64[np.ndarray, " some"]) -> FeatureIds:
    return FeatureIds(features.ids[rows], features.weights[rows])


def _beyond(
    rows: Int64[np.ndarray, " some"], n_some: int, n_rows: int
) -> Int32[np.ndarray, " padded"]:
    """Row indices with those of padding beyond the last row, which are dropped."""
    padded = np.pad(rows, (0, n_some - len(rows)), constant_values=n_rows)
    return padded.astype(np.int32)


@partial(jax.jit, static_argnums=(0, 2, 3))
def _nothing(
    graph: StaticGraph, params: nnx.State, n_rows: int, n_slots: int
) -> tuple[Float[Array, "rows dim"], KVCache]:
    """States of zero and a cache without positions."""
    model = graph.merge(params)
    return jnp.zeros((n_rows, model.output_width)), model.empty_cache(n_rows, n_slots)


@partial(jax.jit, static_argnums=0, donate_argnames="cache")
def _extend(
    graph: StaticGraph,
    params: nnx.State,
    chunk: _Chunk,
    states: Float[Array, "rows dim"],
    cache: KVCache,
    item_features: ItemFeatures | None,
    sequence_features: FeatureIds,
) -> tuple[Float[Array, "rows dim"], KVCache]:
    """Add a chunk to the cache, and replace the states of the rows whose last token is in it."""
    tokens, first, n_new = map(jnp.asarray, chunk)
    length = tokens.shape[1]
    new, cache = graph.merge(params).extend(
        tokens, first, jnp.clip(n_new - 1, 0, length - 1), cache, item_features, sequence_features
    )
    ends_here = (n_new >= 1) & (n_new <= length)
    return jnp.where(ends_here[:, None], new, states), cache


@partial(jax.jit, donate_argnames="cache")
def _replace_rows(
    states: Float[Array, "rows dim"],
    cache: KVCache,
    of_some: tuple[Float[Array, "moved dim"], KVCache],
    rows: Int32[Array, " moved"],
) -> tuple[Float[Array, "rows dim"], KVCache]:
    """Replace some rows of all arrays; indices beyond the last row are dropped."""
    return jax.tree.map(
        lambda array, new: array.at[rows].set(new, mode="drop"), (states, cache), of_some
    )


@partial(jax.jit, static_argnums=0)
def states_at(
    graph: StaticGraph,
    params: nnx.State,
    features: ItemFeatures | None,
    tokens: Int32[Array, "batch length"],
    last: Int32[Array, " batch"],
    sequence_features: FeatureIds,
) -> Float[Array, "batch dim"]:
    """The hidden state at the position ``last`` of each row, without a cache."""
    return graph.merge(params).states_at(tokens, last, features, sequence_features)
