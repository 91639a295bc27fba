"""Sparse updates: gather the embedding rows a batch uses, train on them, scatter them back.

A sampled loss reads the embeddings of a batch's tokens, labels and negatives: a few thousand
rows of perhaps millions. These rows are gathered into small tables, with their optimizer state.
The model, the loss and the optimizer run on the small tables as they would on the full ones.
Then the rows are scattered back in place. Memory and time of a step do not depend on the size of
the catalogue.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int32, Key

from segue.bfloat16 import is_bfloat16, stochastic_round, to_float32
from segue.features import FeatureIds, ItemFeatures
from segue.optimizers import SparseTable, sparse_table_of
from segue.tokens import INDEX_DTYPE
from segue.trainer.inputs import StepInputs

Tree = TypeVar("Tree")


class SparseRows:
    """The rows of the embedding tables that one step gathers and scatters.

    Row 0 of a table (padding) is always gathered and comes first.
    """

    def __init__(self, params: Any) -> None:
        """Read the table sizes from a tree of parameters; no rows are selected yet."""
        self._rows: dict[SparseTable, Int32[Array, " rows"]] = {}
        self._sizes = {
            table: len(leaf)
            for path, leaf in jax.tree_util.tree_leaves_with_path(params)
            if (table := sparse_table_of(path)) is not None
        }

    def select(
        self, table: SparseTable, rows: Sequence[Int32[Array | np.ndarray, "..."]]
    ) -> list[Int32[Array, "..."]]:
        """Select the rows of a table that a step uses.

        Args:
            table: the table.
            rows: arrays of row numbers, of any shapes; they may repeat.

        Returns:
            The same arrays with row numbers of the gathered table; 0 remains 0.
        """
        flat = jnp.concatenate([jnp.zeros(1, INDEX_DTYPE), *map(jnp.ravel, rows)])
        size = self._sizes[table]
        # Shapes are static, so the result is padded with row numbers past the end of the table.
        # Gathering fills these with zeros, and scattering drops them.
        self._rows[table], positions = jnp.unique(
            flat, size=min(len(flat), size), fill_value=size, return_inverse=True
        )
        starts = itertools.accumulate((array.size for array in rows), initial=1)
        return [
            positions[start:][: array.size].reshape(array.shape).astype(INDEX_DTYPE)
            for start, array in zip(starts, rows, strict=False)
        ]

    def select_inputs(
        self, inputs: StepInputs, sparse_tables: frozenset[SparseTable]
    ) -> StepInputs:
        """Select the rows that a step's inputs refer to, in the tables with sparse updates.

        Returns:
            The inputs with row numbers of the gathered tables.
        """
        item_features, batch, negatives = inputs
        if "items" in sparse_tables:
            assert negatives is not None, "an exact softmax uses every row"
            arrays = [array for bucket in batch for array in (bucket.tokens, bucket.labels)]
            *arrays, items = self.select("items", [*arrays, negatives.items])
            batch = tuple(
                bucket._replace(tokens=tokens, labels=labels)
                for bucket, tokens, labels in zip(batch, arrays[::2], arrays[1::2], strict=True)
            )
            negatives = negatives._replace(items=items)
            item_features = self._gather_item_features(item_features)
        if "item features" in sparse_tables and item_features is not None:
            (ids,) = self.select("item features", [item_features.feature_ids.ids])
            item_features = item_features._replace(
                feature_ids=item_features.feature_ids._replace(ids=ids)
            )
        features = [b.sequence_features for b in batch if b.sequence_features is not None]
        if "sequence features" in sparse_tables and features:
            selected = self.select("sequence features", [ids for ids, _ in features])
            batch = tuple(
                bucket._replace(sequence_features=FeatureIds(ids, weights))
                for bucket, ids, (_, weights) in zip(batch, selected, features, strict=True)
            )
        return StepInputs(item_features, batch, negatives)

    def gather(self, tree: Tree) -> Tree:
        """Replace each array of a table by its selected rows, converted to float32.

        Args:
            tree: parameters and optimizer state; arrays of other parameters stay as they are.
        """

        def gather_rows(path: tuple[Any, ...], leaf: Array) -> Array:
            rows = self._rows_of(path)
            if rows is None:
                return leaf
            return to_float32(leaf.at[rows].get(mode="fill", fill_value=0))

        return jax.tree_util.tree_map_with_path(gather_rows, tree)

    def scatter(
        self, tree: Tree, updated: Tree, is_finite: Bool[Array, ""], key: Key[Array, ""]
    ) -> Tree:
        """Write the updated rows, and the other updated arrays, back into the full tree.

        If the full tree is donated, the tables are updated in place.

        Args:
            tree: the full tree, as before ``gather``.
            updated: the gathered tree after the update.
            is_finite: whether to write; if not, the tree is returned unchanged.
            key: of the stochastic rounding of tables in bfloat16.
        """
        keys = (jax.random.fold_in(key, i) for i in itertools.count())

        def scatter_rows(path: tuple[Any, ...], old: Array, new: Array) -> Array:
            rows = self._rows_of(path)
            if rows is None:
                return jnp.where(is_finite, new, old)
            written_rows = jnp.where(is_finite, rows, len(old))
            if is_bfloat16(old):
                new = stochastic_round(new, next(keys))
            return old.at[written_rows].set(new, mode="drop")

        return jax.tree_util.tree_map_with_path(scatter_rows, tree, updated)

    def _rows_of(self, path: tuple[Any, ...]) -> Int32[Array, " rows"] | None:
        table = sparse_table_of(path)
        return None if table is None else self._rows.get(table)

    def _gather_item_features(self, item_features: ItemFeatures | None) -> ItemFeatures | None:
        """The features of the selected items."""
        if item_features is None:
            return None
        rows = self._rows["items"]
        # Padding rows get empty features; otherwise the ids of the last item would be selected.
        return jax.tree.map(
            lambda array: jnp.asarray(array).at[rows].get(mode="fill", fill_value=0), item_features
        )
