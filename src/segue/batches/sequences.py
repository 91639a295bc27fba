"""Training batches whose rows are sequences, with a label at every position."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int32, Int64

from segue.axes import PAD
from segue.batches.layout import Layout, rows_at
from segue.batches.training import Batch, Told, TrainingBatches
from segue.config import TrainingConfig
from segue.dataset import Sequences

N_WIDTHS = 4
"""Widths that batches of like lengths can have: quarters of the context."""
BATCHES_SORTED = 64
"""Batches whose examples are sorted by length together: enough that rows of a batch are alike,
and few enough that batches hold other company in every epoch."""


class SequenceBatches(TrainingBatches):
    """An example is a sequence's training events; every position of it has a label."""

    def __init__(
        self,
        sequences: Sequences,
        layout: Layout,
        config: TrainingConfig,
        told: Told | None = None,
    ) -> None:
        lengths = sequences.train_end.astype(np.int64)
        # A sequence teaches something if it has a label: a token after its first.
        n_tokens = lengths + int(layout.start) + int(layout.end)
        self._row = np.flatnonzero((lengths > 0) & (n_tokens > 1))
        super().__init__(len(self._row), sequences, layout, config, told)
        self._begins = sequences.offsets[self._row]
        self._lengths = lengths[self._row]
        self._spare = np.maximum(n_tokens[self._row] - (layout.context + 1), 0)
        self._positions = np.minimum(n_tokens[self._row] - 1, layout.context)

    def widest(self, steps: int) -> int:
        size = self._config.batch_size
        longest = np.argmax(self._positions[self._order(0)[: steps * size]])
        return int(longest) // size

    def _rows(self, examples: Int64[np.ndarray, " examples"]) -> Int64[np.ndarray, " examples"]:
        return self._row[examples]

    def _draw(self, examples: Int64[np.ndarray, " examples"], random: np.random.Generator) -> Batch:
        spare, lengths = self._spare[examples], self._lengths[examples]
        begins, context = self._begins[examples], self._width(examples)
        first = random.integers(0, spare + 1) if self._config.window == "random" else spare
        # One more token than the context, so that every input position has a label.
        width = context + self._config.horizon
        flat = self._sequences.items
        tokens = self._layout.tokens(flat, begins, lengths, first, width)
        tokens = self._inject_unknown(tokens, random)
        ahead = self._ahead(tokens, context, random)
        batch = Batch(
            np.ascontiguousarray(tokens[:, :context]),
            np.take_along_axis(tokens, ahead, axis=1),
        )
        if self._config.rating_scale is None:
            return batch
        assert self._sequences.ratings is not None
        place = self._layout.places(first, width)
        ratings = rows_at(self._sequences.ratings, begins, lengths, place, np.nan)
        return batch._replace(weights=self._weights(np.take_along_axis(ratings, ahead, axis=1)))

    def _draw_order(self, epoch: int) -> Int64[np.ndarray, " examples"]:
        order = super()._draw_order(epoch)
        if not self._config.bucket:
            return order
        random = np.random.default_rng([self._config.seed, 2, epoch])
        return _like_lengths_together(order, self._positions, self._config.batch_size, random)

    def _width(self, examples: Int64[np.ndarray, " examples"]) -> int:
        """Positions of a batch: the context, or as many quarters of it as its rows need."""
        context = self._layout.context
        if not self._config.bucket:
            return context
        quarter = -(-context // N_WIDTHS)
        longest = int(self._positions[examples].max(initial=1))
        return min(-(-longest // quarter) * quarter, context)

    def _ahead(
        self,
        tokens: Int32[np.ndarray, "batch width"],
        n_positions: int,
        random: np.random.Generator,
    ) -> Int64[np.ndarray, "batch length"]:
        """The place of each position's label: the next token, or one of the next few.

        Source: predicting what a user does within a window rather than next, of Pancha,
        Zhai, Leskovec and Rosenberg, PinnerFormer, KDD 2022.
        """
        after = np.arange(1, n_positions + 1)[None, :]
        if self._config.horizon == 1:
            return np.broadcast_to(after, (len(tokens), n_positions))
        n_tokens = (tokens != PAD).sum(axis=1)[:, None]
        choices = np.clip(n_tokens - after, 1, self._config.horizon)
        return after + (random.random(choices.shape) * choices).astype(np.int64)


def _like_lengths_together(
    order: Int64[np.ndarray, " examples"],
    lengths: Int64[np.ndarray, " examples"],
    batch_size: int,
    random: np.random.Generator,
) -> Int64[np.ndarray, " examples"]:
    """The order with the examples of some batches sorted by length, and those batches shuffled."""
    size, pools = BATCHES_SORTED * batch_size, []
    for begin in range(0, len(order), size):
        pool = order[begin : begin + size]
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        n_full = len(pool) // batch_size
        full = pool[: n_full * batch_size].reshape(n_full, batch_size)
        pools += [full[random.permutation(n_full)].ravel(), pool[n_full * batch_size :]]
    return np.concatenate(pools) if pools else order
