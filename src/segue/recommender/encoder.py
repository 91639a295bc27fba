"""The encoder: histories and sequence features to hidden states."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

import jax
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Float32, Int32, Real

from segue.batches import PromptLayout
from segue.config import ModelConfig
from segue.features import FeatureIds, Features, ItemFeatures, SequenceVocabulary
from segue.model import HEADS, StaticGraph, Transformer
from segue.ranking import Query
from segue.recommender import shapes
from segue.recommender.members import DenseMember, Window
from segue.recommender.padding import padded_rows
from segue.recommender.prefix_cache import PrefixCache, states_at
from segue.recommender.removals import states_without_events


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
        self._graph = StaticGraph(graph)
        self._params = params
        self._item_features = jax.device_put(features.items)
        self.layout = layout
        self.vocabulary: SequenceVocabulary = features.vocabulary
        self._prefix_cache: PrefixCache | None = None

    def caching(self) -> Encoder:
        """A copy for histories that grow; see ``PrefixCache``.

        Padding on the left moves every token with each event. Then nothing can be kept, and this
        is the encoder itself.
        """
        if not self.keeps_positions:
            return self
        encoder = copy(self)
        encoder._prefix_cache = PrefixCache(
            self._graph, self._params, self._item_features, self.layout
        )
        return encoder

    def with_window(self, window: Window) -> Encoder:
        """A copy that reads other tokens of histories longer than the context.

        Padding on the left leaves no choice: the window is the last ``context`` tokens.
        """
        is_moving = window == "moving" and not self.layout.left_padding
        step = shapes.slide_step(self.layout.context) if is_moving else 1
        encoder = copy(self)
        encoder.layout = replace(self.layout, step=step)
        encoder._prefix_cache = None
        return encoder

    @property
    def keeps_positions(self) -> bool:
        """Whether the positions of a history that grows stay the same."""
        return not self.layout.left_padding

    @cached_property
    def cache_bytes_per_row(self) -> int:
        """Memory of the keys and values of one history, with ``caching``."""
        if not self.keeps_positions:
            return 0
        cache = jax.eval_shape(lambda: self.model().empty_cache(1, self.layout.context))
        return sum(array.size * array.dtype.itemsize for array in jax.tree.leaves(cache))

    def states(self, query: Query, n_rows: int) -> Float[Array, "rows dim"]:
        """The hidden state that predicts the next item of each history, on the device.

        Args:
            query: at most ``n_rows`` requests.
            n_rows: number of rows of the result; those beyond the requests are padding.
        """
        features = query.sequence_features
        feature_ids = self.vocabulary.encode([{}] * len(query) if features is None else features)
        if self._prefix_cache is not None:
            return self._prefix_cache.states(query.histories, feature_ids, n_rows)
        tokens, last = self.layout.prompts(query.histories)
        if not self.layout.left_padding:
            tokens = tokens[
                :, : shapes.length_bucket(int(last.max(initial=0)) + 1, self.layout.context)
            ]
        return states_at(
            self._graph,
            self._params,
            self._item_features,
            padded_rows(tokens, n_rows),
            padded_rows(last, n_rows),
            FeatureIds(*(padded_rows(np.asarray(array), n_rows) for array in feature_ids)),
        )

    def states_without_events(
        self, history: Int32[np.ndarray, " events"], sequence_features: Mapping[str, Any]
    ) -> Float32[np.ndarray, "removed dim"]:
        """The state of a history without each of its last ``context`` events; see ``removals``.

        Args:
            history: item indices, oldest first.
            sequence_features: values by name.
        """
        feature_ids = self.vocabulary.encode([sequence_features])
        return states_without_events(
            self._graph, self._params, self._item_features, self.layout, history, feature_ids
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
        return self._graph.merge(self._params)

    @property
    def item_features(self) -> ItemFeatures | None:
        """Item features on the device; None if the model uses none."""
        return self._item_features


@partial(jax.jit, static_argnums=0)
def _output_embeddings(
    graph: StaticGraph, params: nnx.State, features: ItemFeatures | None
) -> Real[Array, "vocabulary dim"]:
    return graph.merge(params).output_embeddings(features)
