"""Settings for all tests (strict JAX, fast compilation, separate cache) and shared fixtures."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

import type_checks
from slow_cases import mark_slow_cases

if TYPE_CHECKING:
    from postgres_server import PostgresServer
    from segue.config import Config
    from segue.dataset import Dataset
    from segue.trainer import Progress

# Importing creates many objects and frees few: collecting took a third of the time.
gc.disable()
type_checks.install("segue")

# Examples are the same in every run; there is no deadline, because compilations take seconds.
# `make test-slow` runs all property tests again, with `--hypothesis-profile=thorough`.
hypothesis.settings.register_profile("thorough", deadline=None, derandomize=True, max_examples=60)
hypothesis.settings.register_profile("quick", deadline=None, derandomize=True, max_examples=8)
hypothesis.settings.load_profile("quick")

# Set before JAX is imported, and inherited by processes that tests start: no implicit rank
# promotion anywhere. (Optax mixes dtypes, so `strict_types` is for modules without it.)
os.environ["JAX_NUMPY_RANK_PROMOTION"] = "raise"
# Tests would spend most of their time compiling programs that run for a moment. So XLA optimises
# little, emits loops without fusion emitters, and compiles in one thread. The version is checked
# because XLA aborts at a flag that it does not know.
os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"
QUICK_COMPILATION = ["--xla_cpu_parallel_codegen_split_count=1"]
if version("jaxlib").startswith("0.10."):
    QUICK_COMPILATION.append("--xla_cpu_use_fusion_emitters=false")
os.environ["XLA_FLAGS"] = " ".join([os.environ.get("XLA_FLAGS", ""), *QUICK_COMPILATION]).strip()
# Python does not notice when a limit on file sizes truncates the bytecode that it caches. Tests
# of full disks would leave modules behind that cannot be imported.
os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
# Under nohup SIGHUP is ignored, and processes that tests start would inherit that.
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of a large group of cases, some are fast and the others slow."""
    mark_slow_cases(items)


def pytest_collection_finish() -> None:
    """Make garbage collection rarer, and exclude the objects that exist before the tests.

    Tracing creates many objects, and each collection would traverse all of JAX's modules.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000)
    gc.enable()


@pytest.fixture(scope="module")
def strict_types() -> Iterator[None]:
    """No implicit dtype promotion; for `pytestmark = pytest.mark.usefixtures(...)`."""
    import jax

    with jax.numpy_dtype_promotion("strict"):
        yield


@pytest.fixture(scope="session", autouse=True)
def compilation_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Cache compiled programs for the session, outside the user's own cache.

    The processes of pytest-xdist share it. If SEGUE_CACHE is set, its folder is used, and later
    sessions are faster.
    """
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    with pytest.MonkeyPatch.context() as patch:
        if "SEGUE_CACHE" not in os.environ:
            patch.setenv("SEGUE_CACHE", str(folder / "compilation-cache"))
        yield


@pytest.fixture(scope="session")
def segue_data() -> Path:
    """The folder of real datasets; without it, tests that use them are skipped."""
    folder = os.environ.get("SEGUE_DATA")
    if not folder:
        pytest.skip("SEGUE_DATA does not name a folder of real datasets")
    return Path(folder)


@pytest.fixture(params=[3, 1 << 20], ids=["tiny blocks", "one block"])
def event_block_size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run a test twice: with blocks of 3 events, and with one block for all events."""
    from segue import ragged

    monkeypatch.setattr(ragged, "BLOCK_EVENTS", request.param)
    return request.param


# Small runs, each trained once per session. Their modules are imported inside the fixtures,
# because the hook that checks annotations must be installed before segue is imported.


@pytest.fixture(scope="session")
def cycles(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    from small_runs import prepare_cycles

    return prepare_cycles(tmp_path_factory.mktemp("cycles"))


@pytest.fixture(scope="session")
def cycle_progress() -> list[Progress]:
    """The progress reports of ``cycle_run``; empty before that run was requested."""
    return []


@pytest.fixture(scope="session")
def cycle_run(
    cycles: Dataset, cycle_progress: list[Progress], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    from small_runs import train_cycles

    return train_cycles(cycles, tmp_path_factory.mktemp("runs") / "cycles", cycle_progress)


@pytest.fixture
def config() -> Config:
    from small_runs import CONFIG

    return CONFIG


@pytest.fixture(scope="session")
def genres(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    from genre_world import prepare_genres

    return prepare_genres(tmp_path_factory.mktemp("genres"))


@pytest.fixture(scope="session")
def genre_run(genres: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from small_runs import train_genres

    return train_genres(genres, tmp_path_factory.mktemp("runs") / "genres")


@pytest.fixture
def feature_config() -> Config:
    from small_runs import FEATURE_CONFIG

    return FEATURE_CONFIG


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A real PostgreSQL server; the tests that use it are slow ones."""
    from postgres_server import running_postgres

    with running_postgres() as server:
        yield server
