"""The rows of the tables that a step touches, apart from all the others.

A sampled loss reads the rows of a batch's tokens, labels and negatives, a few thousand of
perhaps millions. They are taken out as a small table; the model, the loss and the optimizer
run on it as they would on the whole one; then the rows are put back in place. Memory and
time do not depend on the size of the catalogue.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int32, Key

from segue.axes import INDEX_DTYPE
from segue.batches import Batch
from segue.bits import halved_at_random, is_halved, widened
from segue.features import Bag, ItemFeatures
from segue.negatives import Negatives
from segue.optimizers import Table, table_of

Tree = TypeVar("Tree")


class Asked(NamedTuple):
    """What a step reads beside its state."""

    features: ItemFeatures | None
    batch: Batch
    negatives: Negatives | None


class TouchedRows:
    """The rows of each table that a step touches, those that stand for nothing first."""

    def __init__(self, params: Any) -> None:
        """Of a tree of parameters, none yet."""
        self._rows: dict[Table, Int32[Array, " rows"]] = {}
        self._sizes = {
            table: len(leaf)
            for path, leaf in jax.tree_util.tree_leaves_with_path(params)
            if (table := table_of(path)) is not None
        }

    def touch(
        self, table: Table, rows: Sequence[Int32[Array | np.ndarray, "..."]]
    ) -> list[Int32[Array, "..."]]:
        """Touch some rows of a table; row 0 always is.

        Returns:
            The same as rows of the small table, in the same shapes; 0 is still 0.
        """
        flat = jnp.concatenate([jnp.zeros(1, INDEX_DTYPE), *map(jnp.ravel, rows)])
        size = self._sizes[table]
        # Fewer than there is room for: the rest are numbers past the end, which are neither
        # read nor written.
        self._rows[table], places = jnp.unique(
            flat, size=min(len(flat), size), fill_value=size, return_inverse=True
        )
        ends = itertools.accumulate((each.size for each in rows), initial=1)
        return [
            places[begin:][: each.size].reshape(each.shape).astype(INDEX_DTYPE)
            for begin, each in zip(ends, rows, strict=False)
        ]

    def touch_all(self, asked: Asked, by_rows: frozenset[Table]) -> Asked:
        """Touch what a step reads, of the tables that go by rows.

        Returns:
            The same in terms of the small tables.
        """
        features, batch, negatives = asked
        if "items" in by_rows:
            assert negatives is not None, "an exact softmax touches every row"
            tokens, labels, items = self.touch(
                "items", [batch.tokens, batch.labels, negatives.items]
            )
            batch = batch._replace(tokens=tokens, labels=labels)
            negatives = negatives._replace(items=items)
            features = self._features_of_items(features)
        if "item codes" in by_rows and features is not None:
            features = features._replace(bag=self._inside("item codes", features.bag))
        if "sequence codes" in by_rows and batch.told is not None:
            batch = batch._replace(told=self._inside("sequence codes", batch.told))
        return Asked(features, batch, negatives)

    def take(self, tree: Tree) -> Tree:
        """A tree with the touched rows only of whatever belongs to a table that was touched,
        widened where it is kept in half the bits."""

        def rows_of(path: tuple[Any, ...], leaf: Array) -> Array:
            rows = self._rows_of(path)
            if rows is None:
                return leaf
            return widened(leaf.at[rows].get(mode="fill", fill_value=0))

        return jax.tree_util.tree_map_with_path(rows_of, tree)

    def put(self, whole: Tree, part: Tree, is_good: Bool[Array, ""], key: Key[Array, ""]) -> Tree:
        """The whole tree with a part put back; as it was, unless ``is_good``.

        Nothing is copied where the whole tree is donated. What is kept in half the bits is
        rounded at random.

        Args:
            key: of the rounding.
        """
        keys = (jax.random.fold_in(key, i) for i in itertools.count())

        def put_one(path: tuple[Any, ...], old: Array, new: Array) -> Array:
            rows = self._rows_of(path)
            if rows is None:
                return jnp.where(is_good, new, old)
            written = jnp.where(is_good, rows, len(old))
            if is_halved(old):
                new = halved_at_random(new, next(keys))
            return old.at[written].set(new, mode="drop")

        return jax.tree_util.tree_map_with_path(put_one, whole, part)

    def _rows_of(self, path: tuple[Any, ...]) -> Int32[Array, " rows"] | None:
        table = table_of(path)
        return None if table is None else self._rows.get(table)

    def _features_of_items(self, features: ItemFeatures | None) -> ItemFeatures | None:
        if features is None:
            return None
        rows = self._rows["items"]
        # Places without a row have no features either, or their codes would count as touched.
        return jax.tree.map(
            lambda part: jnp.asarray(part).at[rows].get(mode="fill", fill_value=0), features
        )

    def _inside(self, table: Table, bag: Bag) -> Bag:
        (codes,) = self.touch(table, [bag.codes])
        return bag._replace(codes=codes)
