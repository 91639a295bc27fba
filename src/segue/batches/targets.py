"""Training batches whose rows are single targets with the events before them."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int64

from segue.batches.prompts import PromptLayout
from segue.batches.training import Batch, SequenceFeatureTable, TrainingBatches
from segue.config import TrainingConfig
from segue.dataset import Sequences
from segue.tokens import INDEX_DTYPE, UNK


class TargetBatches(TrainingBatches):
    """Each example is one training target and at most ``window`` events before it.

    Under the split ``windows`` the earlier events may include held-out targets. They are input
    only: the target is the only label of a row.
    """

    def __init__(
        self,
        sequences: Sequences,
        targets: Int64[np.ndarray, " targets"],
        layout: PromptLayout,
        config: TrainingConfig,
        window: int,
        sequence_features: SequenceFeatureTable | None = None,
    ) -> None:
        """Locate the events before each target.

        Args:
            targets: indices into ``sequences.items``, such as those of ``training_targets``.
            window: maximum number of events before a target that it is predicted from.
            sequence_features: features of all sequences; None if the model reads none.
        """
        self._targets = targets
        self._sequence_rows = np.searchsorted(sequences.offsets, targets, side="right") - 1
        self._span_starts = np.maximum(
            sequences.offsets[self._sequence_rows], self._targets - window
        )
        super().__init__(len(self._targets), sequences, layout, config, sequence_features)

    def _rows(self, examples: Int64[np.ndarray, " examples"]) -> Int64[np.ndarray, " examples"]:
        return self._sequence_rows[examples]

    def _draw(self, examples: Int64[np.ndarray, " examples"], random: np.random.Generator) -> Batch:
        starts, targets = self._span_starts[examples], self._targets[examples]
        items, ratings = self._sequences.items, self._sequences.ratings
        tokens, last_positions = self._layout.prompts_of_spans(items, starts, targets - starts)
        labels = items[targets]
        labels = np.where(labels < self._layout.vocabulary_size, labels, INDEX_DTYPE(UNK))
        batch = Batch(self._inject_unknown(tokens, random), labels[:, None], last_positions)
        if self._config.rating_scale is None:
            return batch
        assert ratings is not None
        return batch._replace(weights=self._label_weights(ratings[targets][:, None]))
