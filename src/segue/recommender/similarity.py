"""Similar items: the cosine of the vectors of an ensemble's members, by exact search."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32, Int32, UInt8

from segue.bfloat16 import to_float32
from segue.controls import Controls
from segue.ragged import Ragged
from segue.ranking import Ranked
from segue.recommender import search, shapes
from segue.recommender.device_vectors import check_finite, largest_of, on_device
from segue.recommender.members import DenseMember
from segue.recommender.search_kernels import Vectors


@jax.jit
def unit_vectors(vectors: Vectors) -> Vectors:
    """The vectors in float32, scaled so that those of all members together have the length 1.

    Zeros stay zeros.
    """
    in_float32 = _with_largest_near_one([to_float32(member) for member in vectors])
    squares = [jnp.square(member).sum(axis=1, keepdims=True) for member in in_float32]
    lengths = jnp.sqrt(sum(squares[1:], start=squares[0]))
    scale = jnp.where(lengths > 0, 1 / jnp.maximum(lengths, jnp.finfo(jnp.float32).tiny), 0)
    return tuple(member * scale for member in in_float32)


@jax.jit
def unit_rows(
    vectors: Vectors, items: Int32[Array, " items"]
) -> tuple[Float32[Array, "items _"], ...]:
    """``unit_vectors`` of some items only."""
    return unit_vectors(tuple(member[items] for member in vectors))


class ContentVectors:
    """The item vectors of some dense members, by which items are similar at any weight."""

    def __init__(self, members: Sequence[DenseMember]) -> None:
        """Nothing is computed yet.

        Args:
            members: dense members whose vectors have a direction.
        """
        self._members = members

    @cached_property
    def vectors(self) -> Vectors:
        """For each member its item vectors, on the device."""
        return on_device(self._members)

    @cached_property
    def unit(self) -> Vectors:
        """The vectors in float32, scaled so that those of all members together have the length 1.

        Raises:
            NotFiniteError: a vector is not finite.
        """
        zeros = tuple(jnp.zeros((1, member.shape[1])) for member in self.vectors)
        check_finite(zeros, largest_of(self.vectors))
        return unit_vectors(self.vectors)

    def unit_rows(self, items: Int32[np.ndarray, " items"]) -> Float32[np.ndarray, "items dim"]:
        """The rows of ``unit`` of some items, concatenated, without computing the others."""
        n_rows = shapes.result_bucket(len(items), len(self.vectors[0]))
        padded = np.pad(items, (0, n_rows - len(items)))
        rows = unit_rows(self.vectors, padded)
        return np.concatenate([np.asarray(member) for member in rows], axis=1)[: len(items)]


def _with_largest_near_one(vectors: list[Array]) -> list[Array]:
    """Scale the vectors of each item by a power of two, so that their squares do not overflow.

    A power of two changes no digit, hence no cosine.
    """
    largest = jnp.stack([jnp.abs(member).max(axis=1) for member in vectors]).max(axis=0)
    _, exponents = jnp.frexp(largest)
    return [jnp.ldexp(member, -exponents[:, None]) for member in vectors]


def similar_items(
    unit: Vectors,
    catalogue: UInt8[np.ndarray, " bytes"],
    items: Int32[np.ndarray, " batch"],
    k: int,
    *,
    excluded: Ragged | None = None,
    controls: Sequence[Controls] | None = None,
) -> Ranked:
    """The ``k`` items with the largest cosine to each item, without itself.

    Args:
        unit: for each dense member the vectors of ``unit_vectors``.
        catalogue: the mask of the items that are never returned.
        items: at most ``shapes.MAX_ROWS`` item indices.
        excluded: item indices that are not listed, one row per item.
        controls: of each item; what they do not allow is not listed.
    """
    left_out = [Ragged(np.arange(len(items) + 1), items)]
    if excluded is not None:
        left_out.append(excluded)
    states = tuple(member[items] for member in unit)
    return search.top(search.query_of_states(states, catalogue, left_out, controls), unit, k)
