"""Batches whose rows are sequences, with a label at every position."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int32, Int64

from segue.batches.batch import Batches, BatchOptions, Bucket
from segue.batches.prompts import PromptLayout
from segue.dataset import Sequences, Spans
from segue.features import NO_FEATURES, Features
from segue.ragged import rows_at
from segue.tokens import PAD


class SequenceBatches(Batches):
    """Each example is a span of events of one sequence, with a label at every position."""

    def __init__(
        self,
        sequences: Sequences,
        spans: Spans,
        layout: PromptLayout,
        options: BatchOptions,
        features: Features = NO_FEATURES,
    ) -> None:
        """Keep the spans that have at least one label.

        Args:
            spans: the events that are read, such as ``training_spans``; none is empty. Each is
                laid out as a whole sequence, with START and END where the model uses them.
        """
        # A span has a label if a token follows its first one.
        n_tokens = spans.lengths + int(layout.start) + int(layout.end)
        has_label = np.flatnonzero(n_tokens > 1)
        self._spans, n_tokens = spans.take(has_label), n_tokens[has_label]
        # Index of the first token of the last window.
        self._last_first = np.maximum(n_tokens - (layout.context + 1), 0)
        n_positions = np.minimum(n_tokens - 1, layout.context)
        super().__init__(n_positions, sequences, layout, options, features)

    def _rows(self, examples: Int64[np.ndarray, " examples"]) -> Int64[np.ndarray, " examples"]:
        return self._spans.rows[examples]

    def _draw(
        self, examples: Int64[np.ndarray, " examples"], length: int, random: np.random.Generator
    ) -> Bucket:
        last_first = self._last_first[examples]
        _, starts, lengths = self._spans.take(examples)
        is_random = self.options.window == "random"
        first = random.integers(0, last_first + 1) if is_random else last_first
        # One more token than the input, so that every input position has a label.
        width = length + self.options.horizon
        tokens = self._layout.tokens(self.sequences.items, starts, lengths, first, width)
        tokens = self._inject_unknown(tokens, random)
        label_positions = self._label_positions(tokens, length, random)
        bucket = Bucket(
            np.ascontiguousarray(tokens[:, :length]),
            np.take_along_axis(tokens, label_positions, axis=1),
        )
        if self.options.rating_scale is None:
            return bucket
        assert self.sequences.ratings is not None
        positions = self._layout.event_positions(first, width)
        ratings = rows_at(self.sequences.ratings, starts, lengths, positions, np.nan)
        label_ratings = np.take_along_axis(ratings, label_positions, axis=1)
        return bucket._replace(weights=self._label_weights(label_ratings))

    def _events_before_labels(
        self, examples: Int64[np.ndarray, " examples"], length: int
    ) -> Int64[np.ndarray, "examples labels"]:
        rows, starts, _ = self._spans.take(examples)
        first = self._last_first[examples]
        is_from_first = (first == 0) & (starts == self.sequences.offsets[rows])
        n_events = self._layout.event_positions(first, length) + 1
        return np.where(is_from_first[:, None], n_events, -1)

    def _label_positions(
        self,
        tokens: Int32[np.ndarray, "batch width"],
        n_positions: int,
        random: np.random.Generator,
    ) -> Int64[np.ndarray, "batch length"]:
        """For each input position the position of its label: the next token, or one drawn
        from the next ``horizon`` tokens.

        Source: Pancha, Zhai, Leskovec and Rosenberg, PinnerFormer, KDD 2022, who predict what
        a user does within a window of time rather than next.
        """
        next_positions = np.arange(1, n_positions + 1)[None, :]
        if self.options.horizon == 1:
            return np.broadcast_to(next_positions, (len(tokens), n_positions))
        n_tokens = (tokens != PAD).sum(axis=1)[:, None]
        n_choices = np.clip(n_tokens - next_positions, 1, self.options.horizon)
        return next_positions + (random.random(n_choices.shape) * n_choices).astype(np.int64)
