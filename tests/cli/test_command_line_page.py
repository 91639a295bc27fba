"""``docs/command-line.md``: its help is what the program prints, its examples are true."""

from __future__ import annotations

import importlib.util
import json
import re
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


def test_the_help_on_the_page_is_that_of_the_program() -> None:
    assert TOOL.generated(PAGE) == PAGE, "run `make docs`"


def test_every_verb_has_a_section() -> None:
    verbs = [verb.__name__.rstrip("_") for verb in VERBS]
    assert TOOL.documented_verbs(PAGE) == ["", *verbs]
    assert re.findall(r"^## (\S+)$", PAGE, re.MULTILINE) == verbs


def examples(verb: str) -> list[dict[str, Any]]:
    section = PAGE.split(f"\n## {verb}\n")[1].split("\n## ")[0]
    return [json.loads(text) for text in re.findall(r"```json\n(.*?)```", section, re.DOTALL)]


def check(example: Any, found: Any) -> None:
    """What an example shows is there; an empty object or list stands for anything."""
    if isinstance(example, dict) and example:
        assert example.keys() <= found.keys()
        for key, value in example.items():
            check(value, found[key])
    elif isinstance(example, list) and example and found:
        check(example[0], found[0])


@pytest.fixture(scope="module")
def by_sequence(world: Path, work: Path) -> Path:
    file = work / "page.parquet"
    arguments = ("popularity", "last-item", "--data", world, "--max-sequences", 5)
    assert segue("evaluate", *arguments, "--per-sequence", file).code == 0
    return file


def test_the_examples_have_the_keys_of_what_is_printed(
    world: Path, run: Path, tiny_model: Path, by_sequence: Path, tmp_path: Path
) -> None:
    tiny = ("--config", tiny_model, "--set", "learning_rate=1e-2")
    commands: dict[str, list[list[object]]] = {
        "inspect": [[world], [run], [run, "--model"]],
        "plan": [[world, "--config", tiny_model]],
        "train": [[world, "-o", run, "--resume"], [world, *tiny, "--overfit-one-batch"]],
        "evaluate": [["popularity", "--data", world, "--max-sequences", 5]],
        "compare": [[by_sequence]],
        "recommend": [[run]],
        "search": [[world, "a"]],
        "draw": [[run, "curves", "-o", tmp_path / "curves.svg"]],
        "doctor": [[]],
    }
    for verb, calls in commands.items():
        shown = examples(verb)
        assert len(shown) == len(calls)
        for example, arguments in zip(shown, calls, strict=True):
            found = segue(verb, *arguments, "--json").json
            assert example.keys() == found.keys()
            if verb != "doctor":
                check(example, found)
