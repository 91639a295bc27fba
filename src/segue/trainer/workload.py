"""A run, as far as its memory and its time depend on it."""

from __future__ import annotations

from dataclasses import dataclass

import optax
from flax import nnx

from segue.batches import Batch, TrainingBatches
from segue.batches.sequences import BATCHES_SORTED
from segue.config import Config
from segue.dataset import Dataset
from segue.features import Features
from segue.losses import rows_per_block
from segue.model import Transformer
from segue.optimizers import Table, optimizer
from segue.trainer.state import abstract_state, fresh_state
from segue.trainer.step import State

SAMPLE = 4
"""Batches of one width to look at; of several widths, as many as are sorted together."""


@dataclass(frozen=True)
class Workload:
    """A run, as far as its memory and time depend on it.

    Attributes:
        sample: the first of its batches.
        batch: the widest of those that it takes of the first epoch.
        total_steps: of all epochs, were no patience to end it before.
    """

    config: Config
    data: Dataset
    features: Features
    sample: tuple[Batch, ...]
    batch: Batch
    steps_per_epoch: int
    total_steps: int

    @classmethod
    def of(
        cls, config: Config, data: Dataset, features: Features, batches: TrainingBatches
    ) -> Workload:
        """The work of a run."""
        total = min(len(batches), config.training.max_steps or len(batches))
        wanted = BATCHES_SORTED if config.training.bucket else SAMPLE
        sample = tuple(batches[i] for i in range(min(wanted, len(batches))))
        widest = batches[batches.widest(total)]
        return cls(config, data, features, sample, widest, batches.batches_per_epoch, total)

    @property
    def table_size(self) -> int:
        """Rows of an item table."""
        return self.data.table_size

    @property
    def negatives(self) -> int:
        """Drawn for a step, and labels that count as such; 0 where the softmax is exact."""
        loss, labels = self.config.loss, self.batch.labels.size
        if loss.kind == "softmax":
            return 0
        drawn = loss.negatives if loss.shared_negatives else loss.negatives * labels
        return drawn + labels * loss.in_batch

    @property
    def touched(self) -> dict[Table, int]:
        """Rows of each table that a step makes room for when it takes only some."""
        batch, known, sizes = self.batch, self.features.items, self.features.sizes
        items = min(1 + batch.tokens.size + batch.labels.size + self.negatives, self.table_size)
        codes = 0 if known is None else 1 + items * known.bag.codes.shape[1]
        told = 0 if batch.told is None else 1 + batch.told.codes.size
        return {
            "items": items,
            "item codes": min(codes, sizes.item_codes),
            "sequence codes": min(told, sizes.sequence_codes),
        }

    @property
    def output_width(self) -> int:
        """Dimensions of the vectors that make the logits."""
        model = self.config.model
        return model.head_width if model.head == "flatten" else model.width

    @property
    def block_rows(self) -> int | None:
        """Rows that the exact softmax takes at a time; None where it is sampled."""
        if self.config.loss.kind != "softmax":
            return None
        return rows_per_block(self.batch.labels.size, self.table_size)

    @property
    def tx(self) -> optax.GradientTransformation:
        """How the run's gradients become updates."""
        return optimizer(self.config.optimizer, self.total_steps)

    def abstract_state(self) -> tuple[nnx.GraphDef[Transformer], State]:
        """The model, and shapes and dtypes in the place of the state's arrays."""
        return abstract_state(self.config, self.table_size, self.features.sizes, self.tx)

    def fresh_state(self) -> State:
        """What the run begins with."""
        return fresh_state(self.config, self.data, self.features.sizes, self.tx)
