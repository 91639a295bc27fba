"""What every test stands on: strict JAX, a compilation cache of its own, the real data."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import hypothesis
import pytest

# Examples are the same in every run; a compilation may take what time it needs.
hypothesis.settings.register_profile("segue", deadline=None, derandomize=True, max_examples=60)
hypothesis.settings.load_profile("segue")

# Set before JAX is imported, and for processes that tests start: no silent change of the
# number of axes anywhere. (Optax mixes types, so `strict_types` is for modules without it.)
os.environ["JAX_NUMPY_RANK_PROMOTION"] = "raise"
# Most of a test's time would go into compiling what then runs for a moment: XLA optimises
# little, writes its loops the short way and starts no threads for it. An XLA that does not know
# a flag ends the process.
os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"
QUICK_COMPILATION = ["--xla_cpu_parallel_codegen_split_count=1"]
if version("jaxlib").startswith("0.10."):
    QUICK_COMPILATION.append("--xla_cpu_use_fusion_emitters=false")
os.environ["XLA_FLAGS"] = " ".join([os.environ.get("XLA_FLAGS", ""), *QUICK_COMPILATION]).strip()
# Python does not notice when a limit on file sizes cuts the bytecode that it caches, and a
# test of full disks would leave modules behind that cannot be imported.
os.environ["PYTHONDONTWRITEBYTECODE"] = "1"


def pytest_collection_finish() -> None:
    """Look for garbage less often, and not at all among what is there to stay.

    Tracing makes many objects, and each search would go through all that JAX consists of.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000)


@pytest.fixture(scope="module")
def strict_types() -> Iterator[None]:
    """No silent change of a type either: for `pytestmark = pytest.mark.usefixtures(...)`."""
    import jax

    with jax.numpy_dtype_promotion("strict"):
        yield


@pytest.fixture(scope="session", autouse=True)
def compilation_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Compiled programs are kept for the session, never in the user's own cache.

    Whoever sets SEGUE_CACHE keeps them between sessions: the second is faster.
    """
    with pytest.MonkeyPatch.context() as patch:
        if "SEGUE_CACHE" not in os.environ:
            patch.setenv("SEGUE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def segue_data() -> Path:
    """The folder of real data sets; tests that want it are skipped where there is none."""
    folder = os.environ.get("SEGUE_DATA")
    if not folder:
        pytest.skip("SEGUE_DATA does not name a folder of real data sets")
    return Path(folder)
