"""Where sampled losses draw their negatives from."""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int32, Key

from segue.axes import END


class Negatives(NamedTuple):
    """A draw of negatives.

    Attributes:
        items: rows of the item table; the same row can come more than once.
        log_expected: log of how often each is expected in the draw.
    """

    items: Int32[Array, "*axes"]
    log_expected: Float[Array, "*axes"]


def uniform(key: Key[Array, ""], shape: tuple[int, ...], table_size: int) -> Negatives:
    """Draw from everything that can be a label, each row equally likely, with replacement.

    Args:
        shape: the last axis is the number of negatives of one draw.
        table_size: rows of the item table; END, UNK and the catalogue can be labels.
    """
    items = jax.random.randint(key, shape, END, table_size, dtype=jnp.int32)
    log_expected = math.log(shape[-1]) - math.log(table_size - END)
    return Negatives(items, jnp.full(shape, log_expected))
