"""The configuration of the second transformer, which follows from that of the first one."""

from __future__ import annotations

from segue.config import Config
from segue.dataset import Dataset
from segue.features import USER

BUDGET_SHARE = 0.35
"""Share of the budget of a run for its second transformer."""
BATCH_SIZE, LEARNING_RATE, WARMUP_STEPS = 256, 2e-3, 200
MIN_EPOCHS, EPOCHS = 1.5, 5
"""Passes over the targets: with fewer, the embeddings of the users have not learned enough to help,
and the first transformer makes better use of the time; with more, they overfit."""
VALIDATIONS = 3


def second_budget_s(config: Config) -> float:
    """Core-seconds of a run's budget for its second transformer; 0 without one."""
    budget_s = config.training.budget_s
    if budget_s is None or not config.ensemble.second_context:
        return 0.0
    return BUDGET_SHARE * budget_s


def second_config(config: Config, data: Dataset) -> Config:
    """The configuration of the second transformer of a run.

    It differs from the first one in what it reads: only the last few events, and the user, whose
    embedding stands for all events before. Its rows are single targets. Where whole sequences are
    held out, there is no user to know.

    Args:
        config: the configuration of the run; ``ensemble.second_context`` is above 0.
        data: the dataset.
    """
    ensemble, training, steps = config.ensemble, config.training, config.ensemble.second_steps
    features = config.model.sequence_features
    if not data.split_rule.whole_sequences and USER not in features:
        features = (*features, USER)
    warmup_steps = WARMUP_STEPS if steps is None else min(WARMUP_STEPS, steps // 10)
    sections = {
        "model": config.model.model_copy(
            update={"context": ensemble.second_context, "sequence_features": features}
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
                "checkpoint_every": None,
                "patience": None,
            }
        ),
    }
    return config.model_copy(update=sections)
