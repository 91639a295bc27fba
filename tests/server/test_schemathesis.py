"""schemathesis over the whole OpenAPI document: no 5xx, no undocumented status or shape."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from real_server import Address

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
)
SHORT, LONG = 1, 1_000
"""Random cases per operation, beside the examples and the systematic ones."""
LONG_CASES = 10_000


def n_cases(address: Address, folder: Path, max_examples: int, timeout_s: int) -> int:
    """How many generated calls passed; none may fail."""
    command = [
        str(Path(sys.executable).parent / "schemathesis"), "run", f"{address.url}/openapi.json",
        "--phases", "examples,coverage,fuzzing", "--max-examples", str(max_examples),
        "--checks", ",".join(CHECKS), "--seed", "1", "--generation-database", "none",
        "--no-color",
    ]  # fmt: skip
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=timeout_s, check=False
    )
    assert done.returncode == 0, done.stdout[-4_000:]
    summary = re.search(r"(\d+) generated, (\d+) passed", done.stdout)
    assert summary is not None, done.stdout
    assert summary[1] == summary[2]
    return int(summary[1])


@pytest.mark.slow
def test_a_short_run(address: Address, tmp_path: Path) -> None:
    assert n_cases(address, tmp_path, SHORT, 110) > 500


@pytest.mark.slow
@pytest.mark.skipif("SEGUE_SOAK" not in os.environ, reason="minutes: part of `make soak`")
@pytest.mark.timeout(7_200)
def test_a_long_run(address: Address, tmp_path: Path) -> None:
    n = n_cases(address, tmp_path, LONG, 7_000)
    assert n >= LONG_CASES
    print(f"{n:,} cases")
