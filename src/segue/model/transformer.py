"""The transformer: a causal transformer over item embeddings, with item and sequence features.

The configuration selects the architecture of SASRec (Kang and McAuley, 2018, "Self-Attentive
Sequential Recommendation"), of playlist-decoder (trecs) or another one of this form: token
embeddings plus learned position embeddings, then blocks of causal self-attention and a feed-forward
network, then a score for every row of the vocabulary by inner product.

The output of the model are hidden states, not scores. The losses and the search compute scores in
blocks, because the scores of all positions would not fit into memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int32, Key, Real

from segue.bfloat16 import to_float32
from segue.config import ModelConfig
from segue.features import NO_FEATURES, FeatureIds, FeatureSizes, ItemFeatures
from segue.model.blocks import (
    Block,
    BucketShapes,
    DropoutKeys,
    bucket_shapes,
    dropout,
    layer_norm,
)
from segue.model.embeddings import EmbeddingBag, initial_embeddings
from segue.model.heads import HEADS
from segue.model.kv_cache import KVCache, LayerCache


class Transformer(nnx.Module):
    """Hidden states for sequences of item indices.

    Item features are an argument of every method that reads them: they are data rather than
    parameters, and may be large.
    """

    def __init__(
        self,
        config: ModelConfig,
        vocabulary_size: int,
        sizes: FeatureSizes = NO_FEATURES.sizes,
        *,
        rngs: nnx.Rngs,
    ) -> None:
        """Create a model with random parameters.

        Args:
            vocabulary_size: number of special tokens and catalogue items.
            sizes: sizes of the features that the configuration names.
        """
        self.dropout_rate = config.dropout
        self.scale = config.width**0.5 if config.scale_embeddings else 1.0
        self.item_features_at = config.item_features_at
        precision = config.embedding_precision
        self.item_embeddings = initial_embeddings(
            vocabulary_size, config.width, config, rngs, precision
        )
        head_class = HEADS[config.head]
        output_width = head_class.output_width(config)
        self.untied_output_embeddings = (
            None
            if config.tied_output
            else initial_embeddings(vocabulary_size, output_width, config, rngs, precision)
        )
        self.position_embeddings = (
            initial_embeddings(config.context, config.width, config, rngs)
            if config.positions == "learned"
            else None
        )
        self.blocks = nnx.List([Block(config, rngs=rngs) for _ in range(config.layers)])
        self.final_norm = layer_norm(config.width, rngs) if config.norm == "pre" else None
        feature_width = (config.sequence_width or config.width) if config.sequence_features else 0
        self.item_feature_embeddings = (
            EmbeddingBag(
                sizes.n_item_feature_ids, sizes.item_vector_width, config.width, config, rngs=rngs
            )
            if config.item_features
            else None
        )
        self.sequence_feature_embeddings = (
            EmbeddingBag(sizes.n_sequence_feature_ids, 0, feature_width, config, rngs=rngs)
            if feature_width
            else None
        )
        self.head = head_class(config, feature_width, rngs=rngs)

    def __call__(
        self,
        tokens: Int32[Array, "batch length"],
        item_features: ItemFeatures | None = None,
        sequence_features: FeatureIds | None = None,
        key: Key[Array, ""] | None = None,
    ) -> Float[Array, "batch positions output_dim"]:
        """Hidden states: one per position, computed from the tokens up to and including it.

        With a head of one state per sequence, there is one position for all tokens.

        Args:
            tokens: item indices below ``vocabulary_size``, padded at the end with ``PAD``.
            item_features: features of the vocabulary, if the configuration names any.
            sequence_features: features of each sequence, if the configuration names any.
            key: the random key of dropout; without it nothing is dropped.
        """
        keys = DropoutKeys(key)
        x, sequence_vectors = self._input(tokens, item_features, sequence_features, keys)
        for block in self.blocks:
            x = block(x, keys)
        x = x if self.final_norm is None else self.final_norm(x)
        states = self.head(x, sequence_vectors)
        return states[:, None] if self.head.one_state_per_sequence else states

    def states_at(
        self,
        tokens: Int32[Array, "batch length"],
        positions: Int32[Array, " batch"],
        item_features: ItemFeatures | None = None,
        sequence_features: FeatureIds | None = None,
        key: Key[Array, ""] | None = None,
    ) -> Float[Array, "batch output_dim"]:
        """The hidden state at one position per row, which predicts the item after it.

        Equal to selecting from the states of all positions, but the last block computes only
        the selected ones. With a head of one state per sequence, ``positions`` is ignored.

        Args:
            positions: the position of each row.
        """
        if self.head.one_state_per_sequence:
            return self(tokens, item_features, sequence_features, key)[:, 0]
        keys = DropoutKeys(key)
        x, sequence_vectors = self._input(tokens, item_features, sequence_features, keys)
        for block in self.blocks[:-1]:
            x = block(x, keys)
        x = self.blocks[-1].at_positions(x, positions, keys)[:, 0]
        x = x if self.final_norm is None else self.final_norm(x)
        return self.head(x, sequence_vectors)

    def extend(
        self,
        tokens: Int32[Array, "batch length"],
        first: Int32[Array, " batch"],
        selected: Int32[Array, " batch"],
        cache: KVCache,
        item_features: ItemFeatures | None = None,
        sequence_features: FeatureIds | None = None,
    ) -> tuple[Float[Array, "batch output_dim"], KVCache]:
        """The hidden state of one of the tokens that follow the cached positions of each row.

        Equal to the state that ``states_at`` computes from all tokens of the row. Not for heads of
        one state per sequence, which need the states of all positions.

        Args:
            tokens: item indices below ``vocabulary_size``. Those after the last token of a row are
                padding; what the cache has of them is overwritten by the next tokens.
            first: the position of the first of the tokens of each row.
            selected: the index of the token of each row whose state is returned.
            cache: keys and values of the positions before ``first``, as returned by this method.

        Returns:
            The states, and the cache with the positions of the tokens.
        """
        positions = first[:, None] + jnp.arange(tokens.shape[1], dtype=first.dtype)[None]
        x, vectors = self._input(
            tokens, item_features, sequence_features, DropoutKeys(None), positions
        )
        longer = []
        for block, layer in zip(self.blocks, cache, strict=True):
            selects = tokens.shape[1] > 1 and len(longer) == len(cache) - 1
            x, longer_layer = block.extend(x, positions, layer, selected if selects else None)
            longer.append(longer_layer)
        x = x[:, 0] if self.final_norm is None else self.final_norm(x[:, 0])
        return self.head(x, vectors), tuple(longer)

    def states_of_buckets(
        self,
        tokens: Sequence[Int32[Array, "_rows _length"]],
        positions: Int32[Array, " batch"] | None = None,
        item_features: ItemFeatures | None = None,
        sequence_features: FeatureIds | None = None,
        key: Key[Array, ""] | None = None,
    ) -> Float[Array, "states output_dim"]:
        """Hidden states of rows in buckets of different lengths, in row-major order.

        Equal to the states of each bucket, but all layers except attention are computed for all
        buckets at once. A head of one state per sequence takes one bucket.

        Args:
            tokens: the item indices of each bucket, padded at the end with ``PAD``.
            positions: one position per row, over all buckets, whose state is returned; by default
                all states are.
            sequence_features: features of each row, over all buckets.
        """
        if len(tokens) == 1:
            inputs = (item_features, sequence_features, key)
            if positions is not None:
                return self.states_at(tokens[0], positions, *inputs)
            states = self(tokens[0], *inputs)
            return states.reshape(-1, states.shape[-1])
        keys, shapes = DropoutKeys(key), bucket_shapes(tokens)
        x, vectors = self._input_of_buckets(tokens, item_features, sequence_features, keys)
        for block in self.blocks[: None if positions is None else -1]:
            x = block(x, keys, shapes)
        if positions is None:
            vectors = None if vectors is None else _at_positions(vectors, shapes)
        else:
            x = self.blocks[-1].at_positions(x, positions, keys, shapes)
        x = x if self.final_norm is None else self.final_norm(x)
        return self.head(x, vectors)

    def output_embeddings_at(
        self, rows: Int32[Array, "*rows"], item_features: ItemFeatures | None = None
    ) -> Float[Array, "*rows output_dim"]:
        """The output embeddings of some rows of the vocabulary, in float32."""
        return self._embed(self._output_parameter, rows, item_features, "output")

    def output_embeddings(
        self, item_features: ItemFeatures | None = None
    ) -> Real[Array, "vocabulary output_dim"]:
        """The output embeddings: a hidden state times these are the scores of all items.

        Without item features at the output they are the parameter itself, in the precision in
        which it is stored.
        """
        embeddings = self._output_parameter[...]
        embedding_bag = self._embedding_bag("output")
        if embedding_bag is None or item_features is None:
            return embeddings
        is_trained = jnp.asarray(item_features.is_trained)[:, None]
        embeddings = to_float32(embeddings) * is_trained
        return embeddings + embedding_bag(
            item_features.feature_ids, jnp.asarray(item_features.vectors)
        )

    def empty_cache(self, n_rows: int, n_slots: int) -> KVCache:
        """A key-value cache without positions.

        Args:
            n_slots: the largest number of positions, at most the context.
        """
        width = self.item_embeddings.shape[1]
        layers = [
            jnp.zeros((n_rows, block.attention.heads, n_slots, width // block.attention.heads))
            for block in self.blocks
        ]
        return tuple(LayerCache(zeros, zeros) for zeros in layers)

    @property
    def output_width(self) -> int:
        """Dimensions of the hidden states that are scored, and of the output embeddings."""
        return self._output_parameter.shape[1]

    @property
    def vocabulary_size(self) -> int:
        """Rows of the item embeddings: special tokens and catalogue items."""
        return self.item_embeddings.shape[0]

    def _input(
        self,
        tokens: Int32[Array, "batch length"],
        item_features: ItemFeatures | None,
        sequence_features: FeatureIds | None,
        keys: DropoutKeys,
        positions: Int32[Array, "batch length"] | None = None,
    ) -> tuple[Float[Array, "batch length dim"], Float[Array, "batch feature_dim"] | None]:
        """The input of the first block, and the vector of each row's sequence features.

        Args:
            positions: the position of each token; by default 0, 1, 2, ...
        """
        x = self._embed(self.item_embeddings, tokens, item_features, "input") * self.scale
        if self.position_embeddings is not None:
            embeddings = self.position_embeddings[...]
            x = x + self.scale * (
                embeddings[None, : tokens.shape[1]]
                if positions is None
                else embeddings.at[positions].get(mode="clip")
            )
        vectors = None
        if self.sequence_feature_embeddings is not None and sequence_features is not None:
            vectors = self.sequence_feature_embeddings(sequence_features)
            if not self.head.joins_sequence_features:
                x = x + vectors[:, None] * self.scale
        return dropout(x, self.dropout_rate, keys()), vectors

    def _input_of_buckets(
        self,
        tokens: Sequence[Int32[Array, "_rows _length"]],
        item_features: ItemFeatures | None,
        sequence_features: FeatureIds | None,
        keys: DropoutKeys,
    ) -> tuple[Float[Array, "position dim"], Float[Array, "batch feature_dim"] | None]:
        """The same for rows in buckets, with the positions of all buckets end to end."""
        shapes = bucket_shapes(tokens)
        flat = jnp.concatenate([array.reshape(-1) for array in tokens])
        x = self._embed(self.item_embeddings, flat, item_features, "input") * self.scale
        if self.position_embeddings is not None:
            embeddings = self.position_embeddings[...]
            indices = np.concatenate([np.tile(np.arange(length), rows) for rows, length in shapes])
            x = x + embeddings[indices] * self.scale
        vectors = None
        if self.sequence_feature_embeddings is not None and sequence_features is not None:
            vectors = self.sequence_feature_embeddings(sequence_features)
            x = x + _at_positions(vectors, shapes) * self.scale
        return dropout(x, self.dropout_rate, keys()), vectors

    @property
    def _output_parameter(self) -> nnx.Param:
        return (
            self.item_embeddings
            if self.untied_output_embeddings is None
            else self.untied_output_embeddings
        )

    def _embedding_bag(self, side: Literal["input", "output"]) -> EmbeddingBag | None:
        """The item feature embeddings, if they are used on this side of the model."""
        return self.item_feature_embeddings if self.item_features_at in (side, "both") else None

    def _embed(
        self,
        embeddings: nnx.Param,
        rows: Int32[Array, "*rows"],
        item_features: ItemFeatures | None,
        side: Literal["input", "output"],
    ) -> Float[Array, "*rows dim"]:
        """The embeddings of some rows of the vocabulary, plus those of their features."""
        vectors = to_float32(embeddings[...][rows])
        embedding_bag = self._embedding_bag(side)
        if embedding_bag is None or item_features is None:
            return vectors
        vectors = vectors * jnp.asarray(item_features.is_trained)[rows][..., None]
        feature_ids = FeatureIds(*(jnp.asarray(array)[rows] for array in item_features.feature_ids))
        return vectors + embedding_bag(feature_ids, jnp.asarray(item_features.vectors)[rows])


def _at_positions(
    rows: Float[Array, "batch feature_dim"], shapes: BucketShapes
) -> Float[Array, "position feature_dim"]:
    """The vector of each row at every position of the row."""
    lengths = np.concatenate([np.full(n_rows, length) for n_rows, length in shapes])
    return rows[np.repeat(np.arange(len(lengths)), lengths)]
