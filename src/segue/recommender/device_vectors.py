"""Item vectors of dense members on the device, and the check that their scores are finite."""

from __future__ import annotations

from collections.abc import Iterable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32

from segue.bfloat16 import largest_value
from segue.errors import NotFiniteError
from segue.machine import check_fork
from segue.recommender.members import DenseMember
from segue.recommender.search_kernels import States, Vectors, largest_score

NOT_FINITE = (
    "the scores of the model are not finite",
    "its training diverged: train again with a lower optimizer.learning_rate",
)
"""Message and hint of the error about such scores."""


def on_device(members: Iterable[DenseMember]) -> Vectors:
    """For each member its item vectors, in the precision in which they are stored."""
    check_fork()
    return tuple(jnp.asarray(member.vectors) for member in members)


def largest_of(vectors: Vectors) -> Float32[Array, " members"]:
    """The largest absolute value of the vectors of each dense member, on the device."""
    return jnp.stack([largest_value(member) for member in vectors])


def check_finite(states: States, largest: Float32[Array, " members"]) -> None:
    """Check that no dense score of a block of requests can overflow.

    Called once the results are on the host, so that the device does not wait for the host in
    between. A NaN in them is harmless until then.

    Args:
        states: for each dense member its state per request.
        largest: the largest absolute value of the vectors of each dense member.

    Raises:
        NotFiniteError: one can, or a state or a vector is not finite.
    """
    if not np.isfinite(largest_score(states, largest)):
        raise NotFiniteError(*NOT_FINITE)
