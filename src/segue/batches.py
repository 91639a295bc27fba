"""Training batches and model inputs: item indices cut to the context, all of one shape.

A sequence becomes the tokens START, its events, END (where the model has them), and a
window of them becomes an input and, moved by one place, the labels. Short windows are
filled at the end with PAD. Items outside the catalogue stand as UNK.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Int32, Int64

from segue.axes import END, INDEX_DTYPE, PAD, START, UNK, Ragged
from segue.config import ModelConfig, TrainingConfig
from segue.dataset import TRAIN_TARGET, Sequences


class Batch(NamedTuple):
    """What one training step sees.

    Attributes:
        tokens: model input.
        labels: the token after each one; ``PAD`` where nothing is to be learned.
    """

    tokens: Int32[np.ndarray, "batch length"]
    labels: Int32[np.ndarray, "batch length"]


@dataclass(frozen=True)
class Layout:
    """How a model wants its tokens: the same for training, evaluation and serving."""

    context: int
    table_size: int
    start: bool
    end: bool

    @classmethod
    def of(cls, model: ModelConfig, table_size: int) -> Layout:
        return cls(model.context, table_size, model.start, model.end)

    def tokens(
        self,
        flat: Int32[np.ndarray, " events"],
        begins: Int64[np.ndarray, " batch"],
        lengths: Int64[np.ndarray, " batch"],
        first: Int64[np.ndarray, " batch"],
        width: int,
    ) -> Int32[np.ndarray, "batch width"]:
        """Tokens ``first`` up to ``first + width`` of each sequence, padded at the end.

        Args:
            flat: events of all sequences end to end.
            begins: where each sequence's events begin in ``flat``.
            lengths: how many events each sequence has.
            first: the first token wanted, counted with START as token 0 if there is one.
            width: how many tokens.
        """
        place = first[:, None] + np.arange(width) - int(self.start)
        inside = (place >= 0) & (place < lengths[:, None])
        tokens = np.full(place.shape, PAD, INDEX_DTYPE)
        tokens[inside] = flat[(begins[:, None] + place)[inside]]
        tokens[tokens >= self.table_size] = UNK
        if self.start:
            tokens[place == -1] = START
        if self.end:
            tokens[place == lengths[:, None]] = END
        return tokens

    def prompts(
        self, histories: Ragged
    ) -> tuple[Int32[np.ndarray, "batch length"], Int32[np.ndarray, " batch"]]:
        """Model input for predicting what follows each history; see ``inputs_before``."""
        begins = histories.offsets[:-1]
        return self.inputs_before(histories.values, begins, np.diff(histories.offsets))

    def inputs_before(
        self,
        flat: Int32[np.ndarray, " events"],
        begins: Int64[np.ndarray, " batch"],
        lengths: Int64[np.ndarray, " batch"],
    ) -> tuple[Int32[np.ndarray, "batch length"], Int32[np.ndarray, " batch"]]:
        """Model input for predicting what follows ``lengths`` events from ``begins`` on.

        Returns:
            The tokens, and the position of each row's last one, whose hidden state predicts
            the next item. No events at all give only START, or nothing (position 0, PAD)
            where the model has no START.
        """
        first = np.maximum(lengths + int(self.start) - self.context, 0)
        tokens = replace(self, end=False).tokens(flat, begins, lengths, first, self.context)
        return tokens, np.maximum(lengths + int(self.start) - first - 1, 0).astype(np.int32)

    def truncated(self, length: int) -> int:
        """How many events of a history of ``length`` are out of the model's sight."""
        return max(length - self.context, 0)


class TrainingBatches(ABC):
    """Batches of one epoch after another, each a pure function of its number.

    A whole-batch source for Grain: ``batches[i]`` is ready to train on. Each epoch visits
    every example once, in an order drawn from the seed and the epoch; the last batch of an
    epoch is filled up with rows of padding, so that all have one shape.
    """

    def __init__(self, n_examples: int, layout: Layout, config: TrainingConfig) -> None:
        self._n_examples = n_examples
        self._layout = layout
        self._config = config
        self.batches_per_epoch = -(-n_examples // config.batch_size)
        self._order = lru_cache(maxsize=2)(self._draw_order)

    @abstractmethod
    def _draw(self, examples: Int64[np.ndarray, " examples"], random: np.random.Generator) -> Batch:
        """The rows of a batch, items outside the catalogue as UNK."""

    def __len__(self) -> int:
        return self.batches_per_epoch * self._config.epochs

    def __getitem__(self, index: int) -> Batch:
        if not 0 <= index < len(self):
            raise IndexError(f"batch {index} of {len(self)}")
        epoch, place = divmod(index, self.batches_per_epoch)
        size = self._config.batch_size
        examples = self._order(epoch)[place * size : (place + 1) * size]
        batch = self._draw(examples, np.random.default_rng([self._config.seed, 1, index]))
        filling = ((0, size - len(examples)), (0, 0))
        return Batch(*(np.pad(part, filling, constant_values=PAD) for part in batch))

    def _draw_order(self, epoch: int) -> Int64[np.ndarray, " examples"]:
        return np.random.default_rng([self._config.seed, 0, epoch]).permutation(self._n_examples)

    def _inject_unknown(
        self, tokens: Int32[np.ndarray, "batch width"], random: np.random.Generator
    ) -> Int32[np.ndarray, "batch width"]:
        if self._config.unknown_rate == 0:
            return tokens
        chosen = random.random(tokens.shape) < self._config.unknown_rate
        return np.where(chosen & (tokens > UNK), INDEX_DTYPE(UNK), tokens)


class SequenceBatches(TrainingBatches):
    """An example is a sequence's training events; every position of it has a label."""

    def __init__(self, sequences: Sequences, layout: Layout, config: TrainingConfig) -> None:
        lengths = sequences.train_end.astype(np.int64)
        # A sequence teaches something if it has a label: a token after its first.
        n_tokens = lengths + int(layout.start) + int(layout.end)
        rows = np.flatnonzero((lengths > 0) & (n_tokens > 1))
        super().__init__(len(rows), layout, config)
        self._flat = sequences.items
        self._begins = sequences.offsets[rows]
        self._lengths = lengths[rows]
        self._spare = np.maximum(n_tokens[rows] - (layout.context + 1), 0)

    def _draw(self, examples: Int64[np.ndarray, " examples"], random: np.random.Generator) -> Batch:
        spare, lengths = self._spare[examples], self._lengths[examples]
        first = random.integers(0, spare + 1) if self._config.window == "random" else spare
        # One more token than the context, so that every input position has a label.
        width = self._layout.context + 1
        tokens = self._layout.tokens(self._flat, self._begins[examples], lengths, first, width)
        tokens = self._inject_unknown(tokens, random)
        return Batch(np.ascontiguousarray(tokens[:, :-1]), np.ascontiguousarray(tokens[:, 1:]))


class WindowBatches(TrainingBatches):
    """An example is one training target of the split ``windows`` and the events before it.

    Only the last position has a label: the earlier events of a window may be test targets,
    and are never learned from as such.
    """

    def __init__(
        self, sequences: Sequences, layout: Layout, config: TrainingConfig, window: int
    ) -> None:
        assert sequences.target_parts is not None
        self._flat = sequences.items
        self._targets = np.flatnonzero(sequences.target_parts == TRAIN_TARGET)
        rows = np.searchsorted(sequences.offsets, self._targets, side="right") - 1
        self._begins = np.maximum(sequences.offsets[rows], self._targets - window)
        super().__init__(len(self._targets), layout, config)

    def _draw(self, examples: Int64[np.ndarray, " examples"], random: np.random.Generator) -> Batch:
        begins, targets = self._begins[examples], self._targets[examples]
        tokens, last = self._layout.inputs_before(self._flat, begins, targets - begins)
        wanted = self._flat[targets]
        labels = np.full_like(tokens, PAD)
        labels[np.arange(len(examples)), last] = np.where(
            wanted < self._layout.table_size, wanted, INDEX_DTYPE(UNK)
        )
        return Batch(self._inject_unknown(tokens, random), labels)


def training_batches(
    sequences: Sequences, layout: Layout, config: TrainingConfig, window: int
) -> TrainingBatches:
    """The batches that go with a dataset's split.

    Args:
        window: events that a target of the split ``windows`` is predicted from.
    """
    if sequences.target_parts is not None:
        return WindowBatches(sequences, layout, config, window)
    return SequenceBatches(sequences, layout, config)
