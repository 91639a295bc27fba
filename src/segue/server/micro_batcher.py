"""Micro-batching: requests that arrive at the same time are computed in one call of the model.

Jobs wait in one queue per key; jobs of the same key can share a call. One worker thread computes
one batch at a time, so batches grow by themselves with the load: what arrives during a call forms
the next one. A batch begins with the job that has waited longest and takes all jobs of its key, up
to the largest batch. While the worker is idle, a job waits for company for at most ``max_wait_s``,
and not at all if the batch before had none: so a single client never waits.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

Compute = Callable[[Any, list[Any]], Sequence[Any]]
"""Computes a batch in the worker thread, from its key and the contents of its jobs: one result or
exception per job, in order."""


class QueueFullError(Exception):
    """There is no room for more jobs.

    Attributes:
        retry_after_s: seconds after which there probably is.
    """

    def __init__(self, retry_after_s: float) -> None:
        super().__init__("the queue is full")
        self.retry_after_s = retry_after_s


class ClosedError(Exception):
    """The batcher accepts no more jobs."""


@dataclass(frozen=True)
class BatchReport:
    """What one call of the model did, for metrics.

    Attributes:
        size: number of jobs.
        seconds: time of the call.
        n_waiting: jobs that waited when it began.
    """

    size: int
    seconds: float
    n_waiting: int


@dataclass(eq=False)
class _Job:
    key: Hashable
    content: Any
    arrival_s: float
    future: asyncio.Future[Any] = field(repr=False)


class MicroBatcher:
    """Joins jobs to batches. All methods are called from one event loop."""

    def __init__(
        self,
        compute: Compute,
        *,
        max_batch: int = 32,
        max_wait_s: float = 0.001,
        max_queue: int = 1024,
        watch: Callable[[BatchReport], None] | None = None,
    ) -> None:
        """Prepare; the thread starts with the first batch.

        Args:
            compute: called in the worker thread with a key and the contents of its jobs.
            max_batch: largest number of jobs per call.
            max_wait_s: the longest that a job waits for others while the worker is idle, if the
                batch before had several jobs.
            max_queue: largest number of waiting jobs.
            watch: called after every batch.
        """
        self._compute = compute
        self._max_batch = max_batch
        self._max_wait_s = max_wait_s
        self._max_queue = max_queue
        self._watch = watch
        self._queues: dict[Hashable, deque[_Job]] = {}
        self._n_waiting = 0
        self._seconds_per_job = 0.005
        self._is_busy = False
        self._is_closed = False
        self._has_company = False
        self._timer: asyncio.Handle | None = None
        self._timer_due_s = 0.0
        self._idle = asyncio.Event()
        self._idle.set()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="segue-model")

    @property
    def n_waiting(self) -> int:
        """Number of jobs in the queue, without those that are being computed."""
        return self._n_waiting

    def submit(self, key: Hashable, contents: Sequence[Any]) -> list[asyncio.Future[Any]]:
        """Accept some jobs, all of them or none.

        A future that is cancelled takes its job out of the queue.

        Returns:
            A future per job, with the result or the exception that ``compute`` returned for it.

        Raises:
            QueueFullError: as in ``check_room``.
            ClosedError: as in ``check_room``.
        """
        self.check_room(len(contents))
        loop = asyncio.get_running_loop()
        jobs = [_Job(key, content, loop.time(), loop.create_future()) for content in contents]
        queue = self._queues.setdefault(key, deque())
        for job in jobs:
            queue.append(job)
            job.future.add_done_callback(lambda _, job=job: self._leave(job))
        self._n_waiting += len(jobs)
        self._idle.clear()
        self._schedule(joins_next=True)
        return [job.future for job in jobs]

    def check_room(self, n_jobs: int) -> None:
        """Check that some jobs would be accepted.

        Raises:
            QueueFullError: there is no room for all of them.
            ClosedError: the batcher was closed.
        """
        if self._is_closed:
            raise ClosedError
        if self._n_waiting + n_jobs > self._max_queue:
            raise QueueFullError(self._n_waiting * self._seconds_per_job)

    async def close(self) -> None:
        """Compute what was accepted, then end the worker thread."""
        self._is_closed = True
        self._schedule()
        await self._idle.wait()
        self._worker.shutdown(wait=False)

    def _leave(self, job: _Job) -> None:
        """Take a job that was cancelled out of the queue, unless its batch has begun."""
        queue = self._queues.get(job.key)
        if not job.future.cancelled() or queue is None or job not in queue:
            return
        queue.remove(job)
        self._n_waiting -= 1
        if not queue:
            del self._queues[job.key]
        self._note_idle()

    def _schedule(self, *, joins_next: bool = False) -> None:
        """Begin a batch if the worker is idle, now or when the oldest job has waited enough.

        Args:
            joins_next: whether to wait for the jobs that are submitted right after these.
        """
        if self._is_busy or not self._queues:
            self._note_idle()
            return
        queue = min(self._queues.values(), key=lambda queue: queue[0].arrival_s)
        loop = asyncio.get_running_loop()
        due_s = queue[0].arrival_s + (self._max_wait_s if self._has_company else 0)
        is_due = self._is_closed or (loop.time() >= due_s and not joins_next)
        waits = len(queue) < self._max_batch and not is_due
        if self._timer is not None:
            if waits and joins_next and self._timer_due_s <= due_s:
                return  # jobs that keep coming must not put it off
            self._timer.cancel()
            self._timer = None
        if waits:
            # Kept apart: uvloop's handle of what is due already has no time.
            self._timer_due_s = due_s
            self._timer = loop.call_at(due_s, self._schedule)
        else:
            self._begin(queue)

    def _begin(self, queue: deque[_Job]) -> None:
        key, loop = queue[0].key, asyncio.get_running_loop()
        jobs = [queue.popleft() for _ in range(min(len(queue), self._max_batch))]
        if not queue:
            del self._queues[key]
        self._n_waiting -= len(jobs)
        self._is_busy = True
        self._has_company = len(jobs) > 1 or bool(self._queues)
        start_s = loop.time()
        contents = [job.content for job in jobs]
        batch = loop.run_in_executor(self._worker, self._compute, key, contents)
        batch.add_done_callback(lambda done: self._finish(done, jobs, start_s))

    def _finish(
        self, batch: asyncio.Future[Sequence[Any]], jobs: list[_Job], start_s: float
    ) -> None:
        """Hand the results to those who still wait for them, and begin the next batch."""
        seconds = asyncio.get_running_loop().time() - start_s
        self._seconds_per_job += 0.1 * (seconds / len(jobs) - self._seconds_per_job)
        self._is_busy = False
        error = batch.exception()
        results = [error] * len(jobs) if error is not None else batch.result()
        for job, result in zip(jobs, results, strict=True):
            if job.future.done():  # cancelled while it was computed
                continue
            if isinstance(result, BaseException):
                job.future.set_exception(result)
            else:
                job.future.set_result(result)
        if self._watch is not None:
            self._watch(BatchReport(len(jobs), seconds, self._n_waiting))
        self._schedule()

    def _note_idle(self) -> None:
        if not self._is_busy and not self._queues:
            self._idle.set()
