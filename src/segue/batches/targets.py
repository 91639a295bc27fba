"""Training batches whose rows are single targets and the events before them."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int64

from segue.axes import INDEX_DTYPE, UNK
from segue.batches.layout import Layout
from segue.batches.training import Batch, Told, TrainingBatches
from segue.config import TrainingConfig
from segue.dataset import Sequences
from segue.dataset.sequences import TRAIN_TARGET, positions_in_rows

FIRST_TARGET = 3
"""Events before the first target of a sequence, where a row is a target: with fewer there is
hardly anything to predict from. As the split ``windows`` has it."""


class TargetBatches(TrainingBatches):
    """An example is one training target and the events before it, at most ``window``.

    Under the split ``windows`` the earlier events may be held-out targets; as there is no
    label but the last, they are never learned from as such.
    """

    def __init__(
        self,
        sequences: Sequences,
        layout: Layout,
        config: TrainingConfig,
        window: int,
        told: Told | None = None,
        targets: Int64[np.ndarray, " targets"] | None = None,
    ) -> None:
        """Choose the targets.

        Args:
            window: events that a target is predicted from.
            targets: places in ``sequences.items``; every training target when absent.
        """
        self._targets = training_targets(sequences) if targets is None else targets
        self._row = np.searchsorted(sequences.offsets, self._targets, side="right") - 1
        self._begins = np.maximum(sequences.offsets[self._row], self._targets - window)
        super().__init__(len(self._targets), sequences, layout, config, told)

    def _rows(self, examples: Int64[np.ndarray, " examples"]) -> Int64[np.ndarray, " examples"]:
        return self._row[examples]

    def _draw(self, examples: Int64[np.ndarray, " examples"], random: np.random.Generator) -> Batch:
        begins, targets = self._begins[examples], self._targets[examples]
        flat, ratings = self._sequences.items, self._sequences.ratings
        tokens, last = self._layout.inputs_before(flat, begins, targets - begins)
        wanted = flat[targets]
        labels = np.where(wanted < self._layout.table_size, wanted, INDEX_DTYPE(UNK))[:, None]
        batch = Batch(self._inject_unknown(tokens, random), labels, last)
        if self._config.rating_scale is None:
            return batch
        assert ratings is not None
        return batch._replace(weights=self._weights(ratings[targets][:, None]))


def training_targets(sequences: Sequences) -> Int64[np.ndarray, " targets"]:
    """Places of every event that is trained on as a target."""
    if sequences.target_parts is not None:
        return np.flatnonzero(sequences.target_parts == TRAIN_TARGET)
    place = positions_in_rows(sequences.offsets)
    ends = np.repeat(sequences.train_end, sequences.lengths)
    return np.flatnonzero((place >= FIRST_TARGET) & (place < ends))
