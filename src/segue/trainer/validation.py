"""Validation during training: loss and ranking metrics on the validation part."""

from __future__ import annotations

import math
from copy import copy
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import nnx
from jaxtyping import Float32

from segue.batches import Batch, n_labels
from segue.config import Config, EvaluationConfig
from segue.dataset import Dataset
from segue.evaluation import evaluate, has_targets
from segue.features import Features
from segue.model import Transformer
from segue.recommender import Recommender
from segue.trainer.data import validation_batches
from segue.trainer.inputs import StepConstants, step_inputs
from segue.trainer.loss import hidden_at_labels, loss_of_states
from segue.trainer.stored_states import LabelHistories, StoredStates


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
        # Ranks need the states that the loss is computed from, if histories have the same events.
        # The split ``windows`` gives each target other events than the first of its sequence.
        ranks = config.training.validation_metric != "loss"
        has_histories = ranks and data.split_rule.window is None
        self._histories = LabelHistories(self._batches) if has_histories else None
        key = jax.random.key(config.training.seed)

        @jax.jit
        def loss_and_states(
            params: nnx.State, constants: StepConstants, batch: Batch
        ) -> tuple[jax.Array, jax.Array | None]:
            model = nnx.merge(graph, params)
            inputs = step_inputs(config.loss, constants, batch, model.vocabulary_size, key)
            hidden = hidden_at_labels(model, inputs, None)
            loss = loss_of_states(model, hidden, inputs, config.loss)
            return loss, hidden if has_histories else None

        self._loss_and_states = loss_and_states

    def measure(self, recommender: Recommender, params: nnx.State) -> ValidationResult:
        """Measure a model on the validation sample.

        Args:
            recommender: the model, for the ranking metrics. They are skipped if the loss is the
                validation metric.
            params: the parameters of the same model, for the loss.
        """
        loss, states = self._mean_loss(params)
        metrics = {"loss": loss}
        if self._config.training.validation_metric == "loss":
            return ValidationResult(metrics, {})
        if self._histories is not None:
            recommender = _with_states(recommender, self._histories, np.concatenate(states))
        results = evaluate(
            recommender, self._data, part="validation", baselines=None, config=self._options
        )
        ranking = {name: estimate.mean for name, estimate in results.results[0].metrics.items()}
        return ValidationResult(ranking | metrics, results.to_dict())

    def _mean_loss(
        self, params: nnx.State
    ) -> tuple[float, list[Float32[np.ndarray, "labels dim"]]]:
        """Mean loss per label, and the states at the labels of each batch if ranks need them.

        A sampled loss draws the same negatives in every validation.
        """
        losses, counts, states = [], [], []
        for i in range(len(self._batches)):
            batch = self._batches[i]
            loss, hidden = self._loss_and_states(params, self._constants, batch)
            losses.append(loss)
            counts.append(n_labels(batch))
            if hidden is not None:
                states.append(np.asarray(hidden))
        return float(np.average(np.array(losses, np.float64), weights=counts)), states


def _with_states(
    recommender: Recommender, histories: LabelHistories, states: Float32[np.ndarray, "labels dim"]
) -> Recommender:
    """The same model, which does not compute the states of these histories again."""
    ensemble = copy(recommender.ensemble)
    encoder, *further_dense = ensemble.dense
    assert encoder is ensemble.encoder
    ensemble.dense = (StoredStates(ensemble.encoder, histories, states), *further_dense)
    recommender = copy(recommender)
    recommender.ensemble = ensemble
    return recommender


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
