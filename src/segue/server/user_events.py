"""The event store of a server: every call of the database runs in a thread, and none can pile up.

Events of calls that arrive at the same time are stored in one transaction (group commit). While the
database does not answer, calls fail at once, and one after another tries again. What deleted events
left on disk is erased in a thread of its own, as that may take long.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

from segue.event_store import Event, EventStore, EventStoreUnavailableError
from segue.event_store.store import EventCallError, Outcome, Position
from segue.event_store.weights import kinds_by_sign
from segue.server.errors import ApiError, timed_out
from segue.server.log import Log
from segue.server.metrics import Metrics
from segue.server.micro_batcher import MicroBatcher, QueueFullError
from segue.server.settings import ServerSettings

T = TypeVar("T")

READ_THREADS = 4
MAX_CALLS_PER_COMMIT = 256
MAX_WAITING_CALLS = 1_024
HISTORY_EVENTS = 1_000
"""The latest events of a user that are read for a request."""
REJECTING_EVENTS = 1_000
"""The latest events of a user, of each negative kind, whose items are left out."""
RETRY_S = 1.0
"""After a failure, calls fail without an attempt for so long."""
TICK_S = 2.0
"""How often a database that failed is tried again."""
EXPIRY_S = 3_600.0
"""How often events that are too old are deleted."""
ERASURE_S = 10.0
"""How often, at most, the space of deleted events is freed."""
CLOSE_POLL_S = 0.01
"""How often the end of the last calls is looked for when the server stops."""
EXPIRY_BLOCK = 5_000
"""Events that are deleted per transaction."""


class EventsOfUser(NamedTuple):
    """What the store says of a user.

    Attributes:
        latest: the latest events of all kinds, oldest first.
        rejected: the ids of items whose last event with a weight other than 0 has a negative one.
    """

    latest: list[Event]
    rejected: set[str]


class UserEvents:
    """Stores and reads events. All methods run in the event loop of the server.

    Attributes:
        weights: the weight of each kind of event.
        is_available: whether the database answered when it was last used.
    """

    def __init__(
        self, store: EventStore, settings: ServerSettings, metrics: Metrics, log: Log
    ) -> None:
        """Prepare; nothing runs yet."""
        self.weights: Mapping[str, float] = settings.event_weights
        self.is_available = True
        self._store = store
        self._settings = settings
        self._metrics = metrics
        self._log = log
        self._retry_at_s = 0.0
        self._next_expiry_s = self._next_erasure_s = 0.0
        self._n_waiting = 0
        self._has_deleted = False
        self._reading: set[Future[Any]] = set()
        self._eraser: threading.Thread | None = None
        self._readers = ThreadPoolExecutor(READ_THREADS, thread_name_prefix="segue-events")
        self._writer = MicroBatcher(
            self._commit,
            max_batch=MAX_CALLS_PER_COMMIT,
            max_wait_s=0.0,
            max_queue=MAX_WAITING_CALLS,
        )
        metrics.set_events_available(is_available=True)

    async def add(self, events: Sequence[Event]) -> list[Outcome]:
        """Store some events in one transaction.

        Returns:
            What became of each; it is on disk.

        Raises:
            EventStoreUnavailableError: the database does not answer; some may have been stored.
            QueueFullError: too many calls are waiting.
            ApiError: it took too long.
        """
        self._check_available()
        (future,) = self._writer.submit("add", [list(events)])
        results = await self._awaited(future)
        for result in set(results):
            self._metrics.count_events(result, results.count(result))
        return results

    async def of_users(self, user_ids: Sequence[str]) -> list[EventsOfUser]:
        """What the store says of some users; errors as in ``add``."""
        signs = kinds_by_sign(self.weights)

        def read() -> list[EventsOfUser]:
            latest = self._store.latest(user_ids, HISTORY_EVENTS)
            rejected = self._store.rejected_items(user_ids, *signs, REJECTING_EVENTS)
            return list(map(EventsOfUser, latest, rejected))

        return await self._read(read)

    async def page(
        self, user_id: str, after: Position | None, limit: int
    ) -> tuple[list[Event], Position | None]:
        """Some events of a user, as in ``EventStore.page``; errors as in ``add``."""
        return await self._read(lambda: self._store.page(user_id, after, limit))

    async def delete_user(self, user_id: str) -> int:
        """Delete all events of a user, and say how many there were; errors as in ``add``."""
        return await self._read(lambda: self._deleting(lambda: self._store.delete_user(user_id)))

    async def run(self) -> None:
        """Look after the store until cancelled: availability, retention, erasure."""
        while True:
            try:
                if not self.is_available:
                    await self._read(self._store.check)
                await self._expire()
                self._start_erasure()
            except (EventStoreUnavailableError, QueueFullError, ApiError):
                pass  # noted; the next turn tries again
            except Exception as error:  # noqa: BLE001 - a bug must not end this loop
                self._log.write_bug(error)
            await asyncio.sleep(TICK_S)

    async def close(self) -> bool:
        """Store what was accepted, then close the connections.

        Returns:
            Whether the database answered all calls within ``shutdown_timeout_s``. If not, threads
            still wait for it, and the process can only be ended.
        """
        is_complete = True
        try:
            async with asyncio.timeout(self._settings.shutdown_timeout_s):
                await self._writer.close()
                while self._reading:
                    await asyncio.sleep(CLOSE_POLL_S)
        except TimeoutError:
            is_complete = False
        self._readers.shutdown(wait=False, cancel_futures=not is_complete)
        self._store.close()
        return is_complete

    def _commit(self, _: Any, calls: list[list[Event]]) -> list[list[Outcome] | Exception]:
        """Store the events of some calls in one transaction, in the writer's thread."""
        try:
            self._check_available()
            results = self._store.add([event for events in calls for event in events])
        except EventStoreUnavailableError as error:
            return [error] * len(calls)
        ends = iter(results)
        return [[next(ends) for _ in events] for events in calls]

    async def _read(self, operation: Callable[[], T]) -> T:
        self._check_available()
        if self._n_waiting >= MAX_WAITING_CALLS:
            raise QueueFullError(RETRY_S)

        def attempt() -> T:
            self._check_available()  # it may have failed while this waited for a thread
            return operation()

        self._n_waiting += 1
        try:
            reading = self._readers.submit(attempt)
            self._reading.add(reading)
            reading.add_done_callback(self._reading.discard)
            return await self._awaited(asyncio.wrap_future(reading))
        finally:
            self._n_waiting -= 1

    async def _awaited(self, future: asyncio.Future[T]) -> T:
        """The result, in time; notes whether the database answered."""
        try:
            result = await asyncio.wait_for(future, self._settings.timeout_s)
        except TimeoutError:
            raise timed_out(self._settings.timeout_s) from None
        except EventCallError:
            raise  # the database answers
        except EventStoreUnavailableError as error:
            self._note(error)
            raise
        self._note(None)
        return result

    def _check_available(self) -> None:
        if not self.is_available and time.monotonic() < self._retry_at_s:
            raise EventStoreUnavailableError("the database failed a moment ago")

    def _note(self, error: EventStoreUnavailableError | None) -> None:
        """Note whether the database answers, and log changes."""
        if error is not None:
            self._retry_at_s = time.monotonic() + RETRY_S
        if self.is_available != (error is None):
            self.is_available = error is None
            self._metrics.set_events_available(is_available=self.is_available)
            if error is None:
                self._log.write("events_available")
            else:
                self._log.write("events_unavailable", error=error.message)

    async def _expire(self) -> None:
        """Delete what is older than the retention, once an hour and at the start."""
        retention_s = self._settings.events_retention_s
        if retention_s is None or time.monotonic() < self._next_expiry_s:
            return
        oldest_us = max(0, round(1e6 * (time.time() - retention_s)))
        n_deleted, n_last = 0, EXPIRY_BLOCK
        while n_last == EXPIRY_BLOCK:
            n_last = await self._read(
                lambda: self._deleting(lambda: self._store.delete_before(oldest_us, EXPIRY_BLOCK))
            )
            n_deleted += n_last
        self._next_expiry_s = time.monotonic() + EXPIRY_S
        if n_deleted:
            self._log.write("events_expired", deleted=n_deleted)

    def _deleting(self, delete: Callable[[], int]) -> int:
        """Delete some events, in a thread of its own: it may end after nobody waits any more."""
        try:
            n_deleted = delete()
        except EventStoreUnavailableError:
            self._has_deleted = True  # perhaps some of them
            raise
        if n_deleted:
            self._has_deleted = True
        return n_deleted

    def _start_erasure(self) -> None:
        """Begin to free what deleted rows left on disk, some seconds after deletions."""
        is_running = self._eraser is not None and self._eraser.is_alive()
        if self._has_deleted and not is_running and time.monotonic() >= self._next_erasure_s:
            self._next_erasure_s = time.monotonic() + ERASURE_S
            # It does not keep the process alive.
            self._eraser = threading.Thread(target=self._erase, name="segue-erase", daemon=True)
            self._eraser.start()

    def _erase(self) -> None:
        self._has_deleted, is_complete = False, False
        try:
            is_complete = self._store.erase()
        except EventStoreUnavailableError:
            pass  # a call notes it; it is tried again
        except Exception as error:  # noqa: BLE001 - a bug must not be silent
            self._log.write_bug(error)
        if not is_complete:
            self._has_deleted = True
