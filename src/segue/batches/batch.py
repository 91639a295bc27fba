"""Batches of buckets: each is a pure function of its number, so a run can resume at any step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float32, Int32, Int64, Integer

from segue.batches.buckets import BucketShape, StratifiedOrder
from segue.batches.prompts import PromptLayout
from segue.dataset import Sequences
from segue.errors import DatasetError, quantity
from segue.features import FeatureIds, Features
from segue.tokens import INDEX_DTYPE, PAD, UNK

LOWEST_WEIGHT = 0.2
"""Weight of a label with the lowest rating; the highest rating has weight 1."""


class Bucket(NamedTuple):
    """Rows of equal length: input and labels of a training step or of the validation loss.

    Attributes:
        tokens: model input.
        labels: the item that follows each token; or, if a row is one target, that target alone.
            ``PAD`` where there is no label.
        last_positions: if a row is one target, the position of the last token before it, whose
            hidden state predicts it; else None.
        weights: weight of each label in the loss; None if all are equal.
        sequence_features: features of each row's sequence; None if the model reads none.
    """

    tokens: Int32[np.ndarray, "batch length"]
    labels: Int32[np.ndarray, "batch labels"]
    last_positions: Int32[np.ndarray, " batch"] | None = None
    weights: Float32[np.ndarray, "batch labels"] | None = None
    sequence_features: FeatureIds | None = None


Batch = tuple[Bucket, ...]
"""The rows of one step, in buckets of rows of equal length."""


def n_labels(batch: Batch) -> int:
    """Number of labels of a batch, without padding."""
    return sum(int(np.count_nonzero(bucket.labels != PAD)) for bucket in batch)


@dataclass(frozen=True)
class BatchOptions:
    """How batches are drawn. The defaults read every example once, without random changes.

    ``TrainingConfig`` describes the options that have the same names there.

    Attributes:
        batch_size: the most rows of a batch.
        epochs: number of epochs.
        seed: of the order of the examples and of all random changes.
        window: which part of a sequence longer than the context is read.
        horizon: the label of a position is drawn from this many of the next events.
        bucket_by_length: whether the rows of a batch are computed in buckets of similar length.
        unknown_rate: share of the events that are replaced by UNK.
        feature_dropout: share of the rows from which a sequence feature is dropped.
        rating_scale: the lowest and highest rating, if labels are weighted by rating.
    """

    batch_size: int
    epochs: int = 1
    seed: int = 0
    window: Literal["last", "random"] = "last"
    horizon: int = 1
    bucket_by_length: bool = False
    unknown_rate: float = 0.0
    feature_dropout: float = 0.0
    rating_scale: tuple[float, float] | None = None


class Batches(ABC):
    """The batches of all epochs, as a random-access source for Grain.

    ``batches[i]`` is a complete batch. Every epoch visits every example once, in an order drawn
    from the seed and the epoch. All batches have the same shapes: a batch with one example less
    than the others has a row of padding.

    Attributes:
        options: how the batches are drawn.
        sequences: the sequences that they are drawn from.
        batches_per_epoch: number of batches per epoch.
    """

    def __init__(
        self,
        n_positions: Integer[np.ndarray, " examples"],
        sequences: Sequences,
        layout: PromptLayout,
        options: BatchOptions,
        features: Features,
    ) -> None:
        """Choose the order of the examples and the buckets.

        Args:
            n_positions: number of positions of each example, from 1 to the context.
        """
        self.sequences = sequences
        self._layout = layout
        self._features = features
        self.options = options
        if not options.bucket_by_length or layout.left_padding:
            n_positions = np.full_like(n_positions, layout.context)
        self._order = StratifiedOrder(n_positions, options.batch_size, options.seed)
        self.batches_per_epoch = self._order.n_batches

    @abstractmethod
    def _rows(self, examples: Int64[np.ndarray, " examples"]) -> Int64[np.ndarray, " examples"]:
        """The row number of each example's sequence in the dataset."""

    @abstractmethod
    def _draw(
        self, examples: Int64[np.ndarray, " examples"], length: int, random: np.random.Generator
    ) -> Bucket:
        """A bucket of some examples, without sequence features.

        Args:
            length: positions per row; no example needs more.
        """

    @abstractmethod
    def _events_before_labels(
        self, examples: Int64[np.ndarray, " examples"], length: int
    ) -> Int64[np.ndarray, "examples labels"]:
        """The number of events before each label; see ``label_histories``."""

    def label_histories(
        self, index: int
    ) -> list[tuple[Int64[np.ndarray, " batch"], Int64[np.ndarray, "batch labels"]]]:
        """The history of each label of a batch, if the last window of a sequence is read.

        Returns:
            For each bucket, the row of each sequence, and the number of its first events that are
            the history of each label; -1 for labels whose history starts later.
        """
        epoch, number = divmod(index, self.batches_per_epoch)
        histories = []
        for examples, shape in zip(
            self._order.examples(epoch, number), self._order.shapes, strict=True
        ):
            padding = (0, shape.rows - len(examples))
            n_events = self._events_before_labels(examples, shape.length)
            histories.append(
                (np.pad(self._rows(examples), padding), np.pad(n_events, (padding, (0, 0))))
            )
        return histories

    def __len__(self) -> int:
        return self.batches_per_epoch * self.options.epochs

    def __getitem__(self, index: int) -> Batch:
        if not 0 <= index < len(self):
            raise IndexError(f"batch {index} of {len(self)}")
        self.sequences.check()
        epoch, number = divmod(index, self.batches_per_epoch)
        random = np.random.default_rng([self.options.seed, 1, index])
        return tuple(
            self._bucket(examples, shape, random)
            for examples, shape in zip(
                self._order.examples(epoch, number), self._order.shapes, strict=True
            )
        )

    def _bucket(
        self,
        examples: Int64[np.ndarray, " examples"],
        shape: BucketShape,
        random: np.random.Generator,
    ) -> Bucket:
        bucket = self._draw(examples, shape.length, random)
        sequence_features = self._draw_sequence_features(self._rows(examples), random)
        bucket = bucket._replace(sequence_features=sequence_features)
        return _with_padding_rows(bucket, shape.rows - len(examples))

    def _draw_sequence_features(
        self, rows: Int64[np.ndarray, " examples"], random: np.random.Generator
    ) -> FeatureIds | None:
        """The features of some sequences, each dropped at the rate ``feature_dropout``."""
        if self._features.sequences is None:
            return None
        feature_ids = self._features.sequences.take(rows)
        rate = self.options.feature_dropout
        if rate:
            for slots in self._features.vocabulary.feature_slots:
                feature_ids.weights[random.random(len(rows)) < rate, slots] = 0
        return feature_ids

    def _inject_unknown(
        self, tokens: Int32[np.ndarray, "batch width"], random: np.random.Generator
    ) -> Int32[np.ndarray, "batch width"]:
        """Replace items by UNK at the rate ``unknown_rate``."""
        rate = self.options.unknown_rate
        if rate == 0:
            return tokens
        is_drawn = random.random(tokens.shape) < rate
        return np.where(is_drawn & (tokens > UNK), INDEX_DTYPE(UNK), tokens)

    def _label_weights(
        self, ratings: Float32[np.ndarray, "batch labels"]
    ) -> Float32[np.ndarray, "batch labels"]:
        """Weights from ``LOWEST_WEIGHT`` to 1, linear in the rating; 1 for unrated events."""
        assert self.options.rating_scale is not None
        lowest, highest = self.options.rating_scale
        share = np.nan_to_num((ratings - lowest) / (highest - lowest), nan=1.0)
        return (LOWEST_WEIGHT + (1 - LOWEST_WEIGHT) * share).astype(np.float32)


def check_ratings(sequences: Sequences, scale: tuple[float, float]) -> None:
    """Check that there are ratings and that all are within a scale.

    Args:
        scale: the lowest and the highest rating.

    Raises:
        DatasetError: there are none, or one is outside; the message names it.
    """
    ratings, (lowest, highest) = sequences.ratings, scale
    if ratings is None:
        raise DatasetError(
            "training.rating_scale weighs labels by rating, but the log has no ratings",
            "remove it, or prepare the dataset with a rating column",
        )
    outside = np.flatnonzero((ratings < lowest) | (ratings > highest))
    if len(outside):
        row = int(np.searchsorted(sequences.offsets, outside[0], side="right")) - 1
        raise DatasetError(
            f"{quantity(len(outside), 'rating is', 'ratings are')} outside the scale "
            f"{lowest:g} to {highest:g}: the first is {ratings[outside[0]]:g}, "
            f"of sequence {sequences.ids[row].as_py()!r}",
            "set training.rating_scale to the log's lowest and highest rating",
        )


def _with_padding_rows(bucket: Bucket, n_rows: int) -> Bucket:
    """The bucket followed by ``n_rows`` rows of zeros, which are padding."""
    if n_rows == 0:
        return bucket

    def pad(array: Any) -> Any:
        return np.pad(array, ((0, n_rows), *((0, 0),) * (array.ndim - 1)))

    arrays: list[Any] = [array if array is None else pad(array) for array in bucket[:-1]]
    sequence_features = bucket.sequence_features and FeatureIds(
        pad(bucket.sequence_features.ids), pad(bucket.sequence_features.weights)
    )
    return Bucket(*arrays, sequence_features=sequence_features)
