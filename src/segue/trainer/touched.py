"""The rows of the item tables that a step touches, apart from all the others.

A sampled loss reads the rows of a batch's tokens, labels and negatives, a few thousand of
perhaps millions. They are taken out as a small table; the model, the loss and the optimizer
run on it as they would on the whole one; then the rows are put back in place. Memory and
time do not depend on the size of the catalogue.
"""

from __future__ import annotations

import itertools
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int32

from segue.axes import INDEX_DTYPE, PAD
from segue.features import ItemFeatures
from segue.optimizers import is_of_table

Tree = TypeVar("Tree")


class TouchedRows:
    """The different rows among some, in rising order; ``PAD`` is always the first."""

    def __init__(self, tokens: list[Int32[Array, "..."]], table_size: int) -> None:
        """Find them, inside a compiled function.

        Args:
            tokens: rows of the item table; ``inside`` has them in the same shapes.
        """
        self._size = table_size
        flat = jnp.concatenate([jnp.full(1, PAD, INDEX_DTYPE), *map(jnp.ravel, tokens)])
        # Fewer than there is room for: the rest are numbers past the end, which are neither
        # read nor written.
        self.rows, places = jnp.unique(
            flat, size=min(len(flat), table_size), fill_value=table_size, return_inverse=True
        )
        ends = itertools.accumulate((each.size for each in tokens), initial=1)
        self.inside = [
            places[begin:][: each.size].reshape(each.shape).astype(INDEX_DTYPE)
            for begin, each in zip(ends, tokens, strict=False)
        ]
        """The tokens as rows of the small table; ``PAD`` is still ``PAD``."""

    def take(self, tree: Tree) -> Tree:
        """A tree with the touched rows only of whatever belongs to an item table."""

        def rows_of(path: tuple[Any, ...], leaf: Array) -> Array:
            return leaf.at[self.rows].get(mode="fill", fill_value=0) if is_of_table(path) else leaf

        return jax.tree_util.tree_map_with_path(rows_of, tree)

    def take_features(self, features: ItemFeatures | None) -> ItemFeatures | None:
        """What is known of the touched rows."""
        if features is None:
            return None
        return jax.tree.map(lambda part: part.at[self.rows].get(mode="clip"), features)

    def put(self, whole: Tree, part: Tree, is_good: Bool[Array, ""]) -> Tree:
        """The whole tree with a part put back; as it was, unless ``is_good``.

        Nothing is copied where the whole tree is donated.
        """
        written = jnp.where(is_good, self.rows, self._size)

        def put_one(path: tuple[Any, ...], old: Array, new: Array) -> Array:
            if not is_of_table(path):
                return jnp.where(is_good, new, old)
            return old.at[written].set(new, mode="drop")

        return jax.tree_util.tree_map_with_path(put_one, whole, part)
