"""Hidden states of known histories, computed with the validation loss and used again for ranks."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int64

from segue.batches import Batches
from segue.ranking import Query
from segue.recommender import Encoder
from segue.recommender.members import DenseMember
from segue.recommender.shapes import row_bucket
from segue.tokens import PAD


class LabelHistories:
    """Which history the state at each label of some batches has read.

    A history is the first events of a sequence, so it is known by the row of the sequence and the
    number of events. A label whose state has not read the events from the first on is left out.
    """

    def __init__(self, batches: Batches) -> None:
        """Read all batches of an epoch."""
        self._base = 1 + int(batches.sequences.lengths.max(initial=0))
        keys = []
        for number in range(batches.batches_per_epoch):
            batch, histories = batches[number], batches.label_histories(number)
            for bucket, (rows, n_events) in zip(batch, histories, strict=True):
                is_known = (bucket.labels != PAD) & (n_events >= 0)
                keys.append(np.where(is_known, self._keys(rows[:, None], n_events), -1).ravel())
        flat = np.concatenate(keys)
        self._order = np.argsort(flat, kind="stable")
        self._sorted = flat[self._order]

    def find(
        self, rows: Int64[np.ndarray, " histories"], n_events: Int64[np.ndarray, " histories"]
    ) -> Int64[np.ndarray, " histories"]:
        """The number of a label with each history, over all batches; -1 if there is none."""
        keys = self._keys(rows, n_events)
        positions = np.minimum(np.searchsorted(self._sorted, keys), len(self._sorted) - 1)
        return np.where(self._sorted[positions] == keys, self._order[positions], -1)

    def _keys(self, rows: Any, n_events: Any) -> Any:
        return rows * self._base + n_events


class StoredStates(DenseMember):
    """The encoder of an ensemble, with the states of some histories in an array."""

    def __init__(
        self,
        encoder: Encoder,
        histories: LabelHistories,
        states: Float32[np.ndarray, "labels dim"],
    ) -> None:
        """Wrap an encoder.

        Args:
            encoder: computes the states of all other histories.
            histories: the history of each label.
            states: the state at each label.
        """
        self._encoder = encoder
        self._histories = histories
        self._states = states

    @property
    def vectors(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The output embeddings."""
        return self._encoder.vectors

    def states(self, query: Query, n_rows: int) -> Float[Array, "rows dim"]:
        """The state of each history, on the device; see ``Encoder.states``."""
        labels = self._histories.find(query.rows, np.diff(query.histories.offsets))
        states = np.zeros((n_rows, self._states.shape[1]), np.float32)
        is_stored = labels >= 0
        states[: len(query)][is_stored] = self._states[labels[is_stored]]
        if not is_stored.all():
            unstored = query.select(~is_stored)
            computed = self._encoder.states(unstored, row_bucket(len(unstored)))
            states[: len(query)][~is_stored] = np.asarray(computed)[: len(unstored)]
        return jnp.asarray(states)
