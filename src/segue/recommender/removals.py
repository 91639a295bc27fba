"""Hidden states of a history without each of its events, from keys and values of shared prefixes.

Without an event, the tokens are those of the history without its last event up to the removed one,
and those of the history without its first event after it. So all shortened histories start like the
first of these two, whose keys and values are computed once, and each needs the positions after the
removed event only. This holds within the context and beyond it, where an older event moves in.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Float32, Int32

from segue.batches import PromptLayout
from segue.features import FeatureIds, ItemFeatures
from segue.model import StaticGraph
from segue.model.kv_cache import KVCache, LayerCache
from segue.ragged import Ragged
from segue.recommender import shapes

MIN_CONTEXT = 64
"""Shorter contexts are computed faster without sharing, in larger batches."""


class _SharedPrefix(LayerCache):
    """Keys and values of rows that all go on from the same position: those are written as one
    slice, which takes much less time than writing each position of each row."""

    def write(
        self,
        keys: Float[Array, "batch length heads head_dim"],
        values: Float[Array, "batch length heads head_dim"],
        positions: Int32[Array, "batch length"],
    ) -> LayerCache:
        """Put keys and values from the first position on."""
        written = [
            jax.lax.dynamic_update_slice_in_dim(slots, new.swapaxes(1, 2), positions[0, 0], axis=2)
            for slots, new in zip(self, (keys, values), strict=True)
        ]
        return LayerCache(*written)


def shares_prefixes(layout: PromptLayout, n_events: int) -> bool:
    """Whether ``states_without_events`` is the fastest way, and possible at all.

    With padding on the left every token moves with each event, so no prefix is shared.
    """
    is_long = n_events > shapes.suffix_lengths(layout.context)[0]
    return layout.context >= MIN_CONTEXT and is_long and not layout.left_padding


def states_without_events(
    graph: StaticGraph,
    params: nnx.State,
    item_features: ItemFeatures | None,
    layout: PromptLayout,
    history: Int32[np.ndarray, " events"],
    sequence_features: FeatureIds,
) -> Float32[np.ndarray, "removed dim"]:
    """The state of the last token of a history without each of its last ``context`` events.

    Args:
        graph: the transformer, of a head with a state per position.
        params: its weights.
        item_features: item features on the device; None if the model uses none.
        layout: layout of its input tokens, without padding on the left.
        history: item indices, oldest first; at least two.
        sequence_features: those of the history: one row.

    Returns:
        States in the order of the removed events, oldest first.
    """
    context = layout.context
    n_removed = min(len(history), context)
    without_first = np.delete(history, len(history) - n_removed)
    tokens, last = layout.prompts(Ragged.from_rows([history[:-1], without_first]))
    length = int(last[0]) + 1
    constants = (graph, params, item_features, sequence_features)
    cache = _keys_and_values(*constants, tokens[:1])
    # The number of tokens after each removed event, which differ from those of the prefix.
    n_after = np.arange(n_removed - 1, -1, -1)
    is_after = np.arange(context) >= length - n_after[:, None]
    shortened = np.where(is_after, tokens[1], tokens[0])
    states: list[np.ndarray] = []
    shortest = n_removed
    for suffix in shapes.suffix_lengths(context):
        # Removed events from the end back, as many as have no more than ``suffix`` tokens after.
        longest = int(np.searchsorted(-n_after, -suffix))
        first = max(0, length - suffix)
        size = shapes.suffix_rows(suffix, context)
        blocks = []
        for start in range(longest, shortest, size):
            rows = shortened[start : min(start + size, shortest)]
            window = np.pad(rows[:, first : first + suffix], ((0, size - len(rows)), (0, 0)))
            new = _states_after(*constants, cache, window, np.int32(first), np.int32(length - 1))
            blocks.append(np.asarray(new)[: len(rows)])
        states = [*blocks, *states]
        shortest = min(shortest, longest)
    return np.concatenate(states)


@partial(jax.jit, static_argnums=0)
def _keys_and_values(
    graph: StaticGraph,
    params: nnx.State,
    item_features: ItemFeatures | None,
    sequence_features: FeatureIds,
    tokens: Int32[Array, "1 context"],
) -> KVCache:
    """The keys and values of one row of tokens."""
    model, zero = graph.merge(params), jnp.zeros(1, jnp.int32)
    cache = model.empty_cache(1, tokens.shape[1])
    _, cache = model.extend(tokens, zero, zero, cache, item_features, sequence_features)
    return cache


@partial(jax.jit, static_argnums=0)
def _states_after(
    graph: StaticGraph,
    params: nnx.State,
    item_features: ItemFeatures | None,
    sequence_features: FeatureIds,
    cache: KVCache,
    tokens: Int32[Array, "rows suffix"],
    first: Int32[Array, ""],
    last: Int32[Array, ""],
) -> Float[Array, "rows dim"]:
    """The states at the position ``last`` of rows with the tokens from ``first`` on."""

    def of_all_rows(array: Array) -> Array:
        return jnp.broadcast_to(array, (len(tokens), *array.shape[1:]))

    positions = jnp.broadcast_to(first, len(tokens)), jnp.broadcast_to(last - first, len(tokens))
    caches, features = jax.tree.map(of_all_rows, (cache, sequence_features))
    caches = tuple(_SharedPrefix(*layer) for layer in caches)
    states, _ = graph.merge(params).extend(tokens, *positions, caches, item_features, features)
    return states
