"""Measuring a model on held-out events while it trains."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from segue.axes import PAD
from segue.config import Config, EvaluationConfig
from segue.dataset import Dataset
from segue.evaluation import evaluate, has_targets
from segue.features import Features
from segue.model import Transformer
from segue.recommender import Recommender
from segue.trainer.examples import validation_batches
from segue.trainer.loss import Known, batch_loss, draw_negatives


class Validated(NamedTuple):
    """What a validation found.

    Attributes:
        metrics: by name, ``loss`` among them.
        results: the evaluation that the ranking metrics come from, as JSON; nothing where
            only the loss was asked for.
    """

    metrics: dict[str, float]
    results: dict[str, Any]


class Validation:
    """Validates on a fixed draw of sequences, by the loss that is trained and by ranks."""

    def __init__(
        self,
        config: Config,
        data: Dataset,
        features: Features,
        known: Known,
        graph: nnx.GraphDef[Transformer],
    ) -> None:
        self._config = config
        self._data = data
        self._options = EvaluationConfig(
            task="next-item", max_sequences=config.training.validation_sequences, resamples=0
        )
        self.possible = has_targets(data, "validation", self._options)
        """Whether the dataset holds anything to validate on; otherwise the last weights are
        the best."""
        if not self.possible:
            return
        self._batches = validation_batches(data, config, features.vocabulary)
        on_device, key = jax.device_put(known), jax.random.key(config.training.seed)

        @jax.jit
        def loss(params: nnx.State, known: Known, batch: Any) -> jax.Array:
            model = nnx.merge(graph, params)
            negatives = draw_negatives(config.loss, batch, known, model.n_rows, key)
            return batch_loss(model, known.features, batch, negatives, config.loss, None)

        self._loss = lambda params, batch: loss(params, on_device, batch)

    def measure(self, recommender: Recommender, params: nnx.State) -> Validated:
        """Ask a model what it would be asked in an evaluation of the validation part."""
        metrics = {"loss": self._mean_loss(params)}
        if self._config.training.validation_metric == "loss":
            return Validated(metrics, {})
        found = evaluate(recommender, self._data, on="validation", config=self._options)
        ranking = {name: estimate.mean for name, estimate in found.results[0].metrics.items()}
        return Validated(ranking | metrics, found.to_json())

    def _mean_loss(self, params: nnx.State) -> float:
        """Mean over the labels; the same negatives each time, where the loss draws some."""
        losses, counts = [], []
        for i in range(len(self._batches)):
            batch = self._batches[i]
            losses.append(self._loss(params, jax.tree.map(jnp.asarray, batch)))
            counts.append(np.count_nonzero(batch.labels != PAD))
        return float(np.average(np.array(losses, np.float64), weights=counts))


def is_better(metric: str, value: float, best: float | None) -> bool:
    """Whether a value is a new best; of losses, the lowest is. What is not finite never is."""
    if not math.isfinite(value):
        return False
    if best is None:
        return True
    return value < best if metric == "loss" else value > best
