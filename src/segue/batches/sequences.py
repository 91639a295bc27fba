"""Batches whose rows are sequences, with a label at every position."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int32, Int64

from segue.batches.batch import Batch, Batches, BatchOptions
from segue.batches.prompts import PromptLayout
from segue.batches.widths import batch_widths
from segue.dataset import Sequences, Spans
from segue.features import NO_FEATURES, Features
from segue.ragged import rows_at
from segue.tokens import PAD

BATCHES_PER_POOL = 64
"""Batches whose examples are sorted by length together: enough that the rows of a batch have
similar lengths, few enough that batches have different rows in every epoch."""


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
        super().__init__(len(has_label), sequences, layout, options, features)
        self._spans, n_tokens = spans.take(has_label), n_tokens[has_label]
        # Index of the first token of the last window.
        self._last_first = np.maximum(n_tokens - (layout.context + 1), 0)
        self._n_positions = np.minimum(n_tokens - 1, layout.context)
        self._widths = (
            batch_widths(self._n_positions, layout.context)
            if options.bucket_by_length
            else np.array([layout.context])
        )

    def widest_batch(self, n_steps: int) -> int:
        """The number of the batch with the longest row among the first ``n_steps``."""
        size = self.options.batch_size
        longest = np.argmax(self._n_positions[self._order(0)[: n_steps * size]])
        return int(longest) // size

    def _rows(self, examples: Int64[np.ndarray, " examples"]) -> Int64[np.ndarray, " examples"]:
        return self._spans.rows[examples]

    def _draw(self, examples: Int64[np.ndarray, " examples"], random: np.random.Generator) -> Batch:
        last_first, context = self._last_first[examples], self._batch_length(examples)
        _, starts, lengths = self._spans.take(examples)
        is_random = self.options.window == "random"
        first = random.integers(0, last_first + 1) if is_random else last_first
        # One more token than the context, so that every input position has a label.
        width = context + self.options.horizon
        tokens = self._layout.tokens(self._sequences.items, starts, lengths, first, width)
        tokens = self._inject_unknown(tokens, random)
        label_positions = self._label_positions(tokens, context, random)
        batch = Batch(
            np.ascontiguousarray(tokens[:, :context]),
            np.take_along_axis(tokens, label_positions, axis=1),
        )
        if self.options.rating_scale is None:
            return batch
        assert self._sequences.ratings is not None
        positions = self._layout.event_positions(first, width)
        ratings = rows_at(self._sequences.ratings, starts, lengths, positions, np.nan)
        label_ratings = np.take_along_axis(ratings, label_positions, axis=1)
        return batch._replace(weights=self._label_weights(label_ratings))

    def _draw_order(self, epoch: int) -> Int64[np.ndarray, " examples"]:
        order = super()._draw_order(epoch)
        if not self.options.bucket_by_length:
            return order
        random = np.random.default_rng([self.options.seed, 2, epoch])
        return _sort_within_pools(order, self._n_positions, self.options.batch_size, random)

    def _batch_length(self, examples: Int64[np.ndarray, " examples"]) -> int:
        """Input length of a batch: the smallest width that holds its rows."""
        longest = int(self._n_positions[examples].max(initial=1))
        return int(self._widths[np.searchsorted(self._widths, longest)])

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


def _sort_within_pools(
    order: Int64[np.ndarray, " examples"],
    lengths: Int64[np.ndarray, " examples"],
    batch_size: int,
    random: np.random.Generator,
) -> Int64[np.ndarray, " examples"]:
    """Sort each pool of ``BATCHES_PER_POOL`` batches by length, then shuffle its batches."""
    pool_size, pools = BATCHES_PER_POOL * batch_size, []
    for start in range(0, len(order), pool_size):
        pool = order[start : start + pool_size]
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        n_full = len(pool) // batch_size
        full = pool[: n_full * batch_size].reshape(n_full, batch_size)
        pools += [full[random.permutation(n_full)].ravel(), pool[n_full * batch_size :]]
    return np.concatenate(pools) if pools else order
