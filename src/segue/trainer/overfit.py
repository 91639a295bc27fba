"""Overfitting one batch: the quickest proof that a model and its training fit together.

A model that cannot learn a handful of sequences by heart will not learn a dataset either.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Int32

from segue.axes import PAD
from segue.batches import Batch
from segue.bits import widened
from segue.config import Config
from segue.dataset import Dataset
from segue.errors import RunError
from segue.features import ItemFeatures
from segue.losses import FIRST_CANDIDATE
from segue.model import Transformer
from segue.optimizers import optimizer
from segue.runtime import use_compilation_cache
from segue.trainer.loss import hidden_at_labels, known_of
from segue.trainer.start import inputs
from segue.trainer.state import abstract_state, fresh_state
from segue.trainer.step import compile_step, tables_by_rows
from segue.wording import counted

ROWS = 4
"""Rows of the batch."""
MAX_STEPS = 3_000
CHECK_EVERY = 50
"""Steps between looks at the predictions."""


class Overfitted(NamedTuple):
    """How a batch was learned.

    Attributes:
        steps: taken until every target was reached.
        targets: labels that had to be reached.
        undecided: labels that nothing could reach: the same input comes with another one.
        loss: of the last step, in nats.
    """

    steps: int
    targets: int
    undecided: int
    loss: float


def overfit_one_batch(data: Dataset, config: Config) -> Overfitted:
    """Train on the first rows of the first batch until each target is the model's first choice.

    Without dropout and injected unknown items, at the configured learning rate, constant.

    Raises:
        ConfigError: the configuration does not go with the dataset.
        RunError: some target is not reached, or no label of the batch can be one.
    """
    use_compilation_cache()
    config = _without_noise(config)
    features, batches = inputs(config, data)
    batch = batches[0]
    wanted = decided(batch)
    undecided = int(np.count_nonzero(batch.labels)) - int(wanted.sum())
    if not wanted.any():
        raise RunError(
            f"the batch proves nothing: none of its {counted(undecided, 'label')} follows from "
            "what the model sees, for each comes after the same input as another one",
            "try another batch: set training.seed",
        )
    tx = optimizer(config.optimizer, MAX_STEPS)
    graph, _ = abstract_state(config, data.table_size, features.sizes, tx)
    state = fresh_state(config, data, features.sizes, tx)
    key = jax.random.key(config.training.seed)
    known = known_of(data, config, features)
    step = compile_step(graph, tx, config.loss, key, known, by_rows=tables_by_rows(config))
    loss, wrong = float("nan"), int(wanted.sum())
    for number in range(1, MAX_STEPS + 1):
        state, report = step(state, batch, jnp.int32(number))
        if number % CHECK_EVERY == 0:
            first = np.asarray(_first_choices(graph, state.params, features.items, batch))
            wrong = int(((first != batch.labels.ravel()) & wanted).sum())
            loss = float(report.loss)
            if wrong == 0:
                return Overfitted(number, int(wanted.sum()), undecided, loss)
    raise RunError(
        f"{wrong} of {int(wanted.sum())} targets of one batch are not reached after {MAX_STEPS} "
        f"steps, at a loss of {loss:.3f}",
        "the model or its learning rate does not fit: try another optimizer.learning_rate",
    )


def decided(batch: Batch) -> Bool[np.ndarray, " labels"]:
    """Which labels follow from what the model sees: no equal input has another label."""
    rows, n_labels = batch.labels.shape
    seen: dict[bytes, set[int]] = {}
    keys = []
    for row in range(rows):
        told = b"" if batch.told is None else batch.told.codes[row].tobytes()
        for place in range(n_labels):
            until = n_labels if batch.last is not None else place + 1
            tokens = batch.tokens[row] if batch.last is not None else batch.tokens[row, :until]
            key = tokens.tobytes() + b"/" + told
            keys.append(key)
            if batch.labels[row, place] != PAD:
                seen.setdefault(key, set()).add(int(batch.labels[row, place]))
    single = np.array([len(seen.get(key, ())) == 1 for key in keys])
    return single & (batch.labels.ravel() != PAD)


def _without_noise(config: Config) -> Config:
    model = config.model.model_copy(update={"dropout": 0.0})
    training = config.training.model_copy(
        update={"batch_size": ROWS, "unknown_rate": 0.0, "feature_dropout": 0.0, "horizon": 1}
    )
    rate = config.optimizer.model_copy(update={"schedule": "constant", "warmup_steps": 0})
    return config.model_copy(update={"model": model, "training": training, "optimizer": rate})


@partial(jax.jit, static_argnums=0)
def _first_choices(
    graph: nnx.GraphDef[Transformer],
    params: nnx.State,
    features: ItemFeatures | None,
    batch: Batch,
) -> Int32[Array, " labels"]:
    model = nnx.merge(graph, params)
    hidden = hidden_at_labels(model, features, batch, None)
    scores = hidden @ widened(model.output_table(features)).T
    # As in the loss: what can be no label competes with none.
    return FIRST_CANDIDATE + jnp.argmax(scores[:, FIRST_CANDIDATE:], axis=1).astype(jnp.int32)
