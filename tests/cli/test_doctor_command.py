"""``segue doctor``: the machine report and the self-test."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import segue

from segue import __version__, machine
from segue.cli.doctor import machine_facts
from segue.ranking import Ranked
from segue.recommender import search


@pytest.fixture(scope="module")
def printed() -> dict[str, Any]:
    return segue("doctor", "--json").json


@pytest.mark.slow
def test_versions_devices_and_memory(printed: dict[str, Any]) -> None:
    assert printed["versions"]["segue"] == __version__
    assert printed["versions"]["python"] == platform.python_version()
    assert all(printed["versions"].values())
    assert printed["devices"]
    assert printed["memory_bytes"]["total"] > printed["memory_bytes"]["free"] > 0


@pytest.mark.slow
def test_the_self_test_passes(printed: dict[str, Any]) -> None:
    assert printed["healthy"] is True
    assert [check["error"] for check in printed["checks"]] == [None, None]


def test_all_checks_run_and_each_failure_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong_top(query: search.EncodedQuery, vectors: Any, k: int) -> Ranked:
        shape = (query.n, k)
        return Ranked(np.full(shape, 4, np.int32), np.zeros(shape, np.float32))

    def broken_prepare(*_: object, **__: object) -> None:
        raise OSError("no such luck")

    monkeypatch.setattr(search, "top", wrong_top)
    monkeypatch.setattr("segue.preparation.prepare", broken_prepare)
    outcome = segue("doctor")
    assert outcome.code == 1
    assert "failed prepare, train, save and load" in outcome.out
    assert "OSError: no such luck" in outcome.out
    assert "differ from those of a full sort" in " ".join(outcome.out.split())


def test_the_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "not" / "yet"
    monkeypatch.setenv("SEGUE_CACHE", str(folder))
    assert machine.machine_report()["cache"] == {"folder": str(folder), "writable": True}
    monkeypatch.setenv("SEGUE_CACHE", "")
    report = machine.machine_report()
    assert report["cache"] == {"folder": None, "writable": False}
    assert machine_facts(report)["cache"] == "turned off by SEGUE_CACHE"


def test_a_missing_package_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "PACKAGES", ("no-such-package",))
    report = machine.machine_report()
    assert report["versions"]["no-such-package"] is None
    assert "no-such-package missing" in machine_facts(report)["versions"]
