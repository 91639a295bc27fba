"""Values that take long: computed once per version of a model, in a thread, on first use.

A computation that failed is begun again by a request after ``RETRY_S``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Generic, Literal, TypeVar

from segue.errors import SegueError
from segue.server.log import Log
from segue.server.registry import ServedModel

ValueT = TypeVar("ValueT")
Report = Callable[[float], None]
"""Called with the share of the work that is done; ends the work if the server stops."""
Stage = Literal["computing", "ready", "failed"]
RETRY_S = 60.0
"""Seconds in which a failure is reported before it is tried again."""


class _StoppedError(Exception):
    """Nobody wants the value any more."""


class LongComputation(Generic[ValueT]):
    """One value, computed in a daemon thread, which does not keep the process alive.

    Attributes:
        state: how far it is.
        share: of the work that is done, from 0 to 1.
        value: the value, once ``state`` is ``ready``.
        error: why it could not be computed, once ``state`` is ``failed``.
        failed_at_s: when, by ``time.monotonic``.
    """

    def __init__(self, compute: Callable[[Report], ValueT]) -> None:
        """Start the computation."""
        self.state: Stage = "computing"
        self.share = 0.0
        self.value: ValueT | None = None
        self.error: Exception | None = None
        self.failed_at_s: float | None = None
        self._compute: Callable[[Report], ValueT] | None = compute
        self._is_stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="segue-background", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the computation at its next report."""
        self._is_stopped.set()

    def wait(self, timeout_s: float | None = None) -> None:
        """Wait until it is ready or has failed."""
        self._thread.join(timeout_s)

    def _report(self, share: float) -> None:
        self.share = share
        if self._is_stopped.is_set():
            raise _StoppedError

    def _run(self) -> None:
        assert self._compute is not None
        compute, self._compute = self._compute, None  # it may hold a model
        try:
            self.value = compute(self._report)
            self.state = "ready"
        except Exception as error:  # noqa: BLE001 - who asks for the value reports it
            self.error = error.with_traceback(None)  # its frames hold a model, too
            self.failed_at_s = time.monotonic()
            self.state = "failed"


class PerModel(Generic[ValueT]):
    """A value per version of each model, computed in the background when it is first used."""

    def __init__(
        self, name: str, compute: Callable[[ServedModel, Report], ValueT], log: Log
    ) -> None:
        """Prepare; nothing is computed yet.

        Args:
            name: what is computed, for the log.
            compute: computes the value of a model.
            log: where bugs are written.
        """
        self._name = name
        self._compute = compute
        self._log = log
        self._started: dict[str, tuple[ServedModel, LongComputation[ValueT]]] = {}

    def of(self, model: ServedModel) -> LongComputation[ValueT]:
        """The value of a model. That of an older version is dropped. Called in the event loop."""
        served, computation = self._started.get(model.name, (None, None))
        if computation is not None and served is model and not _is_to_be_repeated(computation):
            return computation
        self.drop(model.name)
        computation = LongComputation(lambda report: self._logged(model, report))
        self._started[model.name] = (model, computation)
        return computation

    def drop(self, name: str) -> None:
        """Forget the value of a model that was loaded again, and with it the old version."""
        _, computation = self._started.pop(name, (None, None))
        if computation is not None:
            computation.stop()

    def close(self) -> None:
        """End all computations."""
        for _, computation in self._started.values():
            computation.stop()

    def _logged(self, model: ServedModel, report: Report) -> ValueT:
        try:
            return self._compute(model, report)
        except (SegueError, _StoppedError):
            raise
        except Exception as error:
            self._log.write_bug(error, computing=self._name)
            raise


def _is_to_be_repeated(computation: LongComputation[Any]) -> bool:
    failed_at_s = computation.failed_at_s
    return failed_at_s is not None and time.monotonic() - failed_at_s > RETRY_S
