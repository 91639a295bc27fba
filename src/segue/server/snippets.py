"""Examples of calls as code: curl, Python and JavaScript."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Mapping

from segue.server.examples import Example

URL = "http://127.0.0.1:8000"
KEY = "$SEGUE_KEY"
"""Calls of administrators need a key, which the examples read from the environment."""


def curl(example: Example) -> str:
    """A shell command."""
    # curl itself chooses GET without a body and POST with one.
    implied = "GET" if example.body is None else "POST"
    method = "" if example.method == implied else f"-X {example.method} "
    lines = [f"curl -s {method}{_quoted(URL + example.path)}"]
    if example.role == "admin":
        lines.append(f'-H "Authorization: Bearer {KEY}"')
    if example.body is not None:
        lines.append("-H 'Content-Type: application/json'")
        lines.append(f"-d {_quoted(json.dumps(example.body))}")
    return " \\\n  ".join(lines)


def python(example: Example) -> str:
    """A program with ``segue.Client``."""
    imports, key = "import segue", ""
    if example.role == "admin":
        imports, key = "import os\n\nimport segue", ', api_key=os.environ["SEGUE_KEY"]'
    body = textwrap.indent(example.python or _plain_call(example), "    ")
    return f'{imports}\n\nwith segue.Client("{URL}"{key}) as client:\n{body}'


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


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _plain_call(example: Example) -> str:
    """A call of a route that has no method of its own."""
    arguments = [f'"{example.method}"', f'"{example.route}"']
    if example.body is not None:
        arguments.append(json.dumps(example.body))
    arguments += [f"{name}={json.dumps(value)}" for name, value in example.parameters.items()]
    return f"print(client.call({', '.join(arguments)}))"
