"""Progress of a run: reports to callers, the trainer state, and the meter of steps."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
import numpy as np

from segue.errors import RunError
from segue.storage.reading import one_line
from segue.trainer.step import StepReport

PREVIOUS_HINT = "delete the newest folder in checkpoints to resume from the previous one"


class Progress(NamedTuple):
    """A progress report, passed to the ``watch`` function of ``train``.

    Attributes:
        step: number of steps taken.
        total_steps: number of steps of the run unless ``training.patience`` ends it earlier; 0 if
            there is only a message.
        loss: mean over the steps since the last report, in nats.
        events_per_s: training events (labels) per second.
        seconds_left: estimated time until the last step.
        message: a line to display, such as a validation result; empty if there is none.
    """

    step: int
    total_steps: int
    loss: float
    events_per_s: float
    seconds_left: float
    message: str = ""


def message_only(message: str) -> Progress:
    """A line to display before the first step or after the last one; it has no step number."""
    return Progress(0, 0, float("nan"), 0.0, 0.0, message)


@dataclass
class TrainerState:
    """What a resumed run must know besides the parameters and the optimizer state.

    It is saved with every checkpoint.

    Attributes:
        step: number of steps taken.
        best_step: step of the best validation; 0 if there is none yet.
        best_value: its value of the validation metric.
        best_results: its evaluation results, as JSON.
        validations_since_best: number of validations since then, for ``training.patience``.
        skipped_steps: numbers of the steps whose update was not finite.
        seconds: training time so far, over all processes of the run.
        core_seconds: core-seconds so far, likewise; see ``budget.Clock``.
        finished: why the run ended; empty if it has not.
    """

    step: int = 0
    best_step: int = 0
    best_value: float | None = None
    best_results: dict[str, Any] = field(default_factory=dict)
    validations_since_best: int = 0
    skipped_steps: list[int] = field(default_factory=list)
    seconds: float = 0.0
    core_seconds: float = 0.0
    finished: str = ""

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> TrainerState:
        """Read the trainer state of a checkpoint.

        Raises:
            RunError: another version of Segue wrote it, or a value has another type.
        """
        if saved.keys() != cls.__dataclass_fields__.keys():
            raise RunError(
                "another version of Segue wrote the checkpoint, with the keys "
                f"{one_line(', '.join(sorted(saved)) or '(none)')}",
                "resume with that version, or start another run",
            )
        try:
            state = msgspec.convert(saved, cls)
        except msgspec.ValidationError as error:
            message = f"the trainer state of the checkpoint is damaged: {error}"
            raise RunError(message, PREVIOUS_HINT) from None
        if not 0 <= state.best_step <= state.step or state.seconds < 0:
            message = (
                f"the trainer state of the checkpoint is damaged: step {state.step}, best step "
                f"{state.best_step}, {state.seconds} seconds"
            )
            raise RunError(message, PREVIOUS_HINT)
        return state

    def check_steps(self, total_steps: int) -> None:
        """Check that steps are left unless the run has finished.

        Raises:
            RunError: there are none.
        """
        if self.step > total_steps or (self.step == total_steps and not self.finished):
            message = (
                f"the trainer state of the checkpoint is damaged: step {self.step} of "
                f"{total_steps} of an unfinished run"
            )
            raise RunError(message, PREVIOUS_HINT)


class StepSummary(NamedTuple):
    """Means and totals over the steps since the last summary.

    Attributes:
        steps: number of steps.
        loss: mean over the steps with a finite update, in nats; NaN if there is none.
        gradient_norm: mean over the same steps.
        events_per_s: training events (labels) per second.
        skipped: numbers of the steps whose update was not finite.
        seconds: wall time.
    """

    steps: int
    loss: float
    gradient_norm: float
    events_per_s: float
    skipped: list[int]
    seconds: float


class Meter:
    """Collects step reports and reads their values from the device only in ``summary``.

    Reading a value waits for the step that computes it. Between summaries the host dispatches
    steps ahead, so the device is never idle.
    """

    def __init__(self) -> None:
        """Start measuring time."""
        self._start = time.perf_counter()
        self._pending: list[tuple[int, StepReport, int]] = []

    def add(self, step: int, report: StepReport, events: int) -> None:
        """Add the report of a step and its number of labels."""
        self._pending.append((step, report, events))

    def restart(self) -> None:
        """Restart the clock, to exclude time that was not spent on steps."""
        self._start = time.perf_counter()

    def summary(self) -> StepSummary:
        """Summarise the steps since the last summary and reset the meter."""
        losses = np.array([float(report.loss) for _, report, _ in self._pending])
        norms = np.array([float(report.gradient_norm) for _, report, _ in self._pending])
        finite = np.array([bool(report.is_finite) for _, report, _ in self._pending])
        seconds = time.perf_counter() - self._start
        events = sum(events for _, _, events in self._pending)
        summary = StepSummary(
            steps=len(self._pending),
            loss=float(losses[finite].mean()) if finite.any() else float("nan"),
            gradient_norm=float(norms[finite].mean()) if finite.any() else float("nan"),
            events_per_s=events / max(seconds, 1e-9),
            skipped=[step for step, report, _ in self._pending if not bool(report.is_finite)],
            seconds=seconds,
        )
        self._pending.clear()
        self._start = time.perf_counter()
        return summary
