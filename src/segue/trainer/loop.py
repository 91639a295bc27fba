"""The training loop: steps, validations, checkpoints, and the card at the end."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import grain
import jax
import jax.numpy as jnp
import numpy as np

import segue
from segue.axes import PAD
from segue.batches import Batch, Layout, TrainingBatches
from segue.checkpoints import Checkpoints, write_weights
from segue.config import Config
from segue.dataset import Dataset
from segue.errors import RunError
from segue.features import Features
from segue.optimizers import optimizer, schedule
from segue.recommender import Network, Recommender
from segue.run_folder import RunFolder
from segue.tracking import Tracker
from segue.trainer.loss import known_of
from segue.trainer.progress import Memory, Meter, Progress
from segue.trainer.singular_vectors import blend_of
from segue.trainer.state import abstract_state, fresh_state
from segue.trainer.step import compile_step, tables_by_rows
from segue.trainer.validation import Validation, is_better

MOST_SKIPPED = 50
"""Non-finite updates in a row after which a run has diverged and stops."""


class Trainer:
    """One run, from where its folder says it is."""

    def __init__(
        self,
        config: Config,
        data: Dataset,
        folder: RunFolder,
        features: Features,
        batches: TrainingBatches,
        watch: Callable[[Progress], None],
    ) -> None:
        self.config = config
        self.data = data
        self.folder = folder
        self._watch = watch
        self._layout = Layout.of(config.model, data.table_size)
        self._features = features
        self._per_epoch = batches.batches_per_epoch
        self.total_steps = min(len(batches), config.training.max_steps or len(batches))
        # One thread ahead is enough: a batch takes microseconds, a step milliseconds.
        reading = grain.ReadOptions(num_threads=1, prefetch_buffer_size=4)
        self._batches = iter(grain.MapDataset.source(batches).to_iter_dataset(reading))
        tx = optimizer(config.optimizer, self.total_steps)
        self._graph, shapes = abstract_state(config, data.table_size, features.sizes, tx)
        self._rate = schedule(config.optimizer, self.total_steps)
        self._checkpoints = Checkpoints(folder.checkpoints)
        restored = self._checkpoints.restore(shapes, self._batches)
        # A fresh state beside a restored one would need the memory twice.
        if restored is None:
            self.state, self.memory = fresh_state(config, data, features.sizes, tx), Memory()
        else:
            self.state, self.memory = restored.state, Memory(**restored.progress)
        key = jax.random.key(config.training.seed)
        known = known_of(data, config, features)
        by_rows = tables_by_rows(config)
        self.step = compile_step(self._graph, tx, config.loss, key, known, by_rows=by_rows)
        self._blend = blend_of(config, data, folder)
        self._validation = Validation(config, data, features, known, self._graph)

    def run(self, stopped: Callable[[], bool] = lambda: False) -> None:
        """Train until the last step, the end of patience, or a signal."""
        if self.memory.finished:
            self._checkpoints.finish()
            self._conclude()
            return
        self._tracker = Tracker(self.folder.metrics, self.folder.events, self.memory.step)
        self._meter = Meter()
        self._since = time.perf_counter()
        try:
            while not self.memory.finished:
                self._take_step()
                halt = stopped()
                self._after_step(halt)
                if halt:
                    break
        finally:
            self._checkpoints.finish()
        if self.memory.finished:
            self._write_card()

    def recommender(self) -> Recommender:
        """The model as it is now, as it would be served."""
        network = Network(self._graph, self.state.params, self._layout, self._features, self._blend)
        return Recommender(
            network,
            self.data.items,
            name=self.folder.path.name,
            dataset={"fingerprint": self.data.fingerprint, "path": str(self.data.path)},
            always_told=not self.config.training.feature_dropout,
        )

    def _conclude(self) -> None:
        """Write what a kill between the last checkpoint and the card left unwritten.

        Raises:
            RunError: the best weights are of an earlier step, and have gone or were altered.
        """
        if self.memory.best_step in (0, self.memory.step):
            self._write_weights()
        else:
            self.folder.verify()
            self._write_card()

    def _take_step(self) -> None:
        batch: Batch = next(self._batches)
        self.memory.step += 1
        self.state, report = self.step(self.state, batch, jnp.int32(self.memory.step))
        self._meter.add(self.memory.step, report, int(np.count_nonzero(batch.labels != PAD)))

    def _after_step(self, halt: bool) -> None:
        training, step = self.config.training, self.memory.step
        validate_every = training.validate_every or self._per_epoch
        is_last = step == self.total_steps
        validates = is_last or step % validate_every == 0
        saves = is_last or halt or step % (training.checkpoint_every or validate_every) == 0
        # What is pending is written before a checkpoint, so that a resumed run logs the
        # same steps in the same lines.
        if validates or saves or step % training.log_every == 0:
            self._log()
        if is_last:
            self.memory.finished = "all steps taken"
        if validates and self._validation.possible:
            self._validate()
        elif validates:
            self._write_weights()
        if saves or self.memory.finished:
            self._save()
        if validates or saves:
            self._meter.restart()

    def _log(self) -> None:
        summary, step = self._meter.summary(), self.memory.step
        self.memory.skipped_steps += summary.skipped
        self._check_diverged()
        values: dict[str, Any] = {
            "epoch": round(step / self._per_epoch, 4),
            "loss": summary.loss,
            "gradient_norm": summary.gradient_norm,
            "learning_rate": float(np.asarray(self._rate(step - 1))),
            "events_per_s": round(summary.events_per_s, 1),
        }
        if summary.skipped:
            values["skipped_steps"] = summary.skipped
        self._tracker.record(step, "train", values)
        left = (self.total_steps - step) * summary.seconds / max(summary.steps, 1)
        message = ""
        if summary.skipped:
            steps = ", ".join(map(str, summary.skipped))
            message = f"skipped step {steps}: the loss or its gradient was not finite"
        self._progress = Progress(
            step, self.total_steps, summary.loss, summary.events_per_s, left, message
        )
        self._watch(self._progress)

    def _check_diverged(self) -> None:
        skipped, step = self.memory.skipped_steps[-MOST_SKIPPED:], self.memory.step
        if len(skipped) == MOST_SKIPPED and skipped[0] > step - 2 * MOST_SKIPPED:
            raise RunError(
                f"the run diverged: {MOST_SKIPPED} of the last {2 * MOST_SKIPPED} updates "
                f"before step {step} were not finite",
                "lower optimizer.learning_rate, or set optimizer.clip_norm=1.0",
            )

    def _validate(self) -> None:
        memory, metric = self.memory, self.config.training.validation_metric
        self.data.sequences.check()
        found = self._validation.measure(self.recommender(), self.state.params)
        self._tracker.record(memory.step, "validation", found.metrics)
        value = found.metrics[metric]
        if is_better(metric, value, memory.best_value):
            memory.best_value, memory.best_step = value, memory.step
            memory.best_results = found.results
            memory.validations_since_best = 0
            self._write_weights()
        else:
            memory.validations_since_best += 1
        patience = self.config.training.patience
        if patience is not None and memory.validations_since_best >= patience:
            memory.finished = f"{metric} did not improve in {patience} validations"
        best = " (best)" if memory.best_step == memory.step else ""
        message = f"step {memory.step}: {metric} {value:.4f}{best}"
        self._watch(self._progress._replace(message=message))

    def _save(self) -> None:
        now = time.perf_counter()
        self.memory.seconds += now - self._since
        self._since = now
        self._checkpoints.save(self.memory.step, self.state, self._batches, asdict(self.memory))

    def _write_weights(self) -> None:
        write_weights(self.folder.weights, self.state.params, self.memory.step)
        self._write_card()

    def _write_card(self) -> None:
        memory, data = self.memory, self.data
        metric = self.config.training.validation_metric
        parameters = sum(leaf.size for leaf in jax.tree.leaves(self.state.params))
        card = {
            "segue_version": segue.__version__,
            "dataset": {"name": data.name, "fingerprint": data.fingerprint},
            "seed": self.config.training.seed,
            "parameters": parameters,
            "steps": memory.step,
            "epochs": round(memory.step / self._per_epoch, 3),
            "finished": memory.finished or "not yet",
            "seconds": round(memory.seconds, 1),
            "skipped_steps": memory.skipped_steps,
            "validation": {"metric": metric, "best": memory.best_value, "step": memory.best_step},
            "results": memory.best_results,
            "machine": {
                "device": jax.devices()[0].device_kind,
                "devices": jax.device_count(),
                "processor": platform.machine(),
                "cores": os.cpu_count(),
                "python": platform.python_version(),
                "jax": jax.__version__,
            },
            "checksums": self.folder.checksums(),
        }
        self.folder.write_json(self.folder.card, card)
