"""The encoder: histories and sequence features to hidden states."""

from __future__ import annotations

import math
from functools import cached_property, partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Float32, Int32, Real

from segue.batches import PromptLayout
from segue.bfloat16 import to_float32
from segue.config import ModelConfig
from segue.errors import RequestError, RunError
from segue.features import FeatureIds, Features, ItemFeatures, SequenceVocabulary
from segue.model import HEADS, Transformer
from segue.ragged import Ragged
from segue.ranking import Ranked
from segue.recommender import search
from segue.recommender.ensemble import PureSVD
from segue.tokens import END

HISTORIES_PER_BLOCK = 256
"""Largest number of histories in one forward pass."""


def prompt_layout(config: ModelConfig, vocabulary_size: int) -> PromptLayout:
    """The layout of the input tokens of a model, in training and in serving.

    Args:
        vocabulary_size: number of special tokens and catalogue items.
    """
    left_padding = HEADS[config.head].left_padding
    return PromptLayout(config.context, vocabulary_size, config.start, config.end, left_padding)


class Encoder:
    """A trained transformer with its prompt layout, features and ensemble member.

    All inputs and outputs are in the model's own item indices.

    Attributes:
        layout: layout of the model's input tokens.
        vocabulary: the sequence features that the model uses, with their values.
    """

    def __init__(
        self,
        graph: nnx.GraphDef[Transformer],
        params: nnx.State,
        layout: PromptLayout,
        features: Features,
        puresvd: PureSVD | None = None,
    ) -> None:
        self._graph = graph
        self._params = params
        self._features = features
        self._item_features = jax.device_put(features.items)
        self._puresvd = puresvd
        self.layout = layout
        self.vocabulary: SequenceVocabulary = features.vocabulary

    def with_puresvd_weight(self, weight: float) -> Encoder:
        """Return a copy of the encoder with another weight of the PureSVD ensemble member.

        Args:
            weight: in nats; 0 removes the member.

        Raises:
            RequestError: the weight is negative or not finite.
            RunError: the model has no PureSVD member.
        """
        if not 0 <= weight < math.inf:
            raise RequestError(f"weight is {weight}, expected a number from 0 up", "16 is usual")
        if self._puresvd is None:
            raise RunError(
                "the model has no PureSVD ensemble member",
                "train a model with ensemble.puresvd_factors above 0",
            )
        puresvd = self._puresvd._replace(weight=weight) if weight else None
        return Encoder(self._graph, self._params, self.layout, self._features, puresvd)

    def hidden(
        self, histories: Ragged, sequence_features: FeatureIds
    ) -> Float32[np.ndarray, "batch dim"]:
        """The hidden state that predicts the next item of each history.

        With a PureSVD ensemble member its states are appended as further dimensions.

        Args:
            histories: model item indices, oldest first.
            sequence_features: ids of the sequence features, one row per history.
        """
        states = [
            self._hidden_block(
                histories.slice(start, end),
                FeatureIds(*(array[start:end] for array in sequence_features)),
            )
            for start, end in _blocks(histories.n_rows)
        ]
        hidden = np.concatenate(states)
        if self._puresvd is None:
            return hidden
        return np.concatenate([hidden, self._puresvd.states(histories)], axis=1)

    def next_items(
        self, histories: Ragged, sequence_features: FeatureIds, excluded: Ragged, k: int
    ) -> tuple[Ranked, Float32[np.ndarray, " batch"]]:
        """The ``k`` best next items of each history, and the score of END."""
        hidden = self.hidden(histories, sequence_features)
        best = search.top(hidden, self.output_embeddings, excluded, k)
        return best, hidden @ np.asarray(to_float32(self.output_embeddings[END]))

    @cached_property
    def output_embeddings(self) -> Real[Array, "vocabulary dim"]:
        """Output embeddings, ensemble included: scores are their products with hidden states."""
        if self._item_features is None:
            # Outside of jit, since a compiled function would return a copy.
            embeddings = nnx.merge(self._graph, self._params).output_embeddings()
        else:
            embeddings = _output_embeddings(self._graph, self._params, self._item_features)
        if self._puresvd is None:
            return embeddings
        return jnp.concatenate([to_float32(embeddings), self._puresvd.vectors], axis=1)

    def model(self) -> Transformer:
        """The transformer with its weights."""
        return nnx.merge(self._graph, self._params)

    @property
    def item_features(self) -> ItemFeatures | None:
        """Item features on the device; None if the model uses none."""
        return self._item_features

    def _hidden_block(
        self, histories: Ragged, sequence_features: FeatureIds
    ) -> Float32[np.ndarray, "batch dim"]:
        tokens, last = self.layout.prompts(histories)
        # Pad the batch to a power of two, so that few shapes are compiled.
        n_padding = (1 << (len(tokens) - 1).bit_length()) - len(tokens)
        tokens, last = np.pad(tokens, ((0, n_padding), (0, 0))), np.pad(last, (0, n_padding))
        feature_ids = FeatureIds(
            *(np.pad(array, ((0, n_padding), (0, 0))) for array in sequence_features)
        )
        hidden = _states_at(
            self._graph, self._params, self._item_features, tokens, last, feature_ids
        )
        return np.asarray(hidden)[: histories.n_rows]


def _blocks(n: int) -> list[tuple[int, int]]:
    """Bounds of blocks of at most ``HISTORIES_PER_BLOCK`` rows."""
    starts = range(0, n, HISTORIES_PER_BLOCK)
    return [(start, min(start + HISTORIES_PER_BLOCK, n)) for start in starts]


@partial(jax.jit, static_argnums=0)
def _states_at(
    graph: nnx.GraphDef[Transformer],
    params: nnx.State,
    features: ItemFeatures | None,
    tokens: Int32[Array, "batch length"],
    last: Int32[Array, " batch"],
    sequence_features: FeatureIds,
) -> Float[Array, "batch dim"]:
    return nnx.merge(graph, params).states_at(tokens, last, features, sequence_features)


@partial(jax.jit, static_argnums=0)
def _output_embeddings(
    graph: nnx.GraphDef[Transformer], params: nnx.State, features: ItemFeatures | None
) -> Real[Array, "vocabulary dim"]:
    return nnx.merge(graph, params).output_embeddings(features)
