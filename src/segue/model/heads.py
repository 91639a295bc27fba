"""Heads: hidden states of the last block to the vectors that are scored against the items.

A score is the inner product of such a vector with an output embedding. ``HEADS`` maps the value
of ``model.head`` to its class. A new head is a subclass of ``Head``, listed in ``HEADS`` and in
``ModelConfig.head``.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from segue.config import ModelConfig
from segue.model.blocks import ACTIVATIONS


class Head(nnx.Module):
    """The interface of a head, and what it requires of the model's input.

    ``ModelConfig`` checks which settings a head can be combined with.

    Attributes:
        joins_sequence_features: whether the head itself takes the sequence features as input. If
            not, the model adds them to the input of every position.
        one_state_per_sequence: whether the head combines all positions into one vector, so that
            a sequence has one prediction and a training row must be a single target.
        left_padding: whether short prompts must be padded on the left up to the context.
    """

    joins_sequence_features: ClassVar[bool]
    one_state_per_sequence: ClassVar[bool]
    left_padding: ClassVar[bool]

    @abstractmethod
    def __init__(self, config: ModelConfig, feature_width: int, *, rngs: nnx.Rngs) -> None:
        """Create the head.

        Args:
            feature_width: dimensions of the sequence features; 0 without any.
        """

    @staticmethod
    @abstractmethod
    def output_width(config: ModelConfig) -> int:
        """Dimensions of the head's output and of the output embeddings."""

    @abstractmethod
    def __call__(
        self,
        states: Float[Array, "batch *positions dim"],
        sequence_features: Float[Array, "batch feature_dim"] | None,
    ) -> Float[Array, "batch *out_positions output_dim"]:
        """Vectors that are scored against the items.

        A head of one state per sequence takes the states of all positions and returns one vector
        per row. Any other head works per position, with or without an axis of positions.
        """


class InnerProductHead(Head):
    """Scores every hidden state directly against the output embeddings."""

    joins_sequence_features = False
    one_state_per_sequence = False
    left_padding = False

    def __init__(self, config: ModelConfig, feature_width: int, *, rngs: nnx.Rngs) -> None:
        """Create the head, which has no parameters."""

    @staticmethod
    def output_width(config: ModelConfig) -> int:
        """The width of the model."""
        return config.width

    def __call__(
        self,
        states: Float[Array, "batch *positions dim"],
        sequence_features: Float[Array, "batch feature_dim"] | None,  # noqa: ARG002 - part of the input
    ) -> Float[Array, "batch *positions dim"]:
        return states


class FlattenHead(Head):
    """A dense layer with ReLU over the concatenated states of all positions.

    The sequence features are joined to the state of each position.

    Source: next-movie (Recformers).
    """

    joins_sequence_features = True
    one_state_per_sequence = True
    left_padding = True

    def __init__(self, config: ModelConfig, feature_width: int, *, rngs: nnx.Rngs) -> None:
        # An attribute rather than a constant, so that summaries and pictures of the model show it.
        self.activation = "relu"
        inputs = config.context * (config.width + feature_width)
        scale = config.initial_scale
        uniform = nnx.initializers.uniform(2 * scale)
        kernel = (
            (lambda key, shape, dtype: uniform(key, shape, dtype) - scale)
            if config.initialisation == "uniform"
            else nnx.initializers.lecun_normal()
        )
        self.dense = nnx.Linear(inputs, config.head_width, kernel_init=kernel, rngs=rngs)

    @staticmethod
    def output_width(config: ModelConfig) -> int:
        """The width of the dense layer."""
        return config.head_width

    def __call__(
        self,
        states: Float[Array, "batch length dim"],
        sequence_features: Float[Array, "batch feature_dim"] | None,
    ) -> Float[Array, "batch head_dim"]:
        if sequence_features is not None:
            repeated = jnp.broadcast_to(
                sequence_features[:, None], (*states.shape[:2], sequence_features.shape[1])
            )
            states = jnp.concatenate([states, repeated], axis=-1)
        return ACTIVATIONS[self.activation](self.dense(states.reshape(len(states), -1)))


HEADS: dict[str, type[Head]] = {"inner-product": InnerProductHead, "flatten": FlattenHead}
"""The class of each head, by its name in the configuration."""
