"""Examples of calls as code: curl, Python and JavaScript."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from segue.server.examples import Example

LINE_LENGTH = 100
URL = "http://127.0.0.1:8000"
KEY = "$SEGUE_KEY"
"""Calls of administrators need a key, which the examples read from the environment."""


def curl(example: Example) -> str:
    """A shell command."""
    lines = [f"curl -s {_quoted(URL + example.path)}"]
    if example.role == "admin":
        lines.append(f'-H "Authorization: Bearer {KEY}"')
    if example.body is not None:
        lines.append("-H 'Content-Type: application/json'")
        lines.append(f"-d {_quoted(json.dumps(example.body))}")
    return " \\\n  ".join(lines)


def python(example: Example) -> str:
    """A program with httpx."""
    imports = "import httpx\n\n" if example.role != "admin" else "import os\n\nimport httpx\n\n"
    options = [f'"{URL}{example.path}"']
    if example.body is not None:
        options.append(f"json={_literal(example.body, len('    json=,'), 4)}")
    if example.role == "admin":
        options.append('headers={"Authorization": "Bearer " + os.environ["SEGUE_KEY"]}')
    call = f"httpx.{example.method.lower()}(\n" + "".join(f"    {o},\n" for o in options) + ")"
    return f"{imports}response = {call}\nresponse.raise_for_status()\nprint(response.json())"


def javascript(example: Example) -> str:
    """A module for Node.js or, under the same origin, a browser."""
    headers = {}
    if example.body is not None:
        headers["Content-Type"] = "application/json"
    fields = [f'method: "{example.method}"']
    listed = [f'"{name}": "{value}"' for name, value in headers.items()]
    if example.role == "admin":
        listed.append('"Authorization": `Bearer ${process.env.SEGUE_KEY}`')
    if listed:
        fields.append(f"headers: {{{', '.join(listed)}}}")
    if example.body is not None:
        fields.append(f"body: JSON.stringify({json.dumps(example.body)})")
    options = "".join(f"  {field},\n" for field in fields)
    return (
        f'const response = await fetch("{URL}{example.path}", {{\n{options}}});\n'
        "if (!response.ok) throw new Error((await response.json()).error.message);\n"
        "console.log(await response.json());"
    )


LANGUAGES: Mapping[str, Callable[[Example], str]] = {
    "bash": curl,
    "python": python,
    "javascript": javascript,
}
"""By the name of a code block in Markdown."""


def _literal(value: Any, used: int, indent: int) -> str:
    """A Python literal as formatters write it: over several lines if it does not fit into one.

    Args:
        value: of JSON.
        used: characters of the line that are not of the value.
        indent: of the line.
    """
    flat = repr(value).replace("'", '"')
    if used + len(flat) <= LINE_LENGTH or not isinstance(value, dict | list):
        return flat
    inner, opening, closing = indent + 4, *("{}" if isinstance(value, dict) else "[]")
    pairs = value.items() if isinstance(value, dict) else [(None, element) for element in value]
    lines = []
    for key, part in pairs:
        name = "" if key is None else f'"{key}": '
        lines.append(f"{' ' * inner}{name}{_literal(part, inner + len(name) + 1, inner)},\n")
    return f"{opening}\n{''.join(lines)}{' ' * indent}{closing}"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
