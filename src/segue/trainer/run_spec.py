"""``RunSpec``: configuration, dataset, features, batches and sizes of a run before it starts."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import optax
from flax import nnx

from segue.batches import Batch, Batches, BatchOptions
from segue.config import Config
from segue.dataset import Dataset
from segue.errors import ConfigError
from segue.features import Features, SequenceVocabulary, check_item_features
from segue.losses import logits_at_a_time
from segue.model import HEADS, Transformer
from segue.optimizers import SparseTable, optimizer
from segue.trainer.data import training_batches
from segue.trainer.inputs import StepConstants, draws_by_popularity, log_shares
from segue.trainer.step import jitted_step, sparse_tables_of
from segue.trainer.train_state import TrainState, abstract_state, initial_state

SAMPLE_BATCHES = 4
"""Number of sample batches, all of the same shapes."""


MAX_STEPS = 2**31 - 1
"""Steps are counted in int32 on the device."""


@dataclass(frozen=True)
class RunSpec:
    """Everything that the memory and the time of a training run depend on.

    It is created before the run starts. From it follow the size of the state and the number of
    rows that a step reads, which the memory estimate and the planner use; the trainer starts
    from the same object.

    Attributes:
        config: the configuration.
        data: the prepared dataset.
        features: the features that the model reads.
        unknown_rate: share of the events that the training batches replace by UNK.
        sample_batches: the first training batches. All have the same shapes.
        steps_per_epoch: number of batches per epoch.
        total_steps: number of steps of the run unless ``training.patience`` ends it earlier.
    """

    config: Config
    data: Dataset
    features: Features
    unknown_rate: float
    sample_batches: tuple[Batch, ...]
    steps_per_epoch: int
    total_steps: int

    @classmethod
    def of(cls, config: Config, data: Dataset, features: Features, batches: Batches) -> RunSpec:
        """Determine the sizes of a run from its training batches.

        Raises:
            ConfigError: the run has more steps than the device can count.
        """
        total_steps = min(len(batches), config.training.max_steps or len(batches))
        if total_steps > MAX_STEPS:
            raise ConfigError(
                f"training.epochs {config.training.epochs} are {total_steps} steps, expected at "
                f"most {MAX_STEPS}",
                "set training.max_steps, or fewer epochs",
            )
        sample = tuple(batches[i] for i in range(min(SAMPLE_BATCHES, len(batches))))
        return cls(
            config=config,
            data=data,
            features=features,
            unknown_rate=batches.options.unknown_rate,
            sample_batches=sample,
            steps_per_epoch=batches.batches_per_epoch,
            total_steps=total_steps,
        )

    @property
    def vocabulary_size(self) -> int:
        """Number of rows of the item embeddings: special tokens and catalogue."""
        return self.data.vocabulary_size

    @property
    def bucket_shapes(self) -> list[tuple[int, int]]:
        """Rows and length of each bucket of a batch."""
        return [bucket.tokens.shape for bucket in self.sample_batches[0]]

    @property
    def n_positions(self) -> int:
        """Number of positions of a batch, padding included."""
        return sum(rows * length for rows, length in self.bucket_shapes)

    @property
    def n_labels(self) -> int:
        """Number of labels of a batch, padding included."""
        return sum(bucket.labels.size for bucket in self.sample_batches[0])

    @property
    def n_negatives(self) -> int:
        """Number of negatives per step, in-batch labels included; 0 for the exact softmax."""
        loss, n_labels = self.config.loss, self.n_labels
        if loss.kind == "softmax":
            return 0
        n_drawn = loss.negatives if loss.shared_negatives else loss.negatives * n_labels
        return n_drawn + n_labels * loss.in_batch

    @property
    def sparse_row_counts(self) -> dict[SparseTable, int]:
        """Number of rows that a step with sparse updates gathers, at most, per table."""
        item_features, sizes = self.features.items, self.features.sizes
        n_items = min(1 + self.n_positions + self.n_labels + self.n_negatives, self.vocabulary_size)
        n_item_ids = (
            0 if item_features is None else 1 + n_items * item_features.feature_ids.ids.shape[1]
        )
        n_sequence_ids = 1 + sum(
            bucket.sequence_features.ids.size
            for bucket in self.sample_batches[0]
            if bucket.sequence_features is not None
        )
        return {
            "items": n_items,
            "item features": min(n_item_ids, sizes.n_item_feature_ids),
            "sequence features": min(n_sequence_ids, sizes.n_sequence_feature_ids),
        }

    @property
    def output_width(self) -> int:
        """Width of the output embeddings, of which the logits are inner products."""
        model = self.config.model
        return HEADS[model.head].output_width(model)

    @property
    def softmax_logits(self) -> int | None:
        """Logits of the exact softmax in memory at a time; None for a sampled one."""
        if self.config.loss.kind != "softmax":
            return None
        return logits_at_a_time(self.n_labels, self.vocabulary_size)

    @property
    def tx(self) -> optax.GradientTransformation:
        """The optimizer of the run."""
        return optimizer(self.config.optimizer, self.total_steps)

    def abstract_state(self) -> tuple[nnx.GraphDef[Transformer], TrainState]:
        """The model graph, and the state with shapes and dtypes instead of arrays."""
        return abstract_state(self.config, self.vocabulary_size, self.features.sizes, self.tx)

    def initial_state(self) -> TrainState:
        """The initial parameters and optimizer state."""
        return initial_state(self.config, self.data, self.features.sizes, self.tx)

    def step(self) -> jax.stages.Wrapped:
        """The training step of the run; see ``jitted_step``."""
        graph, _ = self.abstract_state()
        key = jax.random.key(self.config.training.seed)
        sparse_tables = sparse_tables_of(self.config)
        return jitted_step(graph, self.tx, self.config.loss, key, sparse_tables=sparse_tables)

    def abstract_constants(self) -> StepConstants:
        """The constants of the steps, with shapes and dtypes instead of arrays."""
        return jax.eval_shape(self._constants)

    def constants(self) -> StepConstants:
        """The constants of the steps, placed on the device."""
        return jax.device_put(self._constants())

    def _constants(self) -> StepConstants:
        """The constants of the steps, in the memory of the host."""
        loss, order, shares = self.config.loss, None, None
        if draws_by_popularity(loss):
            order = self.data.popularity_order
        if loss.in_batch:
            shares = log_shares(self.data, self.config, self.unknown_rate)
        return StepConstants(self.features.items, order, shares)


def spec_of(config: Config, data: Dataset) -> tuple[RunSpec, Batches]:
    """The sizes of a run, and its training batches.

    Raises:
        ConfigError: the configuration does not fit the dataset.
    """
    features, batches = training_inputs(config, data)
    return RunSpec.of(config, data, features, batches), batches


def training_inputs(
    config: Config, data: Dataset, options: BatchOptions | None = None
) -> tuple[Features, Batches]:
    """The features and the training batches of a run.

    Args:
        options: how the batches are drawn; by default as the configuration says.

    Raises:
        ConfigError: the configuration does not fit the dataset.
    """
    _check_compatible(config, data)
    check_item_features(data.items, config.model.item_features, data.vocabulary_size)
    vocabulary = SequenceVocabulary.of(data.sequences, config.model.sequence_features)
    features = Features.of(
        data.items, data.vocabulary_size, config.model, vocabulary, data.sequences
    )
    return features, training_batches(data, config, features, options)


def _check_compatible(config: Config, data: Dataset) -> None:
    """Raise ConfigError if the configuration does not fit the dataset."""
    rule, metric = data.split_rule, config.training.validation_metric
    if "@" in metric and int(metric.split("@")[1]) > data.n_candidates:
        raise ConfigError(
            f"{metric} needs more items than the {data.n_candidates} that may be recommended",
            "set training.validation_metric=mrr",
        )
    if config.loss.in_batch and config.loss.kind == "softmax":
        raise ConfigError(
            "loss.in_batch adds negatives, but loss.kind 'softmax' compares with every item",
            "set loss.in_batch=false, or loss.kind=sampled-softmax",
        )
    if config.model.end and not rule.whole_sequences:
        raise ConfigError(
            f"model.end learns where sequences end, but the split {rule.kind} cuts off their ends",
            "set model.end=false, or prepare with --split holdout",
        )
