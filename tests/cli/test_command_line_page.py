"""``docs/command-line.md``: help texts and JSON examples agree with the program."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from commands import segue

from segue.cli.app import VERBS

ROOT = Path(__file__).resolve().parents[2]


def generator() -> ModuleType:
    path = ROOT / "tools" / "generate_command_line.py"
    spec = importlib.util.spec_from_file_location("generate_command_line", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TOOL = generator()
PAGE = TOOL.PAGE.read_text("utf-8")


def test_the_help_texts_are_those_of_the_program() -> None:
    assert TOOL.with_current_help(PAGE) == PAGE, "run `make docs`"


def test_every_verb_has_a_section() -> None:
    verbs = [verb.__name__ for verb in VERBS]
    assert TOOL.documented_verbs(PAGE) == ["", *verbs]
    assert re.findall(r"^## (\S+)$", PAGE, re.MULTILINE) == verbs


def examples(verb: str) -> list[dict[str, Any]]:
    section = PAGE.split(f"\n## {verb}\n")[1].split("\n## ")[0]
    return [json.loads(text) for text in re.findall(r"```json\n(.*?)```", section, re.DOTALL)]


def check(example: Any, printed: Any) -> None:
    """Check that all keys of an example are printed; an empty object or list stands for any."""
    if isinstance(example, dict) and example:
        assert example.keys() <= printed.keys()
        for key, value in example.items():
            check(value, printed[key])
    elif isinstance(example, list) and example and printed:
        check(example[0], printed[0])


@pytest.fixture(scope="module")
def per_sequence_file(world: Path, workspace: Path) -> Path:
    file = workspace / "page.parquet"
    arguments = ("popularity", "last-item", "--data", world, "--max-sequences", 5)
    assert segue("evaluate", *arguments, "--per-sequence", file).code == 0
    return file


@pytest.mark.slow
def test_the_json_examples_have_the_printed_keys(
    world: Path,
    run: Path,
    mixed_run: Path,
    tiny_config: Path,
    per_sequence_file: Path,
    tmp_path: Path,
) -> None:
    tiny = ("--config", tiny_config, "--set", "learning_rate=1e-2")
    commands: dict[str, list[list[object]]] = {
        "inspect": [[world], [mixed_run], [run, "--model"]],
        "plan": [[world, "--config", tiny_config]],
        "train": [[world, "-o", run, "--resume"], [world, *tiny, "--overfit-one-batch"]],
        "evaluate": [["popularity", "--data", world, "--max-sequences", 5]],
        "compare": [[per_sequence_file]],
        "recommend": [[run]],
        "search": [[world, "a"]],
        "attach": [[shutil.copytree(run, tmp_path / "run"), world]],
        "draw": [[run, "curves", "-o", tmp_path / "curves.svg"]],
        "doctor": [[]],
    }
    for verb, calls in commands.items():
        for example, arguments in zip(examples(verb), calls, strict=True):
            printed = segue(verb, *arguments, "--json").json
            assert example.keys() == printed.keys()
            if verb != "doctor":
                check(example, printed)
