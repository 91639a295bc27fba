"""The compilation cache, available memory, and the limits of control groups."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from segue.errors import ConfigError
from segue.machine import (
    CACHE_VARIABLE,
    MEMORY_VARIABLE,
    available_memory,
    cache_folder,
    free_memory,
    resident_memory,
    use_compilation_cache,
)


def test_variable_sets_the_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    assert cache_folder() == tmp_path


def test_empty_variable_turns_caching_off(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(CACHE_VARIABLE, "")
    assert cache_folder() is None
    before = jax.config.jax_compilation_cache_dir
    use_compilation_cache()
    assert jax.config.jax_compilation_cache_dir == before


def test_default_is_the_cache_folder_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.delenv(CACHE_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "segue"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    assert cache_folder() == tmp_path / "home" / ".cache" / "segue"


COMPILE = """
import jax
from segue.machine import use_compilation_cache

use_compilation_cache()
jax.jit(lambda x: 3 * x)(1.0)
"""


def test_every_compiled_program_is_cached(tmp_path: Path):
    """In a separate process, because JAX fixes its cache folder at the first compilation."""
    environment = {**os.environ, CACHE_VARIABLE: str(tmp_path)}
    subprocess.run([sys.executable, "-c", COMPILE], env=environment, timeout=300, check=True)
    assert list((tmp_path / "xla").iterdir())


def test_variable_sets_the_available_memory(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(MEMORY_VARIABLE, "7.5")
    assert available_memory() == 7_500_000_000
    for value in ("much", "inf", "nan"):
        monkeypatch.setenv(MEMORY_VARIABLE, value)
        with pytest.raises(ConfigError, match=f"'{value}', expected a number of gigabytes"):
            available_memory()


def test_default_is_the_free_memory(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(MEMORY_VARIABLE, raising=False)
    available, free = available_memory(), free_memory()
    assert (available is None) == (free is None)
    assert resident_memory() >= 0


MEMINFO = "MemTotal:  16000000 kB\nMemFree:  1000000 kB\nMemAvailable:  8000000 kB\n"


def free_memory_with(folder: Path, cgroup: str, files: dict[str, str]) -> int | None:
    """The free memory of a simulated system.

    Args:
        cgroup: the content of ``/proc/self/cgroup``.
        files: the content of files of control groups, by path.
    """
    (folder / "proc" / "self").mkdir(parents=True)
    (folder / "proc" / "meminfo").write_text(MEMINFO)
    (folder / "proc" / "self" / "cgroup").write_text(cgroup)
    for name, text in files.items():
        (folder / "groups" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "groups" / name).write_text(text)
    return free_memory(folder / "proc", folder / "groups")


def test_without_limits_memory_that_can_be_reclaimed_is_free(tmp_path: Path):
    assert free_memory_with(tmp_path, "0::/\n", {}) == 8_000_000 * 1024


@pytest.mark.parametrize("limited", ["", "slice/", "slice/job/"])
def test_limit_of_a_group_or_its_ancestor_applies(tmp_path: Path, limited: str):
    files = {
        "slice/job/memory.max": "max\n",
        f"{limited}memory.max": "3000\n",
        f"{limited}memory.current": "2500\n",
        f"{limited}memory.stat": "anon 1400\ninactive_file 1000\nactive_file 100\n",
    }
    assert free_memory_with(tmp_path, "1:cpu:/x\n0::/slice/job\n", files) == 3000 - 2500 + 1100


def test_limits_of_cgroups_version_1_apply(tmp_path: Path):
    files = {
        "memory/job/memory.limit_in_bytes": "5000\n",
        "memory/job/memory.usage_in_bytes": "4000\n",
        "memory/job/memory.stat": "total_inactive_file 20\ntotal_active_file 3\n",
    }
    assert free_memory_with(tmp_path, "4:memory:/job\n0::/\n", files) == 1023


def test_unknown_if_the_system_reports_nothing(tmp_path: Path):
    assert free_memory(tmp_path, tmp_path) is None
