"""The configuration of the second transformer, which follows from that of the first one."""

from __future__ import annotations

import numpy as np

from segue.config import Config, validated
from segue.dataset import Dataset, readable_lengths
from segue.features import USER

BUDGET_SHARE = 0.35
"""Share of the budget of a run for its second transformer."""
BATCH_SIZE, LEARNING_RATE, WARMUP_STEPS = 256, 2e-3, 200
MIN_EPOCHS, EPOCHS = 1.5, 5
"""Passes over the targets: with fewer, the embeddings of the users have not learned enough to help,
and the first transformer makes better use of the time; with more, they overfit."""
MIN_KNOWN_SHARE = 0.5
"""Least share of the sequences with validation targets that have training events."""
FREE_EPOCHS = 2
"""Passes without dropout: what is seen twice is not memorised. From there to ``EPOCHS`` passes the
dropout rises to that of the first transformer."""
VALIDATIONS = 3


def second_budget_s(config: Config) -> float:
    """Core-seconds of a run's budget for its second transformer; 0 without one."""
    budget_s = config.training.budget_s
    if budget_s is None or not config.ensemble.has_second:
        return 0.0
    return BUDGET_SHARE * budget_s


def known_share(data: Dataset) -> float:
    """The share of the sequences with validation targets that have training events."""
    rows = data.target_rows("validation")
    if not len(rows):
        return 0.0
    return float(np.mean(readable_lengths(data.sequences)[rows] > 0))


def second_config(config: Config, data: Dataset) -> Config:
    """The configuration of the second transformer of a run.

    It differs from the first one in what it reads: only the last few events, and the user, whose
    embedding stands for all events before. Its rows are single targets. Where whole sequences are
    held out, there is no user to know.

    Args:
        config: the configuration of the run; ``ensemble.second_context`` is above 0.
        data: the dataset.

    Raises:
        ConfigError: ``ensemble.second_context`` is not possible.
    """
    ensemble, training, steps = config.ensemble, config.training, config.ensemble.second_steps
    features = config.model.sequence_features
    if not data.split_rule.whole_sequences and USER not in features:
        features = (*features, USER)
    warmup_steps = WARMUP_STEPS if steps is None else min(WARMUP_STEPS, steps // 10)
    sections = {
        "model": config.model.model_copy(
            update={
                "context": ensemble.second_context,
                "dropout": config.model.dropout * _dropout_share(steps, data),
                "sequence_features": features,
            }
        ),
        "ensemble": type(ensemble)(),
        "optimizer": config.optimizer.model_copy(
            update={"learning_rate": LEARNING_RATE, "warmup_steps": warmup_steps}
        ),
        "training": training.model_copy(
            update={
                "rows": "targets",
                "horizon": 1,
                "batch_size": BATCH_SIZE,
                "epochs": EPOCHS,
                "max_steps": steps,
                "budget_s": second_budget_s(config) or None,
                "validate_every": None if steps is None else max(1, -(-steps // VALIDATIONS)),
                "patience": None,
            }
        ),
    }
    return validated(Config, config.model_copy(update=sections).model_dump())


def _dropout_share(steps: int | None, data: Dataset) -> float:
    """The dropout of the second transformer as a share of that of the first one."""
    n_targets = max(1, int(data.items.training_counts.sum()))
    epochs = EPOCHS if steps is None else min(EPOCHS, steps * BATCH_SIZE / n_targets)
    return max(0.0, (epochs - FREE_EPOCHS) / (EPOCHS - FREE_EPOCHS))
