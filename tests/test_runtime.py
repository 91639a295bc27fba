"""Where compiled programs are kept, that nobody is surprised by it, and free memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from segue.errors import ConfigError
from segue.runtime import (
    CACHE_VARIABLE,
    MEMORY_VARIABLE,
    available_memory,
    cache_folder,
    free_memory,
    resident_memory,
    use_compilation_cache,
)


def test_the_variable_moves_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    assert cache_folder() == tmp_path


def test_an_empty_variable_turns_it_off(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(CACHE_VARIABLE, "")
    assert cache_folder() is None
    before = jax.config.jax_compilation_cache_dir
    use_compilation_cache()
    assert jax.config.jax_compilation_cache_dir == before


def test_otherwise_it_is_the_cache_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.delenv(CACHE_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "segue"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    assert cache_folder() == tmp_path / "home" / ".cache" / "segue"


COMPILE = """
import jax
from segue.runtime import use_compilation_cache

use_compilation_cache()
jax.jit(lambda x: 3 * x)(1.0)
"""


def test_every_program_is_kept(tmp_path: Path):
    """In a process of its own: JAX settles on one folder when it first compiles."""
    environment = {**os.environ, CACHE_VARIABLE: str(tmp_path)}
    subprocess.run([sys.executable, "-c", COMPILE], env=environment, timeout=60, check=True)
    assert list((tmp_path / "xla").iterdir())


def test_the_user_says_how_much_memory_a_run_may_take(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(MEMORY_VARIABLE, "7.5")
    assert available_memory() == 7_500_000_000
    for text in ("much", "inf", "nan"):
        monkeypatch.setenv(MEMORY_VARIABLE, text)
        with pytest.raises(ConfigError, match=f"'{text}', expected a number of gigabytes"):
            available_memory()


def test_otherwise_it_is_what_is_free(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(MEMORY_VARIABLE, raising=False)
    available, free = available_memory(), free_memory()
    assert (available is None) == (free is None)
    assert resident_memory() >= 0


MEMINFO = "MemTotal:  16000000 kB\nMemFree:  1000000 kB\nMemAvailable:  8000000 kB\n"


def system(folder: Path, groups: str, files: dict[str, str]) -> int | None:
    """What is free on a system that says so."""
    (folder / "proc" / "self").mkdir(parents=True)
    (folder / "proc" / "meminfo").write_text(MEMINFO)
    (folder / "proc" / "self" / "cgroup").write_text(groups)
    for name, text in files.items():
        (folder / "groups" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "groups" / name).write_text(text)
    return free_memory(folder / "proc", folder / "groups")


def test_without_limits_what_can_be_dropped_is_free(tmp_path: Path):
    assert system(tmp_path, "0::/\n", {}) == 8_000_000 * 1024


@pytest.mark.parametrize("limited", ["", "slice/", "slice/job/"])
def test_a_limit_of_a_group_or_one_above_it_counts(tmp_path: Path, limited: str):
    files = {
        "slice/job/memory.max": "max\n",
        f"{limited}memory.max": "3000\n",
        f"{limited}memory.current": "2500\n",
        f"{limited}memory.stat": "anon 1400\ninactive_file 1000\nactive_file 100\n",
    }
    assert system(tmp_path, "1:cpu:/x\n0::/slice/job\n", files) == 3000 - 2500 + 1100


def test_limits_of_the_first_version_count(tmp_path: Path):
    files = {
        "memory/job/memory.limit_in_bytes": "5000\n",
        "memory/job/memory.usage_in_bytes": "4000\n",
        "memory/job/memory.stat": "total_inactive_file 20\ntotal_active_file 3\n",
    }
    assert system(tmp_path, "4:memory:/job\n0::/\n", files) == 1023


def test_a_system_that_says_nothing(tmp_path: Path):
    assert free_memory(tmp_path, tmp_path) is None
