"""The transformer: a causal transformer over item embeddings.

Architecture of reference A (a decoder over tracks) and of SASRec (Kang and McAuley, 2018,
"Self-Attentive Sequential Recommendation"), by configuration: token embedding + learned
position embedding, then blocks of causal self-attention and a feed-forward network, then a
score for every row of the item table by inner product.

The model ends at the hidden states. What turns them into a loss or a ranked list knows how
to do that without ever holding the scores of all positions (``losses``, ``retrieval``).
"""

from __future__ import annotations

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int32, Key, Real

from segue.bits import widened
from segue.config import ModelConfig
from segue.features import Bag, FeatureSizes, ItemFeatures
from segue.model.blocks import ACTIVATIONS, Block, Keys, dropout
from segue.model.embeddings import CodeSums, fresh_table

NO_FEATURES = FeatureSizes()


class FlattenHead(nnx.Module):
    """A dense layer over the states of all positions laid side by side (reference B).

    What is told of the sequence is joined to each position's state.
    """

    def __init__(self, config: ModelConfig, told_width: int, *, rngs: nnx.Rngs) -> None:
        self.activation = "relu"  # held so that tables and pictures of the model show it
        inputs = config.context * (config.width + told_width)
        scale = config.initial_scale
        bound = nnx.initializers.uniform(2 * scale)
        kernel = (
            (lambda key, shape, dtype: bound(key, shape, dtype) - scale)
            if config.initialisation == "uniform"
            else nnx.initializers.lecun_normal()
        )
        self.dense = nnx.Linear(inputs, config.head_width, kernel_init=kernel, rngs=rngs)

    def __call__(
        self, x: Float[Array, "batch length dim"], told: Float[Array, "batch told"] | None
    ) -> Float[Array, "batch head"]:
        if told is not None:
            every = jnp.broadcast_to(told[:, None], (*x.shape[:2], told.shape[1]))
            x = jnp.concatenate([x, every], axis=-1)
        return ACTIVATIONS[self.activation](self.dense(x.reshape(len(x), -1)))


class Transformer(nnx.Module):
    """Hidden states for sequences of item indices.

    Features of the items are an argument of every method that needs them: they are data,
    not parameters, and may be large.
    """

    def __init__(
        self,
        config: ModelConfig,
        table_size: int,
        sizes: FeatureSizes = NO_FEATURES,
        *,
        rngs: nnx.Rngs,
    ) -> None:
        """Make a fresh model.

        Args:
            table_size: rows of the item table: the special tokens and the catalogue.
            sizes: of the features that the configuration names.
        """
        self.rate = config.dropout
        self.scale = config.width**0.5 if config.scale_embeddings else 1.0
        self.features_at = config.item_features_at
        precision = config.table_precision
        self.item_table = fresh_table(table_size, config.width, config, rngs, precision)
        flattens = config.head == "flatten"
        out_width = config.head_width if flattens else config.width
        tied, learned = config.tied_output, config.positions == "learned"
        self.free_output = (
            None if tied else fresh_table(table_size, out_width, config, rngs, precision)
        )
        self.position_table = (
            fresh_table(config.context, config.width, config, rngs) if learned else None
        )
        self.blocks = nnx.List([Block(config, rngs=rngs) for _ in range(config.layers)])
        self.final_norm = nnx.LayerNorm(config.width, rngs=rngs) if config.norm == "pre" else None
        told_width = (config.sequence_width or config.width) if config.sequence_features else 0
        self.item_codes = (
            CodeSums(sizes.item_codes, sizes.item_numbers, config.width, config, rngs=rngs)
            if config.item_features
            else None
        )
        self.sequence_codes = (
            CodeSums(sizes.sequence_codes, 0, told_width, config, rngs=rngs) if told_width else None
        )
        self.head = FlattenHead(config, told_width, rngs=rngs) if flattens else None

    def __call__(
        self,
        tokens: Int32[Array, "batch length"],
        features: ItemFeatures | None = None,
        told: Bag | None = None,
        key: Key[Array, ""] | None = None,
    ) -> Float[Array, "batch positions dim"]:
        """Hidden state at every position, from the tokens up to and including it.

        The head ``flatten`` has one state for all positions.

        Args:
            tokens: item indices below ``table_size``, padded at the end with ``PAD``.
            features: of the items, where the configuration names some.
            told: of the sequences, where the configuration names some.
            key: the source of dropout's randomness; no dropout without it.
        """
        keys = Keys(key)
        x, known = self._inputs(tokens, features, told, keys)
        for block in self.blocks:
            x = block(x, keys)
        x = x if self.final_norm is None else self.final_norm(x)
        return x if self.head is None else self.head(x, known)[:, None]

    def last(
        self,
        tokens: Int32[Array, "batch length"],
        positions: Int32[Array, " batch"],
        features: ItemFeatures | None = None,
        told: Bag | None = None,
        key: Key[Array, ""] | None = None,
    ) -> Float[Array, "batch dim"]:
        """The state that predicts what follows the token at one position of each row.

        The same as at that position of all states, but of the last block, where no position
        is looked at by another, only this one is computed.
        """
        if self.head is not None:
            return self(tokens, features, told, key)[:, 0]
        keys = Keys(key)
        x, _ = self._inputs(tokens, features, told, keys)
        for block in self.blocks[:-1]:
            x = block(x, keys)
        x = self.blocks[-1].at(x, positions, keys)[:, 0]
        return x if self.final_norm is None else self.final_norm(x)

    def output_rows(
        self, rows: Int32[Array, "*rows"], features: ItemFeatures | None = None
    ) -> Float[Array, "*rows dim"]:
        """What hidden states are multiplied with to score some rows of the item table."""
        return self._vectors(self._output, rows, features, "output")

    def output_table(self, features: ItemFeatures | None = None) -> Real[Array, "table dim"]:
        """The same for the whole item table; in half the bits where it is kept so."""
        table = self._output[...]
        codes = self._codes_at("output")
        if codes is None or features is None:
            return table
        table = widened(table) * jnp.asarray(features.is_trained)[:, None]
        return table + codes(features.bag, jnp.asarray(features.vectors))

    @property
    def n_rows(self) -> int:
        """Rows of the item table, special tokens included."""
        return self.item_table.shape[0]

    def _inputs(
        self,
        tokens: Int32[Array, "batch length"],
        features: ItemFeatures | None,
        told: Bag | None,
        keys: Keys,
    ) -> tuple[Float[Array, "batch length dim"], Float[Array, "batch told"] | None]:
        """What enters the first block, and the vector of what is told of each sequence."""
        x = self._vectors(self.item_table, tokens, features, "input") * self.scale
        if self.position_table is not None:
            x = x + self.position_table[...][None, : tokens.shape[1]] * self.scale
        known = None
        if self.sequence_codes is not None and told is not None:
            known = self.sequence_codes(told)
            if self.head is None:
                x = x + known[:, None] * self.scale
        return dropout(x, self.rate, keys()), known

    @property
    def _output(self) -> nnx.Param:
        return self.item_table if self.free_output is None else self.free_output

    def _codes_at(self, where: str) -> CodeSums | None:
        return self.item_codes if self.features_at in (where, "both") else None

    def _vectors(
        self,
        table: nnx.Param,
        rows: Int32[Array, "*rows"],
        features: ItemFeatures | None,
        where: str,
    ) -> Float[Array, "*rows dim"]:
        vectors = widened(table[...][rows])
        codes = self._codes_at(where)
        if codes is None or features is None:
            return vectors
        vectors = vectors * jnp.asarray(features.is_trained)[rows][..., None]
        bag = Bag(*(jnp.asarray(part)[rows] for part in features.bag))
        return vectors + codes(bag, jnp.asarray(features.vectors)[rows])
