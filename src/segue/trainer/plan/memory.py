"""Estimate the memory of a training run before it starts.

Parameters and optimizer state are counted exactly, from their shapes. The other memory of a step
follows from a formula, which needs no compilation. Its factors were fitted to XLA's own figures
for models of 1 to 6 layers, contexts of 12 to 200 and 100 to 2.3 million items; there the formula
gives 0.8 to 1.5 times XLA's figure.
"""

from __future__ import annotations

from typing import Any

import jax
import msgspec

from segue.baselines.head_ranker import HEAD_ITEMS
from segue.baselines.singular_vectors import OVERSAMPLING
from segue.config.training import MemberName
from segue.dataset.manifest import SEQUENCES
from segue.machine import resident_memory
from segue.optimizers import sparse_table_of
from segue.recommender.shapes import MAX_ROWS
from segue.storage.arrays import BLOCK_BYTES
from segue.trainer.ensemble.fit import PURESVD_FACTORS
from segue.trainer.run_spec import RunSpec, spec_of
from segue.trainer.second import second_config
from segue.trainer.step import sparse_tables_of
from segue.trainer.train_state import TrainState

FLOAT_BYTES = 4
MODEL_VECTORS, FEED_FORWARD_VECTORS, ATTENTION_ROWS = 10, 3, 3
"""What a block keeps per position for the backward pass: vectors of the model's width, vectors of
the feed-forward width, and rows of the attention map of each head."""
LOGITS_COPIES = 2
"""Arrays of logits at the same time: the logits and their gradient."""
GRADIENT_COPIES = 2
"""Arrays of the size of the densely updated parameters at the same time: gradient and updates."""
ITEM_BYTES = 12
"""Bytes per item during a validation: its index in three numberings."""
READ_BLOCKS = 3
"""Blocks in memory while a checkpoint is read: from the file, for the device, and in its array."""
SVD_COPIES = 4
"""Copies of the singular vectors while they are computed."""
SVD_EVENT_BYTES = 24
"""Bytes per training event meanwhile: its entry in the matrix and in the transposed matrix."""
SEQUENCE_BYTES = 32
"""Bytes per sequence while the validation sequences are sampled."""
TARGET_BYTES = 40
"""Bytes per validation target."""
EASE_BYTES, TALE_BYTES = 20, 40
"""Bytes per pair of items of the head while a linear model is fitted: measured for heads of 3,416
and of 5,000 items."""
PAIRS_BYTES, EVENT_PAIRS_BYTES, MAX_PAIRS_BYTES = 60_000_000, 250, 1_200_000_000
"""Co-occurrence: a block of pairs, the pairs of an event within the window, and all pairs."""
NEIGHBOURS_BYTES, ITEM_NEIGHBOURS_BYTES = 250_000_000, 2_000
"""Item-kNN: a block of pairs, and the neighbours of an item."""
COMPILER_BYTES = 250_000_000
"""Memory that compilation leaves allocated in the process."""


class MemoryUse(msgspec.Struct, frozen=True):
    """Memory of a training run in bytes, by purpose.

    Attributes:
        process: the process before the run: libraries, items.
        compiler: memory that compilation leaves allocated.
        dataset: memory-mapped sequences; the system can reclaim it.
        parameters: the parameters of the model.
        optimizer: the optimizer state.
        features: item features, constants of the negatives and vectors of the ensemble.
        gradients: gradients and updates of a step.
        activations: activations of a step that are kept for the backward pass.
        logits: logits of a step and the feature embeddings of the items they are of.
        step: peak of a step in addition to the state: gradients, activations and logits.
        validation: peak of a validation in addition to the state.
        initialisation: peak of computing singular vectors, before the optimizer state exists.
        resume: peak of reading a checkpoint in addition to the state.
        second: peak of training the second transformer in addition to the state of the first one.
        members: peak of fitting the other members of the ensemble in addition to that state.
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
    initialisation: int
    resume: int
    second: int = 0
    members: int = 0

    @property
    def steady(self) -> int:
        """Memory that is in use from the first step to the last."""
        state = self.parameters + self.optimizer
        return self.process + self.compiler + self.dataset + self.features + state

    @property
    def training(self) -> int:
        """Peak memory of the run."""
        before = self.process + self.dataset + self.parameters + self.initialisation
        phases = (self.step, self.validation, self.second, self.members)
        return max(self.steady + max(phases), before)

    @property
    def saving(self) -> int:
        """Peak memory while a checkpoint is written; the arrays are not copied."""
        return self.steady

    @property
    def resuming(self) -> int:
        """Peak memory of a resumed run until its first step."""
        return self.steady + self.resume

    @property
    def needed(self) -> int:
        """Memory that must be free: the peak without the process so far and the mapped dataset."""
        return max(self.training, self.resuming) - self.process - self.dataset


def estimate_memory(spec: RunSpec) -> MemoryUse:
    """Estimate the memory of a run, without compiling it or allocating its state."""
    _, state = spec.abstract_state()
    gradients, activations, logits = _gradients(spec, state), _activations(spec), _logits(spec)
    return MemoryUse(
        process=resident_memory(),
        compiler=COMPILER_BYTES,
        dataset=(spec.data.path / SEQUENCES).stat().st_size,
        parameters=tree_bytes(state.params),
        optimizer=tree_bytes(state.optimizer_state),
        features=_features(spec),
        gradients=gradients,
        activations=activations,
        logits=logits,
        step=gradients + activations + logits,
        validation=_validation(spec, logits),
        initialisation=_initialisation(spec),
        resume=READ_BLOCKS * BLOCK_BYTES,
        second=_second(spec),
        members=_members(spec),
    )


def tree_bytes(tree: Any) -> int:
    """Bytes of the arrays in a tree; leaves may be shapes with dtypes instead of arrays."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def _gradients(spec: RunSpec, state: TrainState) -> int:
    sparse_tables, n_sparse, n_dense = sparse_tables_of(spec.config), 0, 0
    # Sparse tables: the gathered rows of parameters and optimizer state, and a gradient.
    for path, leaf in jax.tree_util.tree_leaves_with_path((state, state.params)):
        if (table := sparse_table_of(path)) in sparse_tables:
            n_sparse += leaf.size // len(leaf) * spec.sparse_row_counts[table]
    for path, leaf in jax.tree_util.tree_leaves_with_path(state.params):
        if sparse_table_of(path) not in sparse_tables:
            n_dense += leaf.size
    return FLOAT_BYTES * (GRADIENT_COPIES * n_dense + n_sparse)


def _activations(spec: RunSpec) -> int:
    model = spec.config.model
    vectors = MODEL_VECTORS * model.width + FEED_FORWARD_VECTORS * model.feed_forward
    floats = sum(
        rows * length * (vectors + ATTENTION_ROWS * model.heads * length)
        for rows, length in spec.bucket_shapes
    )
    return FLOAT_BYTES * model.layers * floats


def _logits(spec: RunSpec) -> int:
    loss, n_labels = spec.config.loss, spec.n_labels
    if spec.softmax_logits is not None:
        embeddings = _feature_embeddings(spec, spec.vocabulary_size)
        return FLOAT_BYTES * (LOGITS_COPIES * spec.softmax_logits + embeddings)
    embeddings = _feature_embeddings(spec, spec.sparse_row_counts["items"])
    if loss.shared_negatives:
        return FLOAT_BYTES * (LOGITS_COPIES * n_labels * spec.n_negatives + embeddings)
    # Each position gathers the embeddings of its own negatives, and these have a gradient.
    return FLOAT_BYTES * (LOGITS_COPIES * spec.n_negatives * (spec.output_width + 1) + embeddings)


def _feature_embeddings(spec: RunSpec, rows: int) -> int:
    """Number of floats in the feature embeddings of so many items, before their sum per item."""
    items = spec.features.items
    return 0 if items is None else rows * items.feature_ids.ids.shape[1] * spec.config.model.width


def _features(spec: RunSpec) -> int:
    """The constants of the steps and the vectors of the ensemble, on the device."""
    ensemble = FLOAT_BYTES * spec.vocabulary_size * spec.config.ensemble.puresvd_factors
    return tree_bytes(spec.abstract_constants()) + ensemble


def _validation(spec: RunSpec, logits: int) -> int:
    """Validation targets, hidden states of a block of histories, and vectors of all items.

    The output embeddings take memory of their own only if item features are added to them.
    """
    model, config = spec.config.model, spec.config
    if config.training.validation_metric == "loss":
        return logits
    positions = MAX_ROWS * model.context
    per_position = 4 * model.width + model.feed_forward + 2 * model.heads * model.context
    item_vectors = spec.vocabulary_size * config.ensemble.puresvd_factors
    if spec.features.items is not None:
        item_vectors += spec.vocabulary_size * spec.output_width
        item_vectors += _feature_embeddings(spec, spec.vocabulary_size)
    targets = ITEM_BYTES * spec.vocabulary_size + _targets(spec)
    return max(logits, FLOAT_BYTES * (positions * per_position + item_vectors) + targets)


def _targets(spec: RunSpec) -> int:
    """Sampling the validation sequences, and their targets."""
    sequences = spec.data.sequences
    held_out = spec.data.split_rule.n_validation_events(sequences)
    possible = len(spec.data.target_rows("validation"))
    share = min(spec.config.training.validation_sequences / max(possible, 1), 1)
    # The states of the loss are kept for the ranks.
    per_target = TARGET_BYTES + FLOAT_BYTES * spec.output_width
    return SEQUENCE_BYTES * len(sequences) + per_target * round(share * held_out)


def _second(spec: RunSpec) -> int:
    """The second transformer with its state, a step and a validation."""
    if not spec.config.ensemble.has_second:
        return 0
    second, _ = spec_of(second_config(spec.config, spec.data), spec.data)
    memory = estimate_memory(second)
    return memory.training - memory.process - memory.dataset - memory.compiler


def _members(spec: RunSpec) -> int:
    """The largest fit of a member; members are fitted one after another, and those kept are small.

    The scores of the fitting requests are less than any of them.
    """
    n_events, n_items = len(spec.data.sequences.items), spec.data.n_catalogue
    head = min(n_items, HEAD_ITEMS)
    peaks: dict[MemberName, int] = {
        "co-occurrence": PAIRS_BYTES + min(EVENT_PAIRS_BYTES * n_events, MAX_PAIRS_BYTES),
        "ease": EASE_BYTES * head**2,
        "item-knn": NEIGHBOURS_BYTES + ITEM_NEIGHBOURS_BYTES * n_items,
        "puresvd": _singular_vectors(spec, min(PURESVD_FACTORS, n_items)),
        "tale": TALE_BYTES * head**2,
    }
    return max((peaks[name] for name in spec.config.ensemble.members), default=0)


def _initialisation(spec: RunSpec) -> int:
    """Computing singular vectors; the parameters exist already."""
    model = spec.config.model
    n_initial = model.width if model.initialisation == "singular-vectors" else 0
    return _singular_vectors(spec, max(n_initial, spec.config.ensemble.puresvd_factors))


def _singular_vectors(spec: RunSpec, n_vectors: int) -> int:
    if not n_vectors:
        return 0
    sequences = spec.data.sequences
    item_vectors = SVD_COPIES * n_vectors * spec.vocabulary_size
    sequence_vectors = (n_vectors + OVERSAMPLING) * len(sequences)
    return FLOAT_BYTES * (item_vectors + sequence_vectors) + SVD_EVENT_BYTES * len(sequences.items)
