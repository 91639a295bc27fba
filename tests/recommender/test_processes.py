"""A forked process cannot use a model of its parent, and says so instead of hanging."""

from __future__ import annotations

import os
import pickle
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from segue import machine
from segue.dataset import Dataset
from segue.errors import RequestError
from segue.recommender import Recommender
from segue.trainer import train

SECONDS = 60


@pytest.fixture(scope="module")
def model(cycle_run: Path) -> Recommender:
    return Recommender.load(cycle_run)


def in_fork(act: Callable[[], object]) -> str:
    """Call a function in a forked child; the message of the error that it raises, or ``done``."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # JAX and Python 3.12 warn about the fork
        child = os.fork()
    if child == 0:
        try:
            act()
            message = "done"
        except BaseException as error:  # noqa: BLE001 - a child must not go on with the tests
            message = f"{type(error).__name__}: {error}"
        os.write(writing, message.encode())
        os._exit(0)
    os.close(writing)
    deadline = time.monotonic() + SECONDS
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        if time.monotonic() > deadline:
            os.kill(child, 9)
            os.waitpid(child, 0)
            return "hangs"
        time.sleep(0.01)
    with os.fdopen(reading) as pipe:
        return pipe.read()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_forked_process_gets_an_error_that_names_spawn(
    model: Recommender, cycle_run: Path, cycles: Dataset
) -> None:
    item = model.item_ids[0]
    calls: list[Callable[[], object]] = [
        lambda: model.recommend([item], k=1),
        lambda: model.generate([item], 2),
        lambda: model.score([item], [item]),
        lambda: model.similar_items(item, 1),
        lambda: model.encode([item]),
        model.item_vectors,
        lambda: Recommender.load(cycle_run),
        lambda: train(cycles, "never written"),
    ]
    for call in calls:
        message = in_fork(call)
        assert message.startswith("RequestError: "), message
        assert '"spawn"' in message
    assert len(model.recommend([item], k=1).items) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_fork_after_jax_was_used_without_segue() -> None:
    import jax.numpy as jnp

    jnp.ones(1).block_until_ready()
    machine._process_of_jax.cache_clear()
    try:
        assert in_fork(machine.check_fork).startswith("RequestError")
    finally:
        machine._process_of_jax.cache_clear()


def test_a_fork_before_jax_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    machine._process_of_jax.cache_clear()
    monkeypatch.setattr("os.getpid", lambda: 12_345)  # the child, where JAX is used first
    machine.check_fork()
    machine.check_fork()
    machine._process_of_jax.cache_clear()


def test_the_error_can_be_sent_to_the_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    machine.check_fork()
    monkeypatch.setattr("os.getpid", lambda: 12_345)
    with pytest.raises(RequestError) as caught:
        machine.check_fork()
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
