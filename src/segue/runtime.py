"""The machine underneath: JAX's compilation cache, and how much memory there is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from segue.errors import ConfigError

CACHE_VARIABLE = "SEGUE_CACHE"
"""Environment variable that moves the cache folder; empty turns the cache off."""

MEMORY_VARIABLE = "SEGUE_MEMORY_GB"
"""Environment variable that says how much memory a run may take, instead of what is free."""

GIGABYTE = 10**9

_LIMITS = {
    "": ("", "memory.max", "memory.current", ""),
    "memory": ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_"),
}
"""Of both versions of control groups: their folder, the limit, what is held, and what the
entries of the statistics begin with."""


def cache_folder() -> Path | None:
    """Where compiled programs are kept between processes; None when turned off."""
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen is not None:
        return Path(chosen) if chosen else None
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "segue"


def use_compilation_cache() -> None:
    """Keep every compiled program: a second run starts in one second instead of six."""
    import jax

    folder = cache_folder()
    if folder is None:
        return
    jax.config.update("jax_compilation_cache_dir", str(folder / "xla"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def available_memory() -> int | None:
    """Bytes that a run's arrays may take beside what there is; None where nothing says.

    What the user allows, or what is free: of the accelerator where there is one, else of the
    machine.

    Raises:
        ConfigError: what the user allows is no number.
    """
    import jax

    allowed = os.environ.get(MEMORY_VARIABLE)
    if allowed:
        try:
            return round(float(allowed) * GIGABYTE)
        except (ValueError, OverflowError):
            message = f"{MEMORY_VARIABLE} is {allowed!r}, expected a number of gigabytes"
            raise ConfigError(message, f"write it as in {MEMORY_VARIABLE}=7.5") from None
    device = jax.local_devices()[0].memory_stats() or {}
    if "bytes_limit" in device:
        return device["bytes_limit"] - device.get("bytes_in_use", 0)
    return free_memory()


def free_memory(proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Bytes that can be had without swapping, within the limits of control groups.

    Args:
        proc: where the system tells of processes.
        groups: where it tells of control groups.
    """
    room = [found for found in _group_rooms(proc, groups) if found is not None]
    with suppress(OSError, StopIteration, ValueError):
        lines = (proc / "meminfo").read_text().splitlines()
        line = next(line for line in lines if line.startswith("MemAvailable:"))
        room.append(int(line.split()[1]) * 1024)
    return min(room, default=None)


def resident_memory() -> int:
    """Bytes of this process that are in memory; 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _group_rooms(proc: Path, groups: Path) -> Iterator[int | None]:
    """What each control group that this process is in leaves, from its own up to the root."""
    with suppress(OSError):
        for line in (proc / "self" / "cgroup").read_text().splitlines():
            _, controllers, name = line.split(":", 2)
            if controllers not in _LIMITS:
                continue
            root, limit, held, prefix = _LIMITS[controllers]
            own = groups / root / name.lstrip("/")
            for group in (own, *own.parents):
                yield _room(group / limit, group / held, group / "memory.stat", prefix)


def _room(limit: Path, held: Path, statistics: Path, prefix: str) -> int | None:
    """The limit of a group less what it holds, save for files that can be dropped."""
    try:
        room = int(limit.read_text()) - int(held.read_text())
        parts = dict(line.split() for line in statistics.read_text().splitlines())
        return room + sum(int(parts[f"{prefix}{kind}_file"]) for kind in ("inactive", "active"))
    except (OSError, ValueError, KeyError):  # no limit, or no such file
        return None
