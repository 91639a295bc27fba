"""``make bench`` runs every benchmark without arguments, so none may require any."""

from __future__ import annotations

import argparse
import importlib
import inspect
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.all_cases

FILES = sorted(Path(__file__).resolve().parents[2].joinpath("benchmarks").glob("*.py"))


class ArgumentsParsedError(Exception):
    """Stops a benchmark after it has parsed its arguments, because running it takes too long."""


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_no_benchmark_requires_an_argument(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parse = argparse.ArgumentParser.parse_args

    def stop_after(*arguments: Any) -> None:
        parse(*arguments)
        raise ArgumentsParsedError

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", stop_after)
    monkeypatch.setattr(sys, "argv", [file.name])
    benchmark = importlib.import_module(file.stem)
    if "argparse" not in file.read_text("utf-8"):
        assert not inspect.signature(benchmark.main).parameters
        return
    with pytest.raises(ArgumentsParsedError):
        benchmark.main()
