"""What ``segue serve`` prints for the person who starts it."""

from __future__ import annotations

from pathlib import Path

import pytest

from segue.server.greeting import greeting
from segue.server.registry import ModelRegistry, ServedModel


@pytest.fixture(scope="module")
def models(cycle_run: Path) -> list[ServedModel]:
    return ModelRegistry({"films": cycle_run, "b": cycle_run}).models


def test_a_server_for_this_machine(models: list[ServedModel]) -> None:
    first, second = models[0].recommender.item_ids[:2]
    text = greeting(
        "http://127.0.0.1:8000", models[:1], n_keys=0, stores_events=False, is_local=True
    )
    lines = text.splitlines()
    assert "at http://127.0.0.1:8000 (this machine only; no API key is required)" in lines[0]
    assert lines[1] == "  films  12 items"
    assert lines[2] == "events of users are not stored; --events FILE stores them"
    assert lines[-2] == (
        "  curl -s 'http://127.0.0.1:8000/v1/recommend' -H 'Content-Type: application/json' "
        f"""-d '{{"items": ["{first}", "{second}"], "k": 5}}'"""
    )


def test_a_server_for_others(models: list[ServedModel]) -> None:
    text = greeting("http://0.0.0.0:80", models, n_keys=2, stores_events=True, is_local=False)
    assert (
        "at http://0.0.0.0:80 (other machines reach it; put TLS in front of it; 2 API keys" in text
    )
    assert "  films  12 items (default)\n  b      12 items\n" in text
    assert "events of users are stored" in text
    assert "'http://127.0.0.1:80/v1/recommend'" in text
    assert '-H "Authorization: Bearer $SEGUE_KEY"' in text
