"""The main verbs in sequence, from a raw log to recommendations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from commands import segue


def write_log(folder: Path) -> None:
    """Forty users, each with consecutive items of a circle of twelve items."""
    lines = ["user_id,item_id,timestamp"]
    for user in range(40):
        for position in range(4 + user % 5):
            lines.append(f"u{user},i{(user + position) % 12},{1_600_000_000 + position}")
    (folder / "log.csv").write_text("\n".join(lines) + "\n")
    (folder / "titles.csv").write_text("item_id,title\ni3,Three\n")


def test_from_a_log_to_a_continuation(
    tmp_path: Path, tiny_config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each verb prints exactly one JSON object on stdout."""

    def run_json(command: str) -> dict[str, Any]:
        return segue(*command.split(), "--json").json

    write_log(tmp_path)
    monkeypatch.chdir(tmp_path)
    data = run_json("prepare log.csv -o data --items-file titles.csv")
    assert data["counts"]["catalogue"] == 12
    assert run_json("inspect data")["fingerprint"] == data["fingerprint"]
    assert run_json(f"train data -o run --config {tiny_config}")["status"] == "finished"
    assert run_json("inspect run")["card"]["dataset"]["fingerprint"] == data["fingerprint"]
    evaluation = run_json("evaluate run --data data --per-sequence results.parquet")
    assert [result["model"] for result in evaluation["results"]][:2] == ["run", "popularity"]
    comparison = run_json("compare results.parquet --models run,popularity")
    assert comparison["models"] == ["run", "popularity"]
    assert run_json("search run three")["items"][0]["item_id"] == "i3"
    answer = run_json("recommend run --items i3,nothing -k 2")
    assert answer["unknown_items"] == ["nothing"]
    assert len(answer["items"]) == 2
    assert len(run_json("generate run --item i3 --length 4 --top-k 5")["items"]) == 4
    names = {"log.csv", "titles.csv", "data", "run", "results.parquet"}
    assert {file.name for file in tmp_path.iterdir()} == names
