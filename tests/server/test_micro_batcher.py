"""Micro-batching without HTTP: what is joined, in what order, and what happens to the rest."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segue.server.micro_batcher import BatchReport, ClosedError, MicroBatcher, QueueFullError


class Model:
    """Doubles numbers; notes its batches; waits where it is stopped."""

    def __init__(self) -> None:
        self.batches: list[tuple[Any, list[Any]]] = []
        self.threads: set[int] = set()
        self.is_free = threading.Event()
        self.is_free.set()

    def __call__(self, key: Any, contents: list[Any]) -> list[Any]:
        self.threads.add(threading.get_ident())
        self.batches.append((key, contents))
        assert self.is_free.wait(10)
        if "break" in contents:
            raise RuntimeError("broken")
        return [ValueError(c) if c == "bad" else 2 * c for c in contents]


def run(scenario: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(scenario, 20))


async def results(futures: list[asyncio.Future[Any]]) -> list[Any]:
    return await asyncio.gather(*futures, return_exceptions=True)


async def occupied(model: Model, **options: Any) -> tuple[MicroBatcher, asyncio.Future[Any]]:
    """A batcher whose worker computes one job and does not end."""
    batcher = MicroBatcher(model, max_wait_s=0.0, **options)
    model.is_free.clear()
    (first,) = batcher.submit("first", [0])
    while not model.batches:
        await asyncio.sleep(0.001)
    return batcher, first


@settings(max_examples=20)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers()), max_size=30))
def test_every_job_gets_its_own_result(jobs: list[tuple[str, int]]) -> None:
    async def scenario() -> list[Any]:
        batcher = MicroBatcher(Model(), max_batch=4)
        futures = [batcher.submit(key, [number])[0] for key, number in jobs]
        answers = await results(futures)
        await batcher.close()
        return answers

    assert run(scenario()) == [2 * number for _, number in jobs]


def test_what_arrives_during_a_call_forms_the_next_batches_by_key_and_age() -> None:
    async def scenario() -> list[Any]:
        model = Model()
        batcher, first = await occupied(model, max_batch=3)
        futures = [first]
        for key, number in [("a", 1), ("b", 2), ("a", 3), ("a", 4), ("a", 5), ("b", 6)]:
            futures += batcher.submit(key, [number])
        model.is_free.set()
        await results(futures)
        await batcher.close()
        assert len(model.threads) == 1
        return model.batches[1:]

    assert run(scenario()) == [("a", [1, 3, 4]), ("b", [2, 6]), ("a", [5])]


def test_after_a_batch_of_several_an_idle_worker_waits_for_company() -> None:
    async def scenario() -> list[Any]:
        model = Model()
        batcher = MicroBatcher(model, max_batch=2, max_wait_s=1_000.0)
        await results(batcher.submit("a", [1, 2]))
        third = batcher.submit("a", [3])
        await asyncio.sleep(0.01)
        fourth = batcher.submit("a", [4])
        await results(third + fourth)
        await batcher.close()
        return model.batches

    assert run(scenario()) == [("a", [1, 2]), ("a", [3, 4])]


def test_a_job_without_company_waits_until_the_deadline() -> None:
    async def scenario() -> list[Any]:
        model = Model()
        batcher = MicroBatcher(model, max_batch=2, max_wait_s=0.01)
        await results(batcher.submit("a", [1, 2]))
        await results(batcher.submit("a", [3]))
        await batcher.close()
        return model.batches

    assert run(scenario()) == [("a", [1, 2]), ("a", [3])]


def test_a_client_that_is_alone_never_waits() -> None:
    async def scenario() -> list[Any]:
        model = Model()
        batcher = MicroBatcher(model, max_wait_s=1_000.0)
        for number in range(3):
            await results(batcher.submit("a", [number]))
        await batcher.close()
        return model.batches

    assert run(scenario()) == [("a", [0]), ("a", [1]), ("a", [2])]


def test_jobs_of_one_moment_are_computed_together_without_waiting() -> None:
    async def scenario() -> list[Any]:
        model = Model()
        batcher = MicroBatcher(model, max_wait_s=1_000.0)
        futures = [batcher.submit("a", [number])[0] for number in range(3)]
        await results(futures)
        await batcher.close()
        return model.batches

    assert run(scenario()) == [("a", [0, 1, 2])]


def test_jobs_that_keep_coming_do_not_put_a_batch_off() -> None:
    async def scenario() -> tuple[int, Any]:
        batcher, futures = MicroBatcher(Model(), max_batch=1_000), []
        for number in range(50):  # one per turn of the event loop
            futures += batcher.submit("a", [number])
            await asyncio.sleep(0)
        n_waiting = batcher.n_waiting
        answers = await results(futures)
        await batcher.close()
        return n_waiting, answers

    n_waiting, answers = run(scenario())
    assert n_waiting < 50
    assert answers == [2 * number for number in range(50)]


def test_a_full_batch_does_not_wait() -> None:
    async def scenario() -> Any:
        batcher = MicroBatcher(Model(), max_batch=2, max_wait_s=1_000.0)
        answers = await results(batcher.submit("a", [1, 2]))
        await batcher.close()
        return answers

    assert run(scenario()) == [2, 4]


def test_a_wrong_job_harms_no_other() -> None:
    async def scenario() -> list[Any]:
        batcher = MicroBatcher(Model())
        answers = await results(batcher.submit("a", [1, "bad", 3]))
        await batcher.close()
        return answers

    first, bad, third = run(scenario())
    assert (first, third) == (2, 6)
    assert isinstance(bad, ValueError)


def test_a_call_that_breaks_fails_its_jobs_and_no_later_ones() -> None:
    async def scenario() -> list[Any]:
        batcher = MicroBatcher(Model())
        broken = await results(batcher.submit("a", [1, "break"]))
        later = await results(batcher.submit("a", [1]))
        await batcher.close()
        return [*map(type, broken), *later]

    assert run(scenario()) == [RuntimeError, RuntimeError, 2]


def test_the_queue_is_bounded_and_accepts_all_jobs_or_none() -> None:
    async def scenario() -> None:
        model = Model()
        batcher, first = await occupied(model, max_queue=3)
        waiting = batcher.submit("a", [1, 2])
        with pytest.raises(QueueFullError) as error:
            batcher.submit("a", [3, 4])
        assert error.value.retry_after_s > 0
        assert batcher.n_waiting == 2
        waiting += batcher.submit("a", [3])
        model.is_free.set()
        assert await results([first, *waiting]) == [0, 2, 4, 6]
        assert batcher.n_waiting == 0
        await batcher.close()

    run(scenario())


def test_a_cancelled_job_leaves_the_queue_and_makes_room() -> None:
    async def scenario() -> list[Any]:
        model = Model()
        batcher, first = await occupied(model, max_queue=2)
        cancelled, kept = batcher.submit("a", [1, 2])
        cancelled.cancel()
        await asyncio.sleep(0)
        assert batcher.n_waiting == 1
        (third,) = batcher.submit("a", [3])
        model.is_free.set()
        await results([first, kept, third])
        await batcher.close()
        return model.batches[1:]

    assert run(scenario()) == [("a", [2, 3])]


def test_a_job_that_is_cancelled_during_its_call_harms_no_other() -> None:
    async def scenario() -> Any:
        model = Model()
        batcher, first = await occupied(model)
        first.cancel()
        (second,) = batcher.submit("a", [1])
        model.is_free.set()
        answer = await second
        await batcher.close()
        return answer

    assert run(scenario()) == 2


def test_closing_computes_what_was_accepted_and_accepts_no_more() -> None:
    async def scenario() -> list[Any]:
        model = Model()
        batcher, first = await occupied(model)
        futures = [first, *batcher.submit("a", [1]), *batcher.submit("b", [2])]
        closing = asyncio.create_task(batcher.close())
        await asyncio.sleep(0.01)
        assert not closing.done()
        with pytest.raises(ClosedError):
            batcher.submit("a", [3])
        model.is_free.set()
        await closing
        return [future.result() for future in futures]

    assert run(scenario()) == [0, 2, 4]


def test_every_batch_is_reported() -> None:
    async def scenario() -> list[BatchReport]:
        reports: list[BatchReport] = []
        batcher = MicroBatcher(Model(), watch=reports.append)
        await results(batcher.submit("a", [1, 2, 3]))
        await batcher.close()
        return reports

    (report,) = run(scenario())
    assert (report.size, report.n_waiting) == (3, 0)
    assert report.seconds > 0
