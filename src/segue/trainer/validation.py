"""Validation during training: loss and ranking metrics on the validation part."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import nnx

from segue.batches import Batch
from segue.config import Config, EvaluationConfig
from segue.dataset import Dataset
from segue.evaluation import evaluate, has_targets
from segue.features import Features
from segue.model import Transformer
from segue.recommender import Recommender
from segue.tokens import PAD
from segue.trainer.data import validation_batches
from segue.trainer.inputs import StepConstants, step_inputs
from segue.trainer.loss import batch_loss


class ValidationResult(NamedTuple):
    """The metrics of one validation.

    Attributes:
        metrics: values by name; always includes ``loss``, in nats.
        results: the evaluation results that the ranking metrics are from, as JSON; empty if only
            the loss was computed.
    """

    metrics: dict[str, float]
    results: dict[str, Any]


class Validation:
    """Computes the training loss and ranking metrics on a fixed sample of sequences.

    Attributes:
        is_possible: whether the dataset has validation targets. Without them the last weights
            are kept as the best.
    """

    def __init__(
        self,
        config: Config,
        data: Dataset,
        features: Features,
        constants: StepConstants,
        graph: nnx.GraphDef[Transformer],
    ) -> None:
        """Sample the sequences and compile the loss.

        Args:
            config: configuration of the run.
            data: dataset of the run.
            features: the features that the model reads.
            constants: the constants of the run, on the device.
            graph: the graph of the model, without parameters.
        """
        self._config = config
        self._data = data
        self._options = EvaluationConfig(
            task="next-item", max_sequences=config.training.validation_sequences, resamples=0
        )
        self.is_possible = has_targets(data, "validation", self._options)
        if not self.is_possible:
            return
        self._batches = validation_batches(data, config, features)
        self._constants = constants
        key = jax.random.key(config.training.seed)

        @jax.jit
        def loss(params: nnx.State, constants: StepConstants, batch: Batch) -> jax.Array:
            model = nnx.merge(graph, params)
            inputs = step_inputs(config.loss, constants, batch, model.vocabulary_size, key)
            return batch_loss(model, inputs, config.loss, None)

        self._loss = loss

    def measure(self, recommender: Recommender, params: nnx.State) -> ValidationResult:
        """Measure a model on the validation sample.

        Args:
            recommender: the model, for the ranking metrics. They are skipped if the loss is the
                validation metric.
            params: the parameters of the same model, for the loss.
        """
        metrics = {"loss": self._mean_loss(params)}
        if self._config.training.validation_metric == "loss":
            return ValidationResult(metrics, {})
        results = evaluate(
            recommender, self._data, part="validation", baselines=None, config=self._options
        )
        ranking = {name: estimate.mean for name, estimate in results.results[0].metrics.items()}
        return ValidationResult(ranking | metrics, results.to_dict())

    def _mean_loss(self, params: nnx.State) -> float:
        """Mean loss per label. A sampled loss draws the same negatives in every validation."""
        losses, counts = [], []
        for i in range(len(self._batches)):
            batch = self._batches[i]
            losses.append(self._loss(params, self._constants, batch))
            counts.append(np.count_nonzero(batch.labels != PAD))
        return float(np.average(np.array(losses, np.float64), weights=counts))


def is_better(metric: str, value: float, best: float | None) -> bool:
    """Whether a value of a validation metric is better than the best so far.

    The loss is better if lower, all other metrics if higher. A value that is not finite is never
    better.

    Args:
        metric: name of the metric.
        value: the new value.
        best: the best value so far; None if there is none.
    """
    if not math.isfinite(value):
        return False
    if best is None:
        return True
    return value < best if metric == "loss" else value > best
