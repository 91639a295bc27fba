"""Training batches: a pure function of a number, so that a run can be resumed anywhere."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Int32, Int64

from segue.axes import INDEX_DTYPE, UNK
from segue.batches.layout import Layout
from segue.config import TrainingConfig
from segue.dataset import Sequences
from segue.errors import DatasetError
from segue.features import Bag
from segue.wording import counted

LOWEST_WEIGHT = 0.2
"""What a label weighs that has the lowest rating; the highest weighs 1."""


class Batch(NamedTuple):
    """What one training step sees.

    Attributes:
        tokens: model input.
        labels: what follows each token, or, where a row is one target, that target alone;
            ``PAD`` where nothing is to be learned.
        last: where a row is one target, the position that predicts it; else None.
        weights: how much each label counts; None where all count alike.
        told: what the model is told of each sequence; None where it is told nothing.
    """

    tokens: Int32[np.ndarray, "batch length"]
    labels: Int32[np.ndarray, "batch labels"]
    last: Int32[np.ndarray, " batch"] | None = None
    weights: Float32[np.ndarray, "batch labels"] | None = None
    told: Bag | None = None


class Told(NamedTuple):
    """What a model is told of every sequence of a dataset.

    Attributes:
        slots: the columns of the bag that belong to each feature.
    """

    bag: Bag
    slots: list[slice]


class TrainingBatches(ABC):
    """Batches of one epoch after another, each a pure function of its number.

    A whole-batch source for Grain: ``batches[i]`` is ready to train on. Each epoch visits
    every example once, in an order drawn from the seed and the epoch; the last batch of an
    epoch is filled up with rows of padding, so that all have one shape.
    """

    def __init__(
        self,
        n_examples: int,
        sequences: Sequences,
        layout: Layout,
        config: TrainingConfig,
        told: Told | None,
    ) -> None:
        self._n_examples = n_examples
        self._sequences = sequences
        self._layout = layout
        self._config = config
        self._told = told
        self.batches_per_epoch = -(-n_examples // config.batch_size)
        self._order = lru_cache(maxsize=2)(self._draw_order)

    @abstractmethod
    def _rows(self, examples: Int64[np.ndarray, " examples"]) -> Int64[np.ndarray, " examples"]:
        """The sequence of each example."""

    @abstractmethod
    def _draw(self, examples: Int64[np.ndarray, " examples"], random: np.random.Generator) -> Batch:
        """The rows of a batch, save for what is told of their sequences."""

    def widest(self, steps: int) -> int:  # noqa: ARG002 - all are alike, if none are sorted
        """The number of a batch as wide as any of the first ``steps``, in the first epoch."""
        return 0

    def __len__(self) -> int:
        return self.batches_per_epoch * self._config.epochs

    def __getitem__(self, index: int) -> Batch:
        if not 0 <= index < len(self):
            raise IndexError(f"batch {index} of {len(self)}")
        self._sequences.check()
        epoch, place = divmod(index, self.batches_per_epoch)
        size = self._config.batch_size
        examples = self._order(epoch)[place * size : (place + 1) * size]
        random = np.random.default_rng([self._config.seed, 1, index])
        batch = self._draw(examples, random)
        if self._told is not None:
            batch = batch._replace(told=self._tell(self._rows(examples), random))
        return _filled(batch, size - len(examples))

    def _draw_order(self, epoch: int) -> Int64[np.ndarray, " examples"]:
        return np.random.default_rng([self._config.seed, 0, epoch]).permutation(self._n_examples)

    def _tell(self, rows: Int64[np.ndarray, " examples"], random: np.random.Generator) -> Bag:
        """What is told of some sequences, each feature of it left out now and then."""
        assert self._told is not None
        bag, rate = self._told.bag.take(rows), self._config.feature_dropout
        if rate:
            for slots in self._told.slots:
                bag.weights[random.random(len(rows)) < rate, slots] = 0
        return bag

    def _inject_unknown(
        self, tokens: Int32[np.ndarray, "batch width"], random: np.random.Generator
    ) -> Int32[np.ndarray, "batch width"]:
        rate = self._config.unknown_rate
        assert not isinstance(rate, str), "the trainer settles good-turing"
        if rate == 0:
            return tokens
        chosen = random.random(tokens.shape) < rate
        return np.where(chosen & (tokens > UNK), INDEX_DTYPE(UNK), tokens)

    def _weights(
        self, ratings: Float32[np.ndarray, "batch labels"]
    ) -> Float32[np.ndarray, "batch labels"]:
        assert self._config.rating_scale is not None
        lowest, highest = self._config.rating_scale
        share = np.nan_to_num((ratings - lowest) / (highest - lowest), nan=1.0)
        return (LOWEST_WEIGHT + (1 - LOWEST_WEIGHT) * share).astype(np.float32)


def check_ratings(sequences: Sequences, scale: tuple[float, float]) -> None:
    """Refuse ratings that a scale does not hold.

    Raises:
        DatasetError: there are none, or one lies outside; it is named.
    """
    ratings, (lowest, highest) = sequences.ratings, scale
    if ratings is None:
        raise DatasetError(
            "training.rating_scale weighs labels by rating, but the log has no ratings",
            "leave it out, or prepare the dataset with a rating column",
        )
    outside = np.flatnonzero((ratings < lowest) | (ratings > highest))
    if len(outside):
        row = int(np.searchsorted(sequences.offsets, outside[0], side="right")) - 1
        raise DatasetError(
            f"{counted(len(outside), 'rating lies', 'ratings lie')} outside the scale "
            f"{lowest:g} to {highest:g}: the first is {ratings[outside[0]]:g}, "
            f"of sequence {sequences.ids[row].as_py()!r}",
            "set training.rating_scale to the log's lowest and highest rating",
        )


def _filled(batch: Batch, missing: int) -> Batch:
    """The batch with so many rows of padding behind it."""

    def fill(part: Any) -> Any:
        return np.pad(part, ((0, missing), *((0, 0),) * (part.ndim - 1)))

    parts: list[Any] = [part if part is None else fill(part) for part in batch[:-1]]
    told = batch.told and Bag(fill(batch.told.codes), fill(batch.told.weights))
    return Batch(*parts, told=told)
