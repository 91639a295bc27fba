"""``Dockerfile``, ``compose.yaml`` and ``.dockerignore`` agree with the project that they install.

Without a container engine: what each step reads is there, and what the server is started with is
what ``segue serve`` takes.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
import typer
import yaml

from segue.cli.app import app

ROOT = Path(__file__).resolve().parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
EXTRAS = ("serve", "postgres")


def instructions(name: str) -> list[str]:
    return [line[len(name) :].strip() for line in DOCKERFILE.splitlines() if line.startswith(name)]


def test_the_dependencies_are_those_of_the_project_and_pinned() -> None:
    script = ROOT / "docker" / "direct_dependencies.py"
    (step,) = [line for line in instructions("RUN") if "direct_dependencies.py" in line]
    assert f"pyproject.toml {' '.join(EXTRAS)} > direct.txt" in step
    assert "-r direct.txt -c requirements.lock" in re.sub(r"\s+", " ", step)
    command = [sys.executable, str(script), str(ROOT / "pyproject.toml"), *EXTRAS]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    expected = list(project["dependencies"])
    for extra in EXTRAS:
        expected += project["optional-dependencies"][extra]
    assert [line for line in printed if line] == expected
    pinned = re.findall(r"^([\w-]+)==", (ROOT / "requirements.lock").read_text("utf-8"), re.M)
    names = {re.match(r"[\w-]+", line)[0].lower() for line in expected}  # type: ignore[index]
    assert names <= {name.lower() for name in pinned}


def test_what_is_copied_is_sent_to_the_builder() -> None:
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    sent = [line[1:] for line in lines if line.startswith("!")]
    assert "*" in lines
    sources = [
        source
        for copied in instructions("COPY")
        if not copied.startswith("--from")
        for source in copied.split()[:-1]
    ]
    assert sources
    for source in sources:
        assert (ROOT / source).exists(), source
        assert any(fnmatch(source, pattern) for pattern in sent), source
    assert not any(fnmatch(name, pattern) for name in (".git", "tests") for pattern in sent)


def test_the_last_stage_runs_without_rights_and_is_checked() -> None:
    last = DOCKERFILE.rpartition("\nFROM ")[2]
    assert "USER segue" in last
    assert "pip install" not in last
    assert "/readyz" in instructions("HEALTHCHECK")[0]
    check = json.loads(instructions("HEALTHCHECK")[0].partition("CMD ")[2])
    compile(check[2], "check", "exec")


@pytest.mark.parametrize("extra", [[], ["--max-k", "50"]])
def test_the_server_takes_its_arguments(extra: list[str]) -> None:
    assert json.loads(instructions("ENTRYPOINT")[0]) == ["segue"]
    verb, *arguments = json.loads(instructions("CMD")[0])
    command = typer.main.get_command(app).commands[verb]  # type: ignore[attr-defined]
    context = command.make_context(verb, [*arguments, *extra])
    assert context.params["runs"] == ["model=/run-folder"]
    assert context.params["host"] == "0.0.0.0"
    assert context.params["port"] == int(instructions("EXPOSE")[0])


def test_the_services() -> None:
    server, postgres = COMPOSE["services"]["server"], COMPOSE["services"]["postgres"]
    assert server["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert server["read_only"] is True
    assert all(port.startswith("127.0.0.1:") for port in server["ports"])
    assert any(volume.endswith(":/run-folder:ro") for volume in server["volumes"])
    assert server["environment"].keys() == {"SEGUE_API_KEYS", "SEGUE_EVENTS"}
    assert "ports" not in postgres
    assert "pg_isready" in postgres["healthcheck"]["test"]
    named = {v.partition(":")[0] for s in (server, postgres) for v in s["volumes"]}
    assert {name for name in named if not name.startswith("$")} == set(COMPOSE["volumes"])
    assert postgres["secrets"] == list(COMPOSE["secrets"])
    # No secret is written down: each comes from the environment, and a missing one is an error.
    text = (ROOT / "compose.yaml").read_text("utf-8")
    assert set(re.findall(r"\$\{(\w+):\?", text)) == {
        "SEGUE_API_KEYS", "POSTGRES_PASSWORD", "SEGUE_RUN",
    }  # fmt: skip
