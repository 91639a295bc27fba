"""``segue doctor``: what it says of the machine, and of a check that fails."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import segue

from segue import __version__, retrieval
from segue.cli import machine
from segue.ranking import Ranked


@pytest.fixture(scope="module")
def healthy() -> dict[str, Any]:
    return segue("doctor", "--json").json


def test_versions_devices_and_memory(healthy: dict[str, Any]) -> None:
    assert healthy["versions"]["segue"] == __version__
    assert healthy["versions"]["python"] == platform.python_version()
    assert all(healthy["versions"].values())
    assert healthy["devices"]
    assert healthy["memory_bytes"]["total"] > healthy["memory_bytes"]["free"] > 0


def test_the_self_test_passes(healthy: dict[str, Any]) -> None:
    assert healthy["healthy"] is True
    assert [check["error"] for check in healthy["checks"]] == [None, None]


def test_a_check_that_fails_is_reported_and_the_rest_is_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def wrong(hidden: Any, table: Any, excluded: Any, k: int) -> Ranked:
        shape = (len(hidden), k)
        return Ranked(np.full(shape, 4, np.int32), np.zeros(shape, np.float32))

    def broken(*_: object) -> None:
        raise OSError("no such luck")

    monkeypatch.setattr(retrieval, "top", wrong)
    monkeypatch.setattr("segue.dataset.prepare", broken)
    outcome = segue("doctor")
    assert outcome.code == 1
    assert "failed prepare, train, save and load" in outcome.out
    assert "OSError: no such luck" in outcome.out
    assert "not those of a full sort" in " ".join(outcome.out.split())


def test_the_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SEGUE_CACHE", str(tmp_path / "not" / "yet"))
    assert machine.machine()["cache"] == {"folder": str(tmp_path / "not" / "yet"), "writable": True}
    monkeypatch.setenv("SEGUE_CACHE", "")
    found = machine.machine()
    assert found["cache"] == {"folder": None, "writable": False}
    assert machine.described(found)["cache"] == "turned off by SEGUE_CACHE"


def test_a_missing_package_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "PACKAGES", ("no-such-package",))
    found = machine.machine()
    assert found["versions"]["no-such-package"] is None
    assert "no-such-package missing" in machine.described(found)["versions"]
