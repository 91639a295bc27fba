"""What a run remembers and tells of its progress."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from segue.errors import RunError
from segue.trainer.step import StepReport


class Progress(NamedTuple):
    """Where a run is, for whoever watches it.

    Attributes:
        loss: mean over the steps since the last report, in nats.
        events_per_s: trained events (labels) a second.
        seconds_left: estimate until the last step, were no patience to end it before.
        message: something worth a line of its own, such as a validation result.
    """

    step: int
    total_steps: int
    loss: float
    events_per_s: float
    seconds_left: float
    message: str = ""


@dataclass
class Remembered:
    """What a run remembers besides its state; saved with every checkpoint."""

    step: int = 0
    best_step: int = 0
    best_value: float | None = None
    best_results: dict[str, Any] = field(default_factory=dict)
    validations_since_best: int = 0
    skipped_steps: list[int] = field(default_factory=list)
    seconds: float = 0.0
    finished: str = ""

    @classmethod
    def read(cls, saved: dict[str, Any]) -> Remembered:
        """What a checkpoint has of it.

        Raises:
            RunError: it is of another version of Segue.
        """
        try:
            return cls(**saved)
        except TypeError:
            raise RunError(
                f"the checkpoint remembers {', '.join(sorted(saved)) or 'nothing'}, of another "
                "version of Segue",
                "resume with that version, or begin another run",
            ) from None


class Summary(NamedTuple):
    """The steps since the last summary, taken together.

    Attributes:
        loss: mean of the steps that counted; not a number if none did.
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
    """Collects step reports, and asks the device for their values only now and then.

    Reading a value waits for the step that computes it; between readings the host runs
    ahead and the device never idles.
    """

    def __init__(self) -> None:
        self._since = time.perf_counter()
        self._pending: list[tuple[int, StepReport, int]] = []

    def add(self, step: int, report: StepReport, events: int) -> None:
        """Note one step, with the number of labels that it trained on."""
        self._pending.append((step, report, events))

    def restart(self) -> None:
        """Leave out the time since the last step, which went into something else."""
        self._since = time.perf_counter()

    def summary(self) -> Summary:
        """Sum up, and begin anew."""
        losses = np.array([float(report.loss) for _, report, _ in self._pending])
        norms = np.array([float(report.gradient_norm) for _, report, _ in self._pending])
        good = np.array([bool(report.is_finite) for _, report, _ in self._pending])
        seconds = time.perf_counter() - self._since
        events = sum(events for _, _, events in self._pending)
        summary = Summary(
            steps=len(self._pending),
            loss=float(losses[good].mean()) if good.any() else float("nan"),
            gradient_norm=float(norms[good].mean()) if good.any() else float("nan"),
            events_per_s=events / max(seconds, 1e-9),
            skipped=[step for step, report, _ in self._pending if not bool(report.is_finite)],
            seconds=seconds,
        )
        self._pending.clear()
        self._since = time.perf_counter()
        return summary
