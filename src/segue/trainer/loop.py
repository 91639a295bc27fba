"""The training loop: steps, validations, checkpoints, and the card at the end."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import grain
import jax
import jax.numpy as jnp
import numpy as np

import segue
from segue.axes import PAD
from segue.batches import Batch, Layout, TrainingBatches
from segue.checkpoints import Checkpoints, write_weights
from segue.errors import RunError
from segue.optimizers import schedule
from segue.recommender import Network, Recommender
from segue.run_folder import RunFolder
from segue.tracking import Tracker
from segue.trainer.loss import known_of
from segue.trainer.progress import Meter, Progress, Remembered
from segue.trainer.singular_vectors import blend_of
from segue.trainer.step import compile_step, tables_by_rows
from segue.trainer.validation import Validation, is_better
from segue.trainer.workload import Workload

MOST_SKIPPED = 50
"""Non-finite updates in a row after which a run has diverged and stops."""


class Trainer:
    """One run, from where its folder says it is."""

    def __init__(
        self,
        work: Workload,
        folder: RunFolder,
        batches: TrainingBatches,
        watch: Callable[[Progress], None],
    ) -> None:
        self.config = config = work.config
        self.data = data = work.data
        self.folder = folder
        self._watch = watch
        self._layout = Layout.of(config.model, data.table_size)
        # Once on the device, for steps, validations and answers alike.
        self._features = replace(work.features, items=jax.device_put(work.features.items))
        self._per_epoch = work.steps_per_epoch
        self.total_steps = work.total_steps
        # One thread ahead is enough: a batch takes microseconds, a step milliseconds.
        reading = grain.ReadOptions(num_threads=1, prefetch_buffer_size=4)
        self._batches = iter(grain.MapDataset.source(batches).to_iter_dataset(reading))
        self._graph, shapes = work.abstract_state()
        self._rate = schedule(config.optimizer, self.total_steps)
        self._checkpoints = Checkpoints(folder.checkpoints)
        restored = self._checkpoints.restore(shapes, self._batches)
        # A fresh state beside a restored one would need the memory twice.
        if restored is None:
            self.state, self.remembered = work.fresh_state(), Remembered()
        else:
            self.state, self.remembered = restored.state, Remembered.read(restored.progress)
        key = jax.random.key(config.training.seed)
        known = jax.device_put(known_of(data, config, self._features))
        by_rows = tables_by_rows(config)
        self.step = compile_step(self._graph, work.tx, config.loss, key, known, by_rows=by_rows)
        self._blend = blend_of(config, data, folder)
        self._validation = Validation(config, data, self._features, known, self._graph)

    def run(self, stopped: Callable[[], bool] = lambda: False) -> None:
        """Train until the last step, the end of patience, or a signal."""
        if self.remembered.finished:
            self._checkpoints.finish()
            self._conclude()
            return
        self._tracker = Tracker(self.folder.metrics, self.folder.events, self.remembered.step)
        self._meter = Meter()
        self._since = time.perf_counter()
        try:
            while not self.remembered.finished:
                self._take_step()
                halt = stopped()
                self._after_step(halt)
                if halt:
                    break
        finally:
            self._checkpoints.finish()
        if self.remembered.finished and self.remembered.best_step:
            self._write_card()
        elif self.remembered.finished:
            self._write_weights()  # no validation gave a number: the last are the best

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
        if self.remembered.best_step in (0, self.remembered.step):
            self._write_weights()
        else:
            self.folder.verify()
            self._write_card()

    def _take_step(self) -> None:
        batch: Batch = next(self._batches)
        self.remembered.step += 1
        self.state, report = self.step(self.state, batch, jnp.int32(self.remembered.step))
        self._meter.add(self.remembered.step, report, int(np.count_nonzero(batch.labels != PAD)))

    def _after_step(self, halt: bool) -> None:
        training, step = self.config.training, self.remembered.step
        validate_every = training.validate_every or self._per_epoch
        is_last = step == self.total_steps
        validates = is_last or step % validate_every == 0
        saves = is_last or halt or step % (training.checkpoint_every or validate_every) == 0
        # What is pending is written before a checkpoint, so that a resumed run logs the
        # same steps in the same lines.
        if validates or saves or step % training.log_every == 0:
            self._log()
        if is_last:
            self.remembered.finished = "all steps taken"
        if validates and self._validation.possible:
            self._validate()
        elif validates:
            self._write_weights()
        if saves or self.remembered.finished:
            self._save()
        if validates or saves:
            self._meter.restart()

    def _log(self) -> None:
        summary, step = self._meter.summary(), self.remembered.step
        self.remembered.skipped_steps += summary.skipped
        self._check_diverged()
        values: dict[str, Any] = {
            "epoch": round(step / self._per_epoch, 4),
            "loss": summary.loss,
            "gradient_norm": summary.gradient_norm,
            "learning_rate": self._rate_of(step),
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

    def _rate_of(self, step: int) -> float:
        """The learning rate of a step: the optimizer counts no update that was not made."""
        made = step - 1 - sum(skipped < step for skipped in self.remembered.skipped_steps)
        return float(np.asarray(self._rate(made)))

    def _check_diverged(self) -> None:
        skipped, step = self.remembered.skipped_steps[-MOST_SKIPPED:], self.remembered.step
        if len(skipped) == MOST_SKIPPED and skipped[0] > step - 2 * MOST_SKIPPED:
            raise RunError(
                f"the run diverged: {MOST_SKIPPED} of the last {2 * MOST_SKIPPED} updates "
                f"before step {step} were not finite",
                "lower optimizer.learning_rate, or set optimizer.clip_norm=1.0",
            )

    def _validate(self) -> None:
        remembered, metric = self.remembered, self.config.training.validation_metric
        self.data.sequences.check()
        found = self._validation.measure(self.recommender(), self.state.params)
        self._tracker.record(remembered.step, "validation", found.metrics)
        value = found.metrics[metric]
        if is_better(metric, value, remembered.best_value):
            remembered.best_value, remembered.best_step = value, remembered.step
            remembered.best_results = found.results
            remembered.validations_since_best = 0
            self._write_weights()
        else:
            remembered.validations_since_best += 1
        patience = self.config.training.patience
        if patience is not None and remembered.validations_since_best >= patience:
            remembered.finished = f"{metric} did not improve in {patience} validations"
        best = " (best)" if remembered.best_step == remembered.step else ""
        message = f"step {remembered.step}: {metric} {value:.4f}{best}"
        self._watch(self._progress._replace(message=message))

    def _save(self) -> None:
        now = time.perf_counter()
        self.remembered.seconds += now - self._since
        self._since = now
        self._checkpoints.save(
            self.remembered.step, self.state, self._batches, asdict(self.remembered)
        )

    def _write_weights(self) -> None:
        write_weights(self.folder.weights, self.state.params, self.remembered.step)
        self._write_card()

    def _write_card(self) -> None:
        remembered, data = self.remembered, self.data
        metric = self.config.training.validation_metric
        parameters = sum(leaf.size for leaf in jax.tree.leaves(self.state.params))
        card = {
            "segue_version": segue.__version__,
            "dataset": {"name": data.name, "fingerprint": data.fingerprint},
            "seed": self.config.training.seed,
            "parameters": parameters,
            "steps": remembered.step,
            "epochs": round(remembered.step / self._per_epoch, 3),
            "finished": remembered.finished or "not yet",
            "seconds": round(remembered.seconds, 1),
            "skipped_steps": remembered.skipped_steps,
            "validation": {
                "metric": metric,
                "best": remembered.best_value,
                "step": remembered.best_step,
            },
            "results": remembered.best_results,
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
