"""A second transformer as a dense ensemble member, beside the encoder of the ensemble."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from segue.features import USER
from segue.ranking import Query
from segue.recommender.encoder import Encoder
from segue.recommender.members import DenseMember, Parameters, Window
from segue.recommender.search_kernels import scaled


@dataclass(frozen=True)
class SecondTransformer(DenseMember):
    """Another encoder of the same items, and the weight of its scores.

    Two transformers that read different things of a request make different errors, so their sum
    ranks better than either. One that reads the user depends on it: its scores for a user that it
    does not know are worse than none, so there are none.

    Attributes:
        encoder: the transformer.
        weight: factor on its scores.
        parameters: what it reads, for display.
    """

    encoder: Encoder
    weight: float
    parameters: Parameters = field(default_factory=dict)
    name: str = "second-transformer"

    @property
    def vectors(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The output embeddings of the encoder."""
        return self.encoder.vectors

    @property
    def needs_user(self) -> bool:
        """Whether it scores nothing in a request without a known user."""
        return USER in self.encoder.vocabulary.values

    def states(self, query: Query, n_rows: int) -> Float[Array, "rows dim"]:
        """The hidden states of the encoder, times the weight; zeros for unknown users.

        Nothing is computed for a batch without a known user.
        """
        weights = np.zeros((n_rows, 1), np.float32)
        weights[: len(query), 0] = self.weight * self.knows(query)
        if not weights.any():
            return _zeros(n_rows, self.encoder.vectors.shape[1])
        return scaled(self.encoder.states(query, n_rows), weights)

    def caching(self) -> SecondTransformer:
        """A copy for histories that grow; see ``Encoder.caching``."""
        return replace(self, encoder=self.encoder.caching())

    def with_window(self, window: Window) -> SecondTransformer:
        """A copy with another window; see ``Encoder.with_window``."""
        return replace(self, encoder=self.encoder.with_window(window))

    def knows(self, query: Query) -> Bool[np.ndarray, " batch"]:
        """Whether the encoder knows the user of each request, if it reads the user at all."""
        vocabulary, rows = self.encoder.vocabulary, query.sequence_features
        if not self.needs_user:
            return np.ones(len(query), bool)
        if rows is None:
            return np.zeros(len(query), bool)
        return np.array([not vocabulary.is_unknown(USER, row.get(USER)) for row in rows], bool)


@cache
def _zeros(n_rows: int, dim: int) -> Float[Array, "rows dim"]:
    """States of no request, kept on the device; there are as many as compiled numbers of rows."""
    return jnp.zeros((n_rows, dim))
