"""A model together with all that it reads: from histories to hidden states."""

from __future__ import annotations

import math
from functools import cached_property, partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Float32, Int32, Real

from segue import retrieval
from segue.anatomy import Forward, trace
from segue.axes import END, Ragged
from segue.batches import Layout
from segue.bits import widened
from segue.errors import RequestError, RunError
from segue.features import Bag, Features, ItemFeatures, SequenceVocabulary
from segue.model import Transformer
from segue.ranking import Ranked
from segue.recommender.blend import Blend

HISTORIES_PER_BLOCK = 256
"""Histories encoded together at most."""


class Network:
    """A trained model, asked in its own indices.

    Attributes:
        layout: how it wants its tokens.
        vocabulary: what it can be told of a sequence.
    """

    def __init__(
        self,
        graph: nnx.GraphDef[Transformer],
        params: nnx.State,
        layout: Layout,
        features: Features,
        blend: Blend | None = None,
    ) -> None:
        self._graph = graph
        self._params = params
        self._features = features
        self._item_features = jax.device_put(features.items)
        self._blend = blend
        self.layout = layout
        self.vocabulary: SequenceVocabulary = features.vocabulary

    def blended_by(self, weight: float) -> Network:
        """The same model with another weight of the scores that it is blended with.

        Args:
            weight: in nats; 0 leaves the blend out for good.

        Raises:
            RequestError: the weight is out of range.
            RunError: the model is blended with nothing.
        """
        if not 0 <= weight < math.inf:
            raise RequestError(f"weight is {weight}, expected a number from 0 up", "16 is usual")
        if self._blend is None:
            raise RunError("the model is blended with nothing", "train it with blend.vectors")
        blend = self._blend._replace(weight=weight) if weight else None
        return Network(self._graph, self._params, self.layout, self._features, blend)

    def hidden(self, histories: Ragged, told: Bag) -> Float32[np.ndarray, "batch dim"]:
        """The state that predicts what follows each history.

        Args:
            told: what is known of each sequence; a row a history.
        """
        states = [
            self._hidden_block(histories.slice(begin, end), Bag(*(p[begin:end] for p in told)))
            for begin, end in _blocks(histories.n_rows)
        ]
        hidden = np.concatenate(states)
        if self._blend is None:
            return hidden
        return np.concatenate([hidden, self._blend.states(histories)], axis=1)

    def next_items(
        self, histories: Ragged, told: Bag, excluded: Ragged, k: int
    ) -> tuple[Ranked, Float32[np.ndarray, " batch"]]:
        """The ``k`` best next items of each history, and the score of its end."""
        hidden = self.hidden(histories, told)
        best = retrieval.top(hidden, self.output_table, excluded, k)
        return best, hidden @ np.asarray(widened(self.output_table[END]))

    @cached_property
    def output_table(self) -> Real[Array, "table dim"]:
        """What hidden states are multiplied with to score the items."""
        if self._item_features is None:
            # The table itself: from a compiled function it would come as a copy.
            table = nnx.merge(self._graph, self._params).output_table()
        else:
            table = _output_table(self._graph, self._params, self._item_features)
        if self._blend is None:
            return table
        return jnp.concatenate([widened(table), self._blend.vectors], axis=1)

    def traced(self) -> Forward:
        """One forward pass, traced for tables and pictures of the model."""
        told = self.vocabulary.encode([{}]) if self.vocabulary.values else None
        model = nnx.merge(self._graph, self._params)
        return trace(model, self.layout.context, self._item_features, told)

    def _hidden_block(self, histories: Ragged, told: Bag) -> Float32[np.ndarray, "batch dim"]:
        tokens, last = self.layout.prompts(histories)
        # Blocks of a power of two: few shapes, so little is compiled.
        missing = (1 << (len(tokens) - 1).bit_length()) - len(tokens)
        tokens, last = np.pad(tokens, ((0, missing), (0, 0))), np.pad(last, (0, missing))
        bag = Bag(*(np.pad(part, ((0, missing), (0, 0))) for part in told))
        hidden = _last(self._graph, self._params, self._item_features, tokens, last, bag)
        return np.asarray(hidden)[: histories.n_rows]


def _blocks(n: int) -> list[tuple[int, int]]:
    begins = range(0, n, HISTORIES_PER_BLOCK)
    return [(begin, min(begin + HISTORIES_PER_BLOCK, n)) for begin in begins]


@partial(jax.jit, static_argnums=0)
def _last(
    graph: nnx.GraphDef[Transformer],
    params: nnx.State,
    features: ItemFeatures | None,
    tokens: Int32[Array, "batch length"],
    last: Int32[Array, " batch"],
    told: Bag,
) -> Float[Array, "batch dim"]:
    return nnx.merge(graph, params).last(tokens, last, features, told)


@partial(jax.jit, static_argnums=0)
def _output_table(
    graph: nnx.GraphDef[Transformer], params: nnx.State, features: ItemFeatures | None
) -> Real[Array, "table dim"]:
    return nnx.merge(graph, params).output_table(features)
