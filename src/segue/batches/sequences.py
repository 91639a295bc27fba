"""Training batches whose rows are sequences, with a label at every position."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int32, Int64

from segue.batches.prompts import PromptLayout
from segue.batches.training import Batch, SequenceFeatureTable, TrainingBatches
from segue.config import TrainingConfig
from segue.dataset import Sequences
from segue.ragged import rows_at
from segue.tokens import PAD

N_BUCKETS = 4
"""Number of batch lengths with ``bucket_by_length``: the multiples of a quarter of the context."""
BATCHES_PER_POOL = 64
"""Batches whose examples are sorted by length together: enough that the rows of a batch have
similar lengths, few enough that batches have different rows in every epoch."""


class SequenceBatches(TrainingBatches):
    """Each example is the training events of one sequence, with a label at every position."""

    def __init__(
        self,
        sequences: Sequences,
        layout: PromptLayout,
        config: TrainingConfig,
        sequence_features: SequenceFeatureTable | None = None,
    ) -> None:
        """Prepare the training batches: keep the sequences that have at least one label.

        Args:
            sequence_features: features of all sequences; None if the model reads none.
        """
        lengths = sequences.train_end.astype(np.int64)
        # A sequence has a label if a token follows its first one.
        n_tokens = lengths + int(layout.start) + int(layout.end)
        self._sequence_rows = np.flatnonzero((lengths > 0) & (n_tokens > 1))
        n_examples = len(self._sequence_rows)
        super().__init__(n_examples, sequences, layout, config, sequence_features)
        n_tokens = n_tokens[self._sequence_rows]
        self._row_starts = sequences.offsets[self._sequence_rows]
        self._lengths = lengths[self._sequence_rows]
        # Index of the first token of the last window.
        self._last_first = np.maximum(n_tokens - (layout.context + 1), 0)
        self._n_positions = np.minimum(n_tokens - 1, layout.context)

    def widest_batch(self, n_steps: int) -> int:
        """The number of the batch with the longest row among the first ``n_steps``."""
        size = self._config.batch_size
        longest = np.argmax(self._n_positions[self._order(0)[: n_steps * size]])
        return int(longest) // size

    def _rows(self, examples: Int64[np.ndarray, " examples"]) -> Int64[np.ndarray, " examples"]:
        return self._sequence_rows[examples]

    def _draw(self, examples: Int64[np.ndarray, " examples"], random: np.random.Generator) -> Batch:
        last_first, lengths = self._last_first[examples], self._lengths[examples]
        row_starts, context = self._row_starts[examples], self._batch_length(examples)
        is_random = self._config.window == "random"
        first = random.integers(0, last_first + 1) if is_random else last_first
        # One more token than the context, so that every input position has a label.
        width = context + self._config.horizon
        tokens = self._layout.tokens(self._sequences.items, row_starts, lengths, first, width)
        tokens = self._inject_unknown(tokens, random)
        label_positions = self._label_positions(tokens, context, random)
        batch = Batch(
            np.ascontiguousarray(tokens[:, :context]),
            np.take_along_axis(tokens, label_positions, axis=1),
        )
        if self._config.rating_scale is None:
            return batch
        assert self._sequences.ratings is not None
        positions = self._layout.event_positions(first, width)
        ratings = rows_at(self._sequences.ratings, row_starts, lengths, positions, np.nan)
        label_ratings = np.take_along_axis(ratings, label_positions, axis=1)
        return batch._replace(weights=self._label_weights(label_ratings))

    def _draw_order(self, epoch: int) -> Int64[np.ndarray, " examples"]:
        order = super()._draw_order(epoch)
        if not self._config.bucket_by_length:
            return order
        random = np.random.default_rng([self._config.seed, 2, epoch])
        return _sort_within_pools(order, self._n_positions, self._config.batch_size, random)

    def _batch_length(self, examples: Int64[np.ndarray, " examples"]) -> int:
        """Input length of a batch: the context, or as many quarters of it as the rows need."""
        context = self._layout.context
        if not self._config.bucket_by_length:
            return context
        quarter = -(-context // N_BUCKETS)
        longest = int(self._n_positions[examples].max(initial=1))
        return min(-(-longest // quarter) * quarter, context)

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
        if self._config.horizon == 1:
            return np.broadcast_to(next_positions, (len(tokens), n_positions))
        n_tokens = (tokens != PAD).sum(axis=1)[:, None]
        n_choices = np.clip(n_tokens - next_positions, 1, self._config.horizon)
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
