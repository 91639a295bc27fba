"""How much memory a run takes, counted before it begins.

Parameters and the optimizer's state are counted exactly, from their shapes. What a step holds
beside them follows from a formula, whose factors were fitted to XLA's own figures for models
of one to six layers, contexts of 12 to 200 and tables of a hundred to 2.3 million rows. It
needs no compiler, and is from .8 to 1.5 times XLA's figure there.
"""

from __future__ import annotations

from typing import Any

import jax
import msgspec

from segue.dataset import target_rows
from segue.dataset.manifest import SEQUENCES
from segue.optimizers import table_of
from segue.recommender.network import HISTORIES_PER_BLOCK
from segue.runtime import resident_memory
from segue.tensors import BLOCK_BYTES
from segue.trainer.singular_vectors import OVERSAMPLING
from segue.trainer.step import State, tables_by_rows
from segue.trainer.workload import Workload

FLOAT = 4
"""Bytes."""
WIDTHS_HELD, INNER_WIDTHS_HELD, MAPS_HELD = 10, 3, 3
"""What a block holds of each position for the backward pass: vectors of the model's width,
vectors of the feed-forward network's, and rows of an attention map for each head."""
LOGITS_HELD = 2
"""Arrays of logits at a time: they and their gradient."""
DENSE_GRADIENTS = 2
"""Arrays of the size of the parameters at a time, where a step updates them all: their
gradient and their updates."""
INDEX_BYTES = 12
"""Of an item while models are ranked: where it is in three numberings."""
READ_BLOCKS = 3
"""Blocks held while a checkpoint is read: from the file, for the device, and in its place."""
VECTORS_DECOMPOSED = 4
"""Copies of the singular vectors while they are computed."""
EVENT_BYTES = 24
"""Of a training event meanwhile: where it is in the matrix of sequences by items, twice."""
SEQUENCE_BYTES = 32
"""Of a sequence while those to be asked about are drawn."""
TARGET_BYTES = 40
"""Of a held-out event that is asked about."""
COMPILER = 250_000_000
"""What compiling leaves behind in the process."""


class MemoryUse(msgspec.Struct, frozen=True):
    """Bytes of a run, by what they are for.

    Attributes:
        process: the libraries and what was read already.
        compiler: what compiling adds to it.
        dataset: what is mapped of the sequences; the system takes it back when it needs it.
        parameters: of the model.
        optimizer: the optimizer's state.
        features: what is known of the items beside their ids, and vectors for blending.
        gradients: of a step, with the updates made of them.
        activations: of a step, kept for the backward pass.
        logits: of a step, with the output vectors they are made of.
        step: what a step holds at its peak beside the state, gradients to logits.
        validation: what a validation holds beside the state.
        beginning: what computing the first embeddings holds, before there is a state.
        resume: what reading a checkpoint holds beside the state.
    """

    process: int
    compiler: int
    dataset: int
    parameters: int
    optimizer: int
    features: int
    gradients: int
    activations: int
    logits: int
    step: int
    validation: int
    beginning: int
    resume: int

    @property
    def always(self) -> int:
        """What is there from the first step to the last."""
        state = self.parameters + self.optimizer
        return self.process + self.compiler + self.dataset + self.features + state

    @property
    def training(self) -> int:
        """The peak of a run."""
        before = self.process + self.dataset + self.parameters + self.beginning
        return max(self.always + max(self.step, self.validation), before)

    @property
    def saving(self) -> int:
        """The peak while a checkpoint is written: from where the arrays lie."""
        return self.always

    @property
    def resuming(self) -> int:
        """The peak of a run that is resumed, until its first step."""
        return self.always + self.resume

    @property
    def needed(self) -> int:
        """What has to be free for the run: its peak without what is there or can be dropped."""
        return max(self.training, self.resuming) - self.process - self.dataset


def estimate(work: Workload) -> MemoryUse:
    """Count the memory of a run."""
    _, state = work.abstract_state()
    gradients, activations, logits = _gradients(work, state), _activations(work), _logits(work)
    return MemoryUse(
        process=resident_memory(),
        compiler=COMPILER,
        dataset=(work.data.path / SEQUENCES).stat().st_size,
        parameters=size_of(state.params),
        optimizer=size_of(state.moments),
        features=_features(work),
        gradients=gradients,
        activations=activations,
        logits=logits,
        step=gradients + activations + logits,
        validation=_validation(work, logits),
        beginning=_beginning(work),
        resume=READ_BLOCKS * BLOCK_BYTES,
    )


def size_of(tree: Any) -> int:
    """Bytes of the arrays of a tree, or of what has their shapes."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def _gradients(work: Workload, state: State) -> int:
    by_rows, of_rows, rest = tables_by_rows(work.config), 0, 0
    # Of the tables, the touched rows are taken out with their moments, and have a gradient.
    for path, leaf in jax.tree_util.tree_leaves_with_path((state, state.params)):
        if (table := table_of(path)) in by_rows:
            of_rows += leaf.size // len(leaf) * work.touched[table]
    for path, leaf in jax.tree_util.tree_leaves_with_path(state.params):
        if table_of(path) not in by_rows:
            rest += leaf.size
    return FLOAT * (DENSE_GRADIENTS * rest + of_rows)


def _activations(work: Workload) -> int:
    model, length = work.config.model, work.batch.tokens.shape[1]
    vectors = WIDTHS_HELD * model.width + INNER_WIDTHS_HELD * model.feed_forward
    held = model.layers * (vectors + MAPS_HELD * model.heads * length)
    return FLOAT * work.batch.tokens.size * held


def _logits(work: Workload) -> int:
    loss, labels = work.config.loss, work.batch.labels.size
    if work.block_rows is not None:
        return FLOAT * (LOGITS_HELD * labels * work.block_rows + _described(work, work.table_size))
    described = _described(work, work.touched["items"])
    if loss.shared_negatives:
        return FLOAT * (LOGITS_HELD * labels * work.negatives + described)
    # Each position has vectors of its own, which take a gradient too.
    return FLOAT * (LOGITS_HELD * work.negatives * (work.output_width + 1) + described)


def _described(work: Workload, rows: int) -> int:
    """Numbers of the embeddings of what is known of some items, before they are summed up."""
    items = work.features.items
    return 0 if items is None else rows * items.bag.codes.shape[1] * work.config.model.width


def _features(work: Workload) -> int:
    """On the device, beside those that were read."""
    shares = FLOAT * work.table_size * work.config.loss.in_batch
    blended = FLOAT * work.table_size * work.config.blend.vectors
    return size_of(work.features.items) + shares + blended


def _validation(work: Workload, logits: int) -> int:
    """The events to be asked about, the states of some histories, and the output table where
    it is not the item table."""
    model, config = work.config.model, work.config
    if config.training.validation_metric == "loss":
        return logits
    positions = HISTORIES_PER_BLOCK * model.context
    held = 4 * model.width + model.feed_forward + 2 * model.heads * model.context
    copied = 0
    if work.features.items is not None or config.blend.vectors:
        copied = work.table_size * (work.output_width + config.blend.vectors)
        if model.table_precision != "float32":
            copied += work.table_size * work.output_width  # widened, before vectors join it
        copied += _described(work, work.table_size)
    drawing = INDEX_BYTES * work.table_size + _drawing(work)
    return max(logits, FLOAT * (positions * held + copied) + drawing)


def _drawing(work: Workload) -> int:
    """Whom to ask about, of all sequences, and their held-out events."""
    sequences, split = work.data.sequences, work.data.manifest.split
    if sequences.target_parts is not None:
        held_out = round(split.validation_share * len(sequences.items))
    else:
        held_out = int((sequences.valid_end - sequences.train_end).sum())
    possible = len(target_rows(sequences, split, "validation"))
    share = min(work.config.training.validation_sequences / max(possible, 1), 1)
    return SEQUENCE_BYTES * len(sequences) + TARGET_BYTES * round(share * held_out)


def _beginning(work: Workload) -> int:
    """Singular vectors, with the parameters already there."""
    model = work.config.model
    warm = model.width if model.initialisation == "singular-vectors" else 0
    vectors = max(warm, work.config.blend.vectors)
    if not vectors:
        return 0
    sequences = work.data.sequences
    of_items = VECTORS_DECOMPOSED * vectors * work.table_size
    of_sequences = (vectors + OVERSAMPLING) * len(sequences)
    return FLOAT * (of_items + of_sequences) + EVENT_BYTES * len(sequences.items)
