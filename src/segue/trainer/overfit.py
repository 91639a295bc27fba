"""Overfit one batch: a quick check that a model and its training settings work.

A model that cannot memorise a few sequences will not learn a dataset either.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Int32

from segue.batches import Batch, Bucket, n_labels
from segue.bfloat16 import to_float32
from segue.config import Config
from segue.dataset import Dataset
from segue.errors import RunError, quantity
from segue.losses.softmax import FIRST_CANDIDATE
from segue.machine import use_compilation_cache
from segue.model import Transformer
from segue.tokens import PAD
from segue.trainer.data import batch_options
from segue.trainer.inputs import StepInputs, flat_labels
from segue.trainer.loss import hidden_at_labels
from segue.trainer.run_spec import RunSpec, training_inputs

ROWS = 4
"""Number of rows of the batch."""
MAX_STEPS = 3_000
CHECK_EVERY = 50
"""Number of steps between two checks of the predictions."""


class OverfitResult(NamedTuple):
    """The outcome of overfitting one batch.

    Attributes:
        steps: number of steps until every target had the highest score.
        targets: number of labels that had to be learned.
        ambiguous: number of labels left out because the same input occurs with another label.
        loss: loss of the last step, in nats.
    """

    steps: int
    targets: int
    ambiguous: int
    loss: float


def overfit_one_batch(data: Dataset, config: Config) -> OverfitResult:
    """Train on the first rows of the first batch until each target has the highest score.

    Dropout, feature dropout and unknown items are turned off, and the learning rate is constant.

    Args:
        data: a prepared dataset.
        config: the configuration to check.

    Raises:
        ConfigError: the configuration does not fit the dataset.
        RunError: a target was not learned in ``MAX_STEPS`` steps, or all labels are ambiguous.
    """
    use_compilation_cache()
    config = _without_dropout(config)
    options = replace(
        batch_options(config.training, data),
        batch_size=ROWS,
        unknown_rate=0.0,
        feature_dropout=0.0,
        horizon=1,
    )
    features, batches = training_inputs(config, data, options)
    batch = batches[0]
    is_target, labels = unambiguous_labels(batch), np.asarray(flat_labels(batch))
    n_targets = int(is_target.sum())
    ambiguous = n_labels(batch) - n_targets
    if not n_targets:
        raise RunError(
            f"the batch has no target: each of its {quantity(ambiguous, 'label')} follows the same "
            "input as another label",
            "try another batch: set training.seed",
        )
    spec = RunSpec.of(config, data, features, batches)
    graph, _ = spec.abstract_state()
    step, state, constants = spec.step(), spec.initial_state(), spec.constants()
    inputs = StepInputs(constants.item_features, batch)
    loss, n_wrong = float("nan"), n_targets
    for number in range(1, MAX_STEPS + 1):
        state, report = step(state, constants, batch, jnp.int32(number))
        if number % CHECK_EVERY == 0:
            predicted = np.asarray(_best_items(graph, state.params, inputs))
            n_wrong = int(((predicted != labels) & is_target).sum())
            loss = float(report.loss)
            if n_wrong == 0:
                return OverfitResult(number, n_targets, ambiguous, loss)
    raise RunError(
        f"{n_wrong} of {n_targets} targets of one batch were not learned after {MAX_STEPS} steps "
        f"(loss {loss:.3f})",
        "try another optimizer.learning_rate, or check the model settings",
    )


def unambiguous_labels(batch: Batch) -> Bool[np.ndarray, " labels"]:
    """Which labels of a batch follow from the input: no equal input has another label.

    The input of a label is the tokens up to its position and the sequence features.

    Returns:
        One value per label, in row-major order; False for PAD.
    """
    labels_of_input: dict[bytes, set[int]] = {}
    keys, labels = [], []
    for key, label in (pair for bucket in batch for pair in _inputs_and_labels(bucket)):
        keys.append(key)
        labels.append(label)
        if label != PAD:
            labels_of_input.setdefault(key, set()).add(label)
    is_unique = np.array([len(labels_of_input.get(key, ())) == 1 for key in keys])
    return is_unique & (np.array(labels) != PAD)


def _inputs_and_labels(bucket: Bucket) -> Iterator[tuple[bytes, int]]:
    """The input and the label of every position, in row-major order."""
    rows, n_positions = bucket.labels.shape
    for row in range(rows):
        sequence_features = (
            b"" if bucket.sequence_features is None else bucket.sequence_features.ids[row].tobytes()
        )
        for position in range(n_positions):
            end = len(bucket.tokens[row]) if bucket.last_positions is not None else position + 1
            # Without padding, which differs between buckets.
            tokens = np.trim_zeros(bucket.tokens[row, :end], "b")
            yield tokens.tobytes() + b"/" + sequence_features, int(bucket.labels[row, position])


def _without_dropout(config: Config) -> Config:
    """The configuration without dropout and with a constant learning rate."""
    model = config.model.model_copy(update={"dropout": 0.0})
    constant = config.optimizer.model_copy(update={"schedule": "constant", "warmup_steps": 0})
    return config.model_copy(update={"model": model, "optimizer": constant})


@partial(jax.jit, static_argnums=0)
def _best_items(
    graph: nnx.GraphDef[Transformer], params: nnx.State, inputs: StepInputs
) -> Int32[Array, " labels"]:
    model = nnx.merge(graph, params)
    hidden = hidden_at_labels(model, inputs, None)
    scores = hidden @ to_float32(model.output_embeddings(inputs.item_features)).T
    # As in the loss, tokens that cannot be labels are left out.
    return FIRST_CANDIDATE + jnp.argmax(scores[:, FIRST_CANDIDATE:], axis=1).astype(jnp.int32)
