"""Hidden states of histories that grow: keys and values of the last query are kept.

A new event costs one position of the transformer instead of the whole context. Positions of the
context are absolute, so keys and values hold only while the window of the last ``context`` tokens
does not move. Beyond the context it therefore moves in steps: when a history has outgrown it, the
window is moved on by ``slide_step`` events and computed again. Histories that are new are computed
from the last ``context`` tokens, as they are without a cache.
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


class _Stored(NamedTuple):
    """What is kept of the histories of the last query.

    Attributes:
        first: index of the first token of the window of each row.
        tokens: the tokens of each window, padded at the end.
        counts: number of tokens of each window.
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
        totals = np.maximum(np.diff(histories.offsets) + int(self._layout.start), 1)
        # Taken out, since its arrays on the device are used up below.
        stored, self._stored = self._stored, None
        if stored is None or not _is_same_batch(stored, totals, features, n_rows):
            first = np.maximum(totals - self._layout.context, 0)
            tokens, is_kept = self._tokens(histories, first), np.zeros(len(totals), bool)
        else:
            first, tokens, is_kept = self._windows(stored, histories, totals, features)
        counts = totals - first
        states, cache = self._encode_rows(stored, tokens, counts, features, is_kept, n_rows)
        self._stored = _Stored(first, tokens, counts, features, states, cache)
        return states

    def _tokens(
        self, histories: Ragged, first: Int64[np.ndarray, " batch"]
    ) -> Int32[np.ndarray, "batch context"]:
        """The tokens of the window of each history from token ``first`` on."""
        starts, lengths = histories.offsets[:-1], np.diff(histories.offsets)
        context = self._layout.context
        return self._layout.tokens(histories.values, starts, lengths, first, context)

    def _windows(
        self,
        stored: _Stored,
        histories: Ragged,
        totals: Int64[np.ndarray, " batch"],
        features: FeatureIds,
    ) -> tuple[
        Int64[np.ndarray, " batch"], Int32[np.ndarray, "batch context"], Bool[np.ndarray, " batch"]
    ]:
        """The first token of each window, its tokens, and whether what is stored of it holds."""
        context = self._layout.context
        tokens = self._tokens(histories, stored.first)
        is_new = np.arange(context) >= stored.counts[:, None]
        is_known = (
            ((tokens == stored.tokens) | is_new).all(axis=1)
            & (features.ids == stored.features.ids).all(axis=1)
            & (features.weights == stored.features.weights).all(axis=1)
        )
        step = shapes.slide_step(context)
        n_steps = -(-np.maximum(totals - stored.first - context, 0) // step)
        is_kept = is_known & (n_steps == 0)
        if is_kept.all():
            return stored.first, tokens, is_kept
        newest = np.maximum(totals - context, 0)
        first = np.where(is_known, stored.first + n_steps * step, newest)
        return first, self._tokens(histories, first), is_kept

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
        moved_features = FeatureIds(features.ids[moved], features.weights[moved])
        encoded = self._encode(tokens[moved], counts[moved], moved_features, n_moved)
        # Rows of padding have an index beyond the last row, and are dropped.
        rows = np.pad(moved, (0, n_moved - len(moved)), constant_values=n_rows)
        return _replace_rows(states, cache, encoded, rows.astype(np.int32))

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
        ids, weights = (_padded(np.asarray(array), n_rows) for array in features)
        while (n_left := int((counts - n_cached).max(initial=0))) > 0:
            length = 1 if n_left == 1 else shapes.chunk_length(self._layout.context)
            # What is beyond the last token of a row is padding, so it may be any token.
            columns = np.minimum(n_cached[:, None] + np.arange(length), self._layout.context - 1)
            chunk = _Chunk(
                _padded(np.take_along_axis(tokens, columns, axis=1), n_rows),
                _padded(n_cached.astype(np.int32), n_rows),
                _padded((counts - n_cached).astype(np.int32), n_rows),
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
    stored: _Stored, totals: Int64[np.ndarray, " batch"], features: FeatureIds, n_rows: int
) -> bool:
    """Whether the rows of a query can be compared with the stored ones."""
    return (
        len(stored.counts) == len(totals)
        and len(stored.states) == n_rows
        and stored.features.ids.shape == features.ids.shape
    )


def _padded(array: np.ndarray, n_rows: int) -> np.ndarray:
    """The array with rows of zeros at its end, ``n_rows`` in all."""
    if len(array) == n_rows:
        return array
    return np.pad(array, ((0, n_rows - len(array)), *((0, 0),) * (array.ndim - 1)))


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
