"""Where compiled programs are kept, and that nobody is surprised by it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from segue.runtime import CACHE_VARIABLE, cache_folder, use_compilation_cache


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
