"""The training loop: steps, validations, checkpoints, weights and the card of a run."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any, NamedTuple, TypeAlias

import grain
import jax
import jax.numpy as jnp
import numpy as np

import segue
from segue.batches import Batch, Batches, n_labels
from segue.errors import NotFiniteError, RunError, quantity
from segue.machine import machine_summary
from segue.optimizers import learning_rate_schedule
from segue.recommender import Encoder, Ensemble, Recommender, prompt_layout
from segue.runs import RunFolder
from segue.runs.checkpoints import Checkpoints
from segue.runs.metrics_log import MetricsWriter
from segue.runs.weights import load_weights, write_weights
from segue.trainer.budget import Clock, stop_s
from segue.trainer.progress import Meter, Progress, TrainerState
from segue.trainer.run_spec import RunSpec
from segue.trainer.singular_vectors import fit_puresvd
from segue.trainer.validation import Validation, is_better

MAX_SKIPPED_STEPS = 50
"""A run has diverged if so many of its last ``2 * MAX_SKIPPED_STEPS`` updates were not finite. In a
shorter run most of all updates suffice, which is checked at every validation and at the end."""

MAX_LOSS_RATIO = 100
"""Weights are never the best if their loss is more than this multiple of that of a uniform guess.
Overfitting does not lead there, only scores that grew without bound."""

DIVERGED_HINT = "train again with a lower optimizer.learning_rate, or with optimizer.clip_norm=1.0"


class Conclusion(NamedTuple):
    """What follows the last step of a run.

    Attributes:
        ensemble: the ``ensemble`` object of the card.
        earlier_s: core-seconds that earlier processes took for it.
    """

    ensemble: dict[str, Any]
    earlier_s: float = 0.0


Conclude: TypeAlias = Callable[[Encoder, Callable[[], bool]], Conclusion | None]
"""A function that fits the ensemble of a run, given the transformer with its best weights and a
function that says whether to stop; None if it was stopped. Given the same transformer again, it
writes the same files."""


class Trainer:
    """Trains one run, from its last checkpoint if the run folder has one.

    Attributes:
        state: parameters and optimizer state.
        trainer_state: step number, best validation and the like.
        step: the training step.
    """

    def __init__(
        self,
        spec: RunSpec,
        folder: RunFolder,
        batches: Batches,
        watch: Callable[[Progress], None],
        spent_s: float = 0.0,
        conclude: Conclude | None = None,
    ) -> None:
        """Restore or initialise the state of the run.

        Args:
            spec: configuration, dataset and sizes of the run.
            folder: the run folder; it contains the configuration.
            batches: the training batches.
            watch: a function that is called with the progress.
            spent_s: core-seconds that the process has spent on the run already.
            conclude: called after the last step, before the card is written; None if the run has
                no ensemble.

        Raises:
            RunError: the last checkpoint cannot be read.
            StorageError: a file cannot be written.
        """
        self.config = config = spec.config
        self.data = data = spec.data
        self.folder = folder
        self._watch = watch
        self._conclude_run = conclude
        self._layout = prompt_layout(config.model, data.vocabulary_size)
        # One copy on the device serves training steps, the validation loss and recommendations.
        self._constants = constants = spec.constants()
        self._features = replace(spec.features, items=constants.item_features)
        self._steps_per_epoch = spec.steps_per_epoch
        self.total_steps = spec.total_steps
        # One prefetch thread is enough: a batch takes microseconds, a step milliseconds.
        options = grain.ReadOptions(num_threads=1, prefetch_buffer_size=4)
        self._batches = iter(grain.MapDataset.source(batches).to_iter_dataset(options))
        self._graph, shapes = spec.abstract_state()
        self._schedule = learning_rate_schedule(config.optimizer, self.total_steps)
        self._checkpoints = Checkpoints(folder.checkpoints)
        restored = self._checkpoints.restore(shapes, self._batches)
        # Initialising the state before restoring it would need its memory twice.
        if restored is None:
            self.state, self.trainer_state = spec.initial_state(), TrainerState()
        else:
            self.state = restored.state
            self.trainer_state = TrainerState.from_json(restored.trainer_state)
            self.trainer_state.check_steps(self.total_steps)
        self._clock = Clock(self.trainer_state.core_seconds + spent_s)
        self._is_concluded = False
        self._ensemble: dict[str, Any] = {}
        self.step = spec.step()
        self._puresvd = fit_puresvd(config, data, folder)
        self._validation = Validation(config, data, self._features, constants, self._graph)

    def run(self, is_stopped: Callable[[], bool] = lambda: False) -> None:
        """Train until the last step, until patience ends, or until ``is_stopped`` is true.

        Args:
            is_stopped: called after each step; if it returns true, a checkpoint is saved and
                training stops.

        Raises:
            DatasetError: the dataset was overwritten.
            RunError: the run diverged.
            StorageError: a file could not be written.
        """
        if self.trainer_state.finished:
            self._checkpoints.close()
            self._complete_files(is_stopped)
            return
        step = self.trainer_state.step
        self._writer = MetricsWriter(self.folder.metrics, self.folder.events, step)
        self._meter = Meter()
        self._last_save = time.perf_counter()
        try:
            while not self.trainer_state.finished:
                self._take_step()
                is_stopping = is_stopped()
                self._after_step(is_stopping)
                if is_stopping:
                    break
        finally:
            self._checkpoints.close()
        if self.trainer_state.finished and not self.trainer_state.best_step:
            self._write_weights()  # without a validation part, keep the last weights
        if self.trainer_state.finished:
            self._conclude(is_stopped)

    def recommender(self) -> Recommender:
        """A ``Recommender`` with the current parameters, as ``Recommender.load`` would give it."""
        encoder = Encoder(self._graph, self.state.params, self._layout, self._features)
        members = [] if self._puresvd is None else [self._puresvd]
        is_candidate = self.data.is_candidate[: self.data.vocabulary_size]
        return Recommender(
            Ensemble(encoder, members, is_candidate=is_candidate),
            self.data.items,
            name=self.folder.path.name,
            dataset={"fingerprint": self.data.fingerprint, "path": str(self.data.path)},
            includes_seen=self.data.default_seen == "include",
            always_has_sequence_features=not self.config.training.feature_dropout,
        )

    def _complete_files(self, is_stopped: Callable[[], bool]) -> None:
        """Write the files of a finished run that was killed after its last checkpoint.

        Raises:
            RunError: the best weights, of an earlier step, are missing or were altered.
        """
        if self.folder.read_finished_card() is not None:
            self.folder.verify()
            return
        if self.trainer_state.best_step in (0, self.trainer_state.step):
            self._write_weights()
        else:
            self.folder.verify(without_ensemble=self.config.ensemble.is_fitted)
        self._conclude(is_stopped)

    def _conclude(self, is_stopped: Callable[[], bool]) -> None:
        """Call ``conclude`` and write the card of a finished run.

        If it was stopped, the run is left unfinished; a resumed one calls it again.
        """
        if self._conclude_run is not None:
            conclusion = self._conclude_run(self._best_encoder(), is_stopped)
            if conclusion is None:
                return
            self._ensemble = conclusion.ensemble
            self.trainer_state.core_seconds = self._clock.spent_s + conclusion.earlier_s
        self._is_concluded = True
        self._write_card()

    def _best_encoder(self) -> Encoder:
        """The transformer with its best weights."""
        params = self.state.params
        if self.trainer_state.best_step not in (0, self.trainer_state.step):
            params = load_weights(self.folder.weights, params)
        return Encoder(self._graph, params, self._layout, self._features)

    def _take_step(self) -> None:
        batch: Batch = next(self._batches)
        self.trainer_state.step += 1
        number = self.trainer_state.step
        self.state, report = self.step(self.state, self._constants, batch, jnp.int32(number))
        self._meter.add(number, report, n_labels(batch))

    def _after_step(self, is_stopping: bool) -> None:
        training, step = self.config.training, self.trainer_state.step
        validate_every = training.validate_every or self._steps_per_epoch
        is_over_budget = self._is_over_budget()
        is_last = step == self.total_steps or is_over_budget
        validates = is_last or step % validate_every == 0
        saves = is_last or is_stopping or step % (training.checkpoint_every or validate_every) == 0
        # Log before each checkpoint, so that a resumed run logs the same steps in the same lines.
        if validates or saves or step % training.log_every == 0:
            self._log()
        if validates:
            self._check_diverged()  # before any weights are written
        if is_last:
            self.trainer_state.finished = (
                "the budget is spent" if is_over_budget else "all steps taken"
            )
        if validates and self._validation.is_possible:
            self._validate()
        elif validates and self._is_sane(self._progress.loss):
            self._write_weights()
        elif is_last:
            raise RunError(
                f"the run diverged: the loss is {self._progress.loss:.3g} nats, expected at most "
                f"{self._largest_loss:,.0f}",
                DIVERGED_HINT,
            )
        if saves or self.trainer_state.finished:
            self._save()
        if validates or saves:
            self._meter.restart()

    def _is_over_budget(self) -> bool:
        return self._clock.spent_s > stop_s(self.config)

    def _log(self) -> None:
        summary, step = self._meter.summary(), self.trainer_state.step
        self.trainer_state.skipped_steps += summary.skipped
        self._check_diverged(MAX_SKIPPED_STEPS)
        values: dict[str, Any] = {
            "epoch": round(step / self._steps_per_epoch, 4),
            "loss": summary.loss,
            "gradient_norm": summary.gradient_norm,
            "learning_rate": self._learning_rate(step),
            "events_per_s": round(summary.events_per_s, 1),
        }
        if summary.skipped:
            values["skipped_steps"] = summary.skipped
        self._writer.record(step, "train", values)
        seconds_left = (self.total_steps - step) * summary.seconds / max(summary.steps, 1)
        message = ""
        if summary.skipped:
            steps = ", ".join(map(str, summary.skipped))
            message = f"skipped step {steps}: the loss, its gradient or the update was not finite"
        self._progress = Progress(
            step, self.total_steps, summary.loss, summary.events_per_s, seconds_left, message
        )
        self._watch(self._progress)

    def _learning_rate(self, step: int) -> float:
        """The learning rate of a step. The optimizer does not count skipped updates."""
        updates = step - 1 - sum(skipped < step for skipped in self.trainer_state.skipped_steps)
        return float(np.asarray(self._schedule(updates)))

    def _check_diverged(self, n_skipped: int | None = None) -> None:
        """Raise RunError if ``n_skipped`` of the recent updates were skipped; by default, most."""
        step = self.trainer_state.step
        n_recent = min(step, 2 * MAX_SKIPPED_STEPS)
        skipped = sum(number > step - n_recent for number in self.trainer_state.skipped_steps)
        if skipped >= (n_recent // 2 + 1 if n_skipped is None else n_skipped):
            raise RunError(
                f"the run diverged: {skipped} of the last {quantity(n_recent, 'update')} before "
                f"step {step} were not finite",
                DIVERGED_HINT,
            )

    def _validate(self) -> None:
        trainer_state, metric = self.trainer_state, self.config.training.validation_metric
        self.data.sequences.check()
        try:
            validation = self._validation.measure(self.recommender(), self.state.params)
        except NotFiniteError as error:
            message = f"the run diverged: at step {trainer_state.step} {error.message}"
            raise RunError(message, DIVERGED_HINT) from None
        self._writer.record(trainer_state.step, "validation", validation.metrics)
        value = validation.metrics[metric]
        is_sane = self._is_sane(validation.metrics["loss"])
        if is_sane and is_better(metric, value, trainer_state.best_value):
            trainer_state.best_value, trainer_state.best_step = value, trainer_state.step
            trainer_state.best_results = validation.results
            trainer_state.validations_since_best = 0
            self._write_weights()
        else:
            trainer_state.validations_since_best += 1
        patience = self.config.training.patience
        if patience is not None and trainer_state.validations_since_best >= patience:
            trainer_state.finished = f"{metric} did not improve in {patience} validations"
        if trainer_state.finished and not trainer_state.best_step:
            raise RunError(
                "the run diverged: no validation had a finite metric and a loss of at most "
                f"{self._largest_loss:,.0f} nats",
                DIVERGED_HINT,
            )
        best = " (best)" if trainer_state.best_step == trainer_state.step else ""
        message = f"step {trainer_state.step}: {metric} {value:.4f}{best}"
        self._watch(self._progress._replace(message=message))

    @property
    def _largest_loss(self) -> float:
        """The largest loss of weights that may be the best, in nats."""
        return MAX_LOSS_RATIO * math.log(self.data.vocabulary_size)

    def _is_sane(self, loss: float) -> bool:
        """Whether a loss is finite and not absurd, so that the weights may be served."""
        return loss <= self._largest_loss  # false for NaN

    def _save(self) -> None:
        now = time.perf_counter()
        self.trainer_state.seconds += now - self._last_save
        self.trainer_state.core_seconds = self._clock.spent_s
        self._last_save = now
        self._checkpoints.save(
            self.trainer_state.step, self.state, self._batches, asdict(self.trainer_state)
        )

    def _write_weights(self) -> None:
        write_weights(self.folder.weights, self.state.params, self.trainer_state.step)
        self._write_card()

    def _write_card(self) -> None:
        trainer_state, data = self.trainer_state, self.data
        metric = self.config.training.validation_metric
        parameters = sum(leaf.size for leaf in jax.tree.leaves(self.state.params))
        card = {
            "segue_version": segue.__version__,
            "dataset": {"name": data.name, "fingerprint": data.fingerprint},
            "seed": self.config.training.seed,
            "parameters": parameters,
            "steps": trainer_state.step,
            "epochs": round(trainer_state.step / self._steps_per_epoch, 3),
            "finished": trainer_state.finished if self._is_concluded else "not yet",
            "seconds": round(trainer_state.seconds, 1),
            "core_seconds": round(trainer_state.core_seconds, 1),
            "skipped_steps": trainer_state.skipped_steps,
            "validation": {
                "metric": metric,
                "best": trainer_state.best_value,
                "step": trainer_state.best_step,
            },
            "results": trainer_state.best_results,
            "ensemble": self._ensemble,
            "machine": machine_summary(),
            "checksums": self.folder.checksums(),
        }
        self.folder.write_json(self.folder.card, card)
