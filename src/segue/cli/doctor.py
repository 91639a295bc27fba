"""``segue doctor``: describe the machine and test the installation."""

from __future__ import annotations

from typing import Any

import typer

from segue.cli.console import key_values, print_json, stderr, stdout
from segue.cli.options import Json
from segue.machine import CACHE_VARIABLE

FAILED = 1
"""Exit code if a check failed."""


def doctor(as_json: Json = False) -> None:
    """Describe the machine and test the installation."""
    from segue.machine import machine_report
    from segue.self_test import self_test

    report = machine_report()
    with stderr().status("testing"):
        checks = self_test()
    healthy = all(check.error is None for check in checks)
    if as_json:
        results = [check._asdict() for check in checks]
        print_json({**report, "checks": results, "healthy": healthy})
    else:
        stdout().print(key_values(machine_facts(report)))
        for check in checks:
            mark = "ok     " if check.error is None else "failed "
            error = f": {check.error}" if check.error else ""
            stdout().print(f"{mark}{check.name} ({check.seconds:.1f} s){error}")
    if not healthy:
        raise typer.Exit(FAILED)


def machine_facts(report: dict[str, Any]) -> dict[str, str]:
    """The report of ``segue.machine.machine_report`` as one line of text per subject."""
    versions = (f"{name} {version or 'missing'}" for name, version in report["versions"].items())
    memory = report["memory_bytes"]
    return {
        "versions": ", ".join(versions),
        "system": report["system"],
        "devices": ", ".join(report["devices"]),
        "cores": str(report["cores"]),
        "memory": f"{_gigabytes(memory['total'])}, {_gigabytes(memory['free'])} free",
        "cache": _cache_fact(report["cache"]),
    }


def _gigabytes(n_bytes: int | None) -> str:
    return "unknown" if n_bytes is None else f"{n_bytes / 1e9:.1f} GB"


def _cache_fact(cache: dict[str, Any]) -> str:
    if cache["folder"] is None:
        return f"turned off by {CACHE_VARIABLE}"
    return cache["folder"] + ("" if cache["writable"] else " (cannot be written)")
