"""Batches whose rows are single targets with the events before them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Int64

from segue.batches.batch import Batches, BatchOptions, Bucket
from segue.batches.prompts import PromptLayout
from segue.dataset import Sequences
from segue.features import NO_FEATURES, Features
from segue.tokens import INDEX_DTYPE, UNK


class TargetBatches(Batches):
    """Each example is one target and at most ``history_length`` events before it.

    Under the split ``windows`` the events before a training target may include held-out targets.
    They are input only: the target is the only label of a row.
    """

    def __init__(
        self,
        sequences: Sequences,
        targets: Int64[np.ndarray, " targets"],
        layout: PromptLayout,
        options: BatchOptions,
        history_length: int,
        features: Features = NO_FEATURES,
    ) -> None:
        """Locate the events before each target.

        Args:
            targets: indices into ``sequences.items``, such as those of ``training_targets``.
            history_length: maximum number of events before a target that it is predicted from.
        """
        self._targets = targets
        self._sequence_rows = np.searchsorted(sequences.offsets, targets, side="right") - 1
        self._span_starts = np.maximum(
            sequences.offsets[self._sequence_rows], self._targets - history_length
        )
        n_tokens = self._targets - self._span_starts + int(layout.start)
        n_positions = np.clip(n_tokens, 1, layout.context)
        super().__init__(n_positions, sequences, layout, options, features)

    def _rows(self, examples: Int64[np.ndarray, " examples"]) -> Int64[np.ndarray, " examples"]:
        return self._sequence_rows[examples]

    def _draw(
        self, examples: Int64[np.ndarray, " examples"], length: int, random: np.random.Generator
    ) -> Bucket:
        starts, targets = self._span_starts[examples], self._targets[examples]
        items, ratings = self.sequences.items, self.sequences.ratings
        layout = replace(self._layout, context=length)
        tokens, last_positions = layout.prompts_of_spans(items, starts, targets - starts)
        labels = items[targets]
        labels = np.where(labels < self._layout.vocabulary_size, labels, INDEX_DTYPE(UNK))
        bucket = Bucket(self._inject_unknown(tokens, random), labels[:, None], last_positions)
        if self.options.rating_scale is None:
            return bucket
        assert ratings is not None
        return bucket._replace(weights=self._label_weights(ratings[targets][:, None]))

    def _events_before_labels(
        self,
        examples: Int64[np.ndarray, " examples"],
        length: int,  # noqa: ARG002 - a row has one label whatever its length
    ) -> Int64[np.ndarray, "examples labels"]:
        starts = self.sequences.offsets[self._sequence_rows[examples]]
        return (self._targets[examples] - starts)[:, None]
