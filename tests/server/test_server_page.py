"""``docs/server.md``: its calls are current, and work against a real server in each language."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shutil
import subprocess
from http import HTTPStatus
from typing import Any

import pytest
from real_server import Address

import generate_server_page
from segue.client.transport import Transport
from segue.server.errors import api_error
from segue.server.examples import examples_of
from segue.server.routes import BODY_ERRORS
from segue.server.snippets import URL, curl, javascript, python

pytestmark = pytest.mark.all_cases

EXAMPLES = [example for example in examples_of(["i1", "i2"]) if example.role == "user"]
EXPECTED_KEYS = {
    "items", "answers", "models", "name", "item_id", "results", "events", "deleted",
    "examples", "status", "series",
}  # fmt: skip
"""Every answer has one of them."""
PAGE = generate_server_page.PAGE.read_text("utf-8")


def check(example: Any, answer: dict[str, Any]) -> None:
    """Check that an answer has what every answer of its kind has."""
    assert answer.keys() & EXPECTED_KEYS, example.name


def test_the_calls_are_current() -> None:
    assert generate_server_page.generated(PAGE) == PAGE, "run `make docs`"


def test_the_statuses_are_those_of_the_api() -> None:
    documented = {int(line.split("|")[1]) for line in PAGE.splitlines() if line[2:5].isdigit()}
    assert documented >= set(BODY_ERRORS)
    assert all(HTTPStatus(status).phrase for status in documented)
    assert api_error(KeyError()).code in PAGE


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_python(example: Any, address: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    calls, send = [], Transport._call

    def noted(self: Transport, method: str, path: str, **options: Any) -> bytes:
        calls.append((method, path))
        return send(self, method, path, **options)

    monkeypatch.setattr(Transport, "_call", noted)
    code, out = python(example).replace(URL, address.url), io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(code, {})
    assert calls == [(example.method, example.path.partition("?")[0])]
    is_empty = example.name == "events of a user"  # whatever other tests have stored
    assert out.getvalue().strip() or is_empty


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_curl_names_a_method_that_it_would_not_choose(example: Any) -> None:
    method = re.search(r" -X (\w+) ", curl(example))
    chosen = "GET" if example.body is None else "POST"
    assert (method.group(1) if method else chosen) == example.method


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_curl(example: Any, address: Address) -> None:
    command = ["bash", "-c", curl(example).replace(URL, address.url)]
    done = subprocess.run(command, capture_output=True, check=True, timeout=60)
    check(example, json.loads(done.stdout))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_the_method_of_curl(example: Any) -> None:
    # Without -X, curl sends GET, and POST if there is a body.
    implied = "POST" if " -d " in curl(example) else "GET"
    explicit = re.search(r" -X (\w+) ", curl(example))
    assert (explicit[1] if explicit else implied) == example.method


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")
def test_javascript(address: Address) -> None:
    # One process for all: each call in a scope of its own, its answer as a line of JSON.
    prints = (
        "console.log(await response.json());",
        "console.log(JSON.stringify(await response.json()));",
    )
    calls = [javascript(example).replace(URL, address.url).replace(*prints) for example in EXAMPLES]
    program = "\n".join(f"{{{call}}}" for call in calls)
    done = subprocess.run(
        ["node", "--input-type=module", "-e", program], capture_output=True, check=True, timeout=60
    )
    for example, line in zip(EXAMPLES, done.stdout.splitlines(), strict=True):
        check(example, json.loads(line))
