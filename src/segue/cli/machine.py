"""What Segue runs on: versions, devices, memory, and where compiled programs are kept."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from typing import Any

import jax

import segue
from segue.runtime import CACHE_VARIABLE, cache_folder, free_memory

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


def machine() -> dict[str, Any]:
    """Plain values: ``versions``, ``devices``, ``cores``, ``memory_bytes`` and ``cache``."""
    versions = {"segue": segue.__version__, "python": platform.python_version()}
    versions |= {name: _version(name) for name in PACKAGES}
    return {
        "versions": versions,
        "system": platform.platform(),
        "devices": [f"{device.platform}: {device.device_kind}" for device in jax.devices()],
        "cores": os.cpu_count(),
        "memory_bytes": {"total": _total_memory(), "free": free_memory()},
        "cache": _cache(),
    }


def described(found: dict[str, Any]) -> dict[str, str]:
    """What ``machine`` found, in lines for people."""
    versions = (f"{name} {version or 'missing'}" for name, version in found["versions"].items())
    memory, cache = found["memory_bytes"], found["cache"]
    return {
        "versions": ", ".join(versions),
        "system": found["system"],
        "devices": ", ".join(found["devices"]),
        "cores": str(found["cores"]),
        "memory": f"{_gigabytes(memory['total'])}, {_gigabytes(memory['free'])} free",
        "cache": _cache_line(cache),
    }


def _gigabytes(size: int | None) -> str:
    return "unknown" if size is None else f"{size / 1e9:.1f} GB"


def _cache_line(cache: dict[str, Any]) -> str:
    if cache["folder"] is None:
        return f"turned off by {CACHE_VARIABLE}"
    return cache["folder"] + ("" if cache["writable"] else " (cannot be written)")


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _total_memory() -> int | None:
    """Bytes of memory; None where the system does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def _cache() -> dict[str, Any]:
    """The cache folder, and whether it can be written; ``folder`` is None when turned off."""
    folder = cache_folder()
    if folder is None:
        return {"folder": None, "writable": False}
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    return {"folder": str(folder), "writable": os.access(nearest, os.W_OK)}
