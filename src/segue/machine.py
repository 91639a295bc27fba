"""The machine: packages, devices, memory and its limits, JAX's compilation cache, and forks."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from segue.errors import ConfigError, RequestError

CACHE_VARIABLE = "SEGUE_CACHE"
"""Environment variable that sets the cache folder; if empty, nothing is cached."""

MEMORY_VARIABLE = "SEGUE_MEMORY_GB"
"""Environment variable that sets the memory available to a run, in gigabytes."""

PACKAGES = (
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "orbax-checkpoint",
    "grain",
    "numpy",
    "pyarrow",
    "duckdb",
    "safetensors",
    "pydantic",
    "msgspec",
    "typer",
    "rich",
)
"""Packages whose versions ``machine_report`` lists."""

GIGABYTE = 10**9

_CGROUP_FILES = {
    "": ("", "memory.max", "memory.current", ""),
    "memory": ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_"),
}
"""Files of control groups (cgroups), by controller: "" is version 2, "memory" version 1.

Each value is the subfolder, the file with the limit, the file with the usage, and the prefix of
the entries in ``memory.stat``.
"""


@cache
def _process_of_jax() -> int:
    """The id of the process that first used JAX; a forked child inherits the answer."""
    return os.getpid()


def check_fork() -> None:
    """Check that JAX can be used: a process that was forked from one that used it would hang.

    JAX computes in threads, and a fork copies only the thread that calls it.

    Raises:
        RequestError: this process is such a fork.
    """
    if os.getpid() != _process_of_jax():
        message = "this process was forked from one that had used JAX, which would hang here"
        hint = 'start processes with multiprocessing.get_context("spawn"), or use threads'
        raise RequestError(message, hint)


def _before_fork() -> None:
    """Note that JAX is in use, also where the program used it without Segue."""
    bridge = sys.modules.get("jax._src.xla_bridge")
    if getattr(bridge, "backends_are_initialized", bool)():
        _process_of_jax()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork)


def cache_folder() -> Path | None:
    """The folder of JAX's compilation cache; None if caching is off."""
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen is not None:
        return Path(chosen) if chosen else None
    user_cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(user_cache) if user_cache else Path.home() / ".cache") / "segue"


def use_compilation_cache() -> None:
    """Cache every compiled program on disk: a second run starts in one second instead of six.

    Raises:
        RequestError: see ``check_fork``.
    """
    import jax

    check_fork()
    folder = cache_folder()
    if folder is None:
        return
    jax.config.update("jax_compilation_cache_dir", str(folder / "xla"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def available_memory() -> int | None:
    """Bytes that a run may allocate in addition to what is in use; None if unknown.

    ``SEGUE_MEMORY_GB`` where it is set; else the free memory of the accelerator, or of the
    machine where there is none.

    Raises:
        ConfigError: ``SEGUE_MEMORY_GB`` is not a number.
        RequestError: see ``check_fork``.
    """
    import jax

    check_fork()

    allowed = os.environ.get(MEMORY_VARIABLE)
    if allowed:
        try:
            return round(float(allowed) * GIGABYTE)
        except (ValueError, OverflowError):
            message = f"{MEMORY_VARIABLE} is {allowed!r}, expected a number of gigabytes"
            raise ConfigError(message, f"write it as in {MEMORY_VARIABLE}=7.5") from None
    statistics = jax.local_devices()[0].memory_stats() or {}
    if "bytes_limit" in statistics:
        return statistics["bytes_limit"] - statistics.get("bytes_in_use", 0)
    return free_memory()


def free_memory(proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Bytes that can be allocated without swapping, within the limits of control groups.

    Args:
        proc: where the proc file system is mounted.
        cgroups: where the control groups are mounted.

    Returns:
        The smallest of the limits; None if the system reports none.
    """
    limits = [free for free in _free_in_cgroups(proc, cgroups) if free is not None]
    with suppress(OSError, StopIteration, ValueError):
        lines = (proc / "meminfo").read_text().splitlines()
        line = next(line for line in lines if line.startswith("MemAvailable:"))
        limits.append(int(line.split()[1]) * 1024)
    return min(limits, default=None)


def resident_memory() -> int:
    """Bytes of this process that are in physical memory; 0 if the system does not report it."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _free_in_cgroups(proc: Path, cgroups: Path) -> Iterator[int | None]:
    """Free bytes in each control group of this process, from the innermost up to the root."""
    with suppress(OSError):
        for line in (proc / "self" / "cgroup").read_text().splitlines():
            _, controllers, name = line.split(":", 2)
            if controllers not in _CGROUP_FILES:
                continue
            subfolder, limit, usage, prefix = _CGROUP_FILES[controllers]
            innermost = cgroups / subfolder / name.lstrip("/")
            for group in (innermost, *innermost.parents):
                yield _free_in_cgroup(group / limit, group / usage, group / "memory.stat", prefix)


def _free_in_cgroup(limit: Path, usage: Path, statistics: Path, prefix: str) -> int | None:
    """The limit of a group minus its usage; cached files, which can be dropped, count as free."""
    try:
        free = int(limit.read_text()) - int(usage.read_text())
        entries = dict(line.split() for line in statistics.read_text().splitlines())
        return free + sum(int(entries[f"{prefix}{kind}_file"]) for kind in ("inactive", "active"))
    except (OSError, ValueError, KeyError):  # no limit, or no such file
        return None


def machine_report() -> dict[str, Any]:
    """The report of ``segue doctor``, as plain values.

    Keys: ``versions``, ``system``, ``devices``, ``cores``, ``memory_bytes`` and ``cache``.
    """
    import jax

    import segue

    versions = {"segue": segue.__version__, "python": platform.python_version()}
    versions |= {name: _version(name) for name in PACKAGES}
    return {
        "versions": versions,
        "system": platform.platform(),
        "devices": [f"{device.platform}: {device.device_kind}" for device in jax.devices()],
        "cores": os.cpu_count(),
        "memory_bytes": {"total": _total_memory(), "free": free_memory()},
        "cache": _cache_report(),
    }


def machine_summary() -> dict[str, Any]:
    """The entry ``machine`` of a run's card: the device and software that it was trained on."""
    import jax

    return {
        "device": jax.devices()[0].device_kind,
        "devices": jax.device_count(),
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "jax": jax.__version__,
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _total_memory() -> int | None:
    """Bytes of physical memory; None if the system does not report it."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def _cache_report() -> dict[str, Any]:
    """The cache folder (None if caching is off) and whether it is writable."""
    folder = cache_folder()
    if folder is None:
        return {"folder": None, "writable": False}
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    return {"folder": str(folder), "writable": os.access(nearest, os.W_OK)}
