"""``segue train``: options, output, resuming, and stopping on a signal."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from commands import segue

from segue.errors import RunError
from segue.runs import RunFolder

COMMAND = "import sys; from segue.cli import main; sys.exit(main())"


def test_json_is_one_object_and_progress_goes_to_stderr(
    tmp_path: Path, world: Path, tiny_config: Path
) -> None:
    outcome = segue("train", world, "-o", tmp_path / "run", "--config", tiny_config, "--json")
    result = outcome.json
    assert result["status"] == "finished"
    assert result["step"] == 6
    assert result["card"]["validation"]["metric"] == "ndcg@10"
    assert "step 6: ndcg@10" in outcome.err


def test_the_summary_of_the_run_is_printed(tmp_path: Path, world: Path, tiny_config: Path) -> None:
    outcome = segue("train", world, "-o", tmp_path / "run", "--config", tiny_config)
    assert "on validation, at step" in outcome.out
    assert str(tmp_path / "run") in "".join(outcome.out.split())  # without line breaks


def test_every_option_reaches_the_trainer(
    tmp_path: Path, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[tuple[object, ...], dict[str, object]]] = []

    def record(*arguments: object, **options: object) -> None:
        calls.append((arguments, options))
        raise RunError("recorded")

    monkeypatch.setattr("segue.trainer.train", record)
    changes = ["--set", "max_steps=2", "--set", "model.width=8"]
    segue("train", world, "-o", tmp_path, "--preset", "demo", *changes, "--resume")
    segue("train", world, "-o", tmp_path, "--config", "my.toml")
    (arguments, options), (_, second_options) = calls
    assert arguments == (world, tmp_path)
    assert options["preset"] == "demo"
    assert options["training.max_steps"] == 2
    assert options["model.width"] == 8
    assert options["resume"] is True
    assert second_options["config"] == Path("my.toml")
    assert second_options["resume"] is False


def test_set_changes_a_key(tmp_path: Path, world: Path, tiny_config: Path) -> None:
    arguments = ("-o", tmp_path / "run", "--config", tiny_config, "--set", "max_steps=2", "--json")
    assert segue("train", world, *arguments).json["step"] == 2


def test_resuming_a_finished_run_changes_nothing(run: Path, world: Path) -> None:
    before = (run / "weights.safetensors").read_bytes()
    outcome = segue("train", world, "-o", run, "--resume", "--json")
    assert outcome.json["status"] == "finished"
    assert (run / "weights.safetensors").read_bytes() == before


@pytest.mark.slow
def test_ctrl_c_saves_and_prints_the_command_that_resumes(
    tmp_path: Path, world: Path, tiny_config: Path
) -> None:
    run = tmp_path / "run"
    arguments = ["train", world, "-o", run, "--config", tiny_config]
    endless = [
        "--set",
        "max_steps=100000",
        "--set",
        "epochs=100000",
        "--set",
        "log_every=1",
        "--json",
    ]
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, *map(str, arguments), *endless],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 300
    metrics = RunFolder(run).metrics
    while time.monotonic() < deadline and not (metrics.exists() and metrics.stat().st_size):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 130, err
    result = json.loads(out)
    assert result["status"] == "stopped"
    last_line = err.strip().splitlines()[-1]
    assert last_line.startswith("stopped at step ")
    assert last_line.endswith(f"continue with: segue train {world} -o {run} --resume")
    saved = [int(folder.name) for folder in RunFolder(run).checkpoints.iterdir()]
    assert result["step"] == max(saved)
    assert f"stopped at step {max(saved):,};" in last_line
