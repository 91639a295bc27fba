"""From a raw log to recommendations, as a person types it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from commands import segue


def write_log(folder: Path) -> None:
    """Forty users who walk around a circle of twelve items."""
    lines = ["user_id,item_id,timestamp"]
    for user in range(40):
        for place in range(4 + user % 5):
            lines.append(f"u{user},i{(user + place) % 12},{1_600_000_000 + place}")
    (folder / "log.csv").write_text("\n".join(lines) + "\n")
    (folder / "titles.csv").write_text("item_id,title\ni3,Three\n")


def test_from_a_log_to_a_continuation(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each ``--json`` leaves exactly one object on stdout."""

    def found(command: str) -> dict[str, Any]:
        return segue(*command.split(), "--json").json

    write_log(tmp_path)
    monkeypatch.chdir(tmp_path)
    data = found("prepare log.csv -o data --items-file titles.csv")
    assert data["counts"]["catalogue"] == 12
    assert found("inspect data")["fingerprint"] == data["fingerprint"]
    assert found(f"train data -o run --config {tiny_model}")["status"] == "finished"
    assert found("inspect run")["card"]["dataset"]["fingerprint"] == data["fingerprint"]
    measured = found("evaluate run --data data --per-sequence results.parquet")
    assert [result["model"] for result in measured["results"]][:2] == ["run", "popularity"]
    compared = found("compare results.parquet --models run,popularity")
    assert compared["models"] == ["run", "popularity"]
    assert found("search run three")["items"][0]["item_id"] == "i3"
    answer = found("recommend run --items i3,nothing -k 2")
    assert answer["unknown_items"] == ["nothing"]
    assert len(answer["items"]) == 2
    assert len(found("continue run --item i3 --length 4 --top-k 5")["items"]) == 4
    names = {"log.csv", "titles.csv", "data", "run", "results.parquet"}
    assert {file.name for file in tmp_path.iterdir()} == names
