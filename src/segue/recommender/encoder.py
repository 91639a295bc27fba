"""The encoder: histories and sequence features to hidden states."""

from __future__ import annotations

from functools import cached_property, partial

import jax
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int32, Real

from segue.batches import PromptLayout
from segue.config import ModelConfig
from segue.features import FeatureIds, Features, ItemFeatures, SequenceVocabulary
from segue.model import HEADS, Transformer
from segue.ranking import Query
from segue.recommender.members import DenseMember
from segue.recommender.shapes import length_bucket


def prompt_layout(config: ModelConfig, vocabulary_size: int) -> PromptLayout:
    """The layout of the input tokens of a model, in training and in serving.

    Args:
        vocabulary_size: number of special tokens and catalogue items.
    """
    left_padding = HEADS[config.head].left_padding
    return PromptLayout(config.context, vocabulary_size, config.start, config.end, left_padding)


class Encoder(DenseMember):
    """A trained transformer with its prompt layout and features: a dense ensemble member.

    All inputs and outputs are in the model's own item indices.

    Attributes:
        layout: layout of the model's input tokens.
        vocabulary: the sequence features that the model uses, with their values.
    """

    name = "transformer"

    def __init__(
        self,
        graph: nnx.GraphDef[Transformer],
        params: nnx.State,
        layout: PromptLayout,
        features: Features,
    ) -> None:
        self._graph = graph
        self._params = params
        self._item_features = jax.device_put(features.items)
        self.layout = layout
        self.vocabulary: SequenceVocabulary = features.vocabulary

    def states(self, query: Query, n_rows: int) -> Float[Array, "rows dim"]:
        """The hidden state that predicts the next item of each history, on the device.

        Args:
            query: at most ``n_rows`` requests.
            n_rows: number of rows of the result; those beyond the requests are padding.
        """
        tokens, last = self.layout.prompts(query.histories)
        if not self.layout.left_padding:
            tokens = tokens[:, : length_bucket(int(last.max(initial=0)) + 1, self.layout.context)]
        features = query.sequence_features
        feature_ids = self.vocabulary.encode([{}] * len(query) if features is None else features)
        padding = ((0, n_rows - len(query)), (0, 0))
        return _states_at(
            self._graph,
            self._params,
            self._item_features,
            np.pad(tokens, padding),
            np.pad(last, padding[0]),
            FeatureIds(*(np.pad(array, padding) for array in feature_ids)),
        )

    @cached_property
    def vectors(self) -> Real[Array, "vocabulary dim"]:
        """The output embeddings: scores are their inner products with hidden states.

        They are in the precision in which the model stores them.
        """
        if self._item_features is None:
            # Outside of jit, since a compiled function would return a copy.
            return self.model().output_embeddings()
        return _output_embeddings(self._graph, self._params, self._item_features)

    def model(self) -> Transformer:
        """The transformer with its weights."""
        return nnx.merge(self._graph, self._params)

    @property
    def item_features(self) -> ItemFeatures | None:
        """Item features on the device; None if the model uses none."""
        return self._item_features


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
