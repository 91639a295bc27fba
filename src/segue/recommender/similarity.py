"""Similar items: the cosine of item vectors, by exact search."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int32

from segue.bfloat16 import to_float32
from segue.ragged import Ragged
from segue.ranking import Ranked
from segue.recommender import search
from segue.recommender.ensemble import Ensemble


@dataclass(frozen=True)
class SimilarItems:
    """Item vectors of length 1.

    Attributes:
        ensemble: the model.
        vectors: for each dense member its vectors, scaled so that those of all members together
            have the length 1; zeros stay zeros.
    """

    ensemble: Ensemble
    vectors: search.Vectors

    @classmethod
    def of(cls, ensemble: Ensemble) -> SimilarItems:
        """Scale the item vectors of a model."""
        return cls(ensemble, _scaled(ensemble.vectors))

    def top(self, items: Int32[np.ndarray, " batch"], k: int) -> Ranked:
        """The ``k`` items most similar to each item, without itself.

        Args:
            items: at most ``shapes.MAX_ROWS`` item indices.
        """
        itself = Ragged(np.arange(len(items) + 1), items)
        states = tuple(member[items] for member in self.vectors)
        query = search.query_of_states(states, self.ensemble.catalogue, [itself])
        return search.top(query, self.vectors, k)


@jax.jit
def _scaled(vectors: search.Vectors) -> search.Vectors:
    """The vectors in float32, divided by their length over all members."""
    in_float32 = [to_float32(member) for member in vectors]
    squares = [jnp.square(member).sum(axis=1, keepdims=True) for member in in_float32]
    lengths = jnp.sqrt(sum(squares[1:], start=squares[0]))
    scale = jnp.where(lengths > 0, 1 / jnp.maximum(lengths, jnp.finfo(jnp.float32).tiny), 0)
    return tuple(member * scale for member in in_float32)
