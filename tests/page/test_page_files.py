"""The files of the page: complete, small, strict about scripts, and nothing but a table."""

from __future__ import annotations

import gzip
import json
import posixpath
import re
import tomllib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from app_client import AppClient

from segue.server.page_files import FOLDER, PageFile, page_files

pytestmark = pytest.mark.all_cases

ROOT = Path(__file__).parents[2]
MAX_BYTES = 300_000
"""Of what opening the page loads, before compression."""
STATIC_IMPORTS = re.compile(r"""^(?:import|export)[^;]*?from\s*["'](\.[^"']+)["']""", re.MULTILINE)
EXTERNAL = re.compile(r"(?:https?:)?//(?!www\.w3\.org/2000/svg)[a-z0-9]", re.IGNORECASE)


@pytest.fixture(scope="module")
def client() -> Iterator[AppClient]:
    """A client of a server without a model: the page needs none."""
    from segue.server.api_keys import KeyRing, new_key
    from segue.server.app import create_app
    from segue.server.registry import ModelRegistry

    _, key = new_key("web", "user")
    app = create_app(ModelRegistry({}), keys=KeyRing([key]))
    with AppClient(app) as client:
        yield client


class Markup(HTMLParser):
    """Collects the tags of a document."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self._in_script = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._in_script = tag == "script"

    def handle_data(self, data: str) -> None:
        if self._in_script and data.strip():
            self.scripts.append(data)


def path_of(name: str) -> str:
    return "/" if name == "index.html" else f"/page/{name}"


@pytest.mark.parametrize("name", list(page_files()))
def test_a_file_is_served_without_a_key(client: AppClient, name: str) -> None:
    file = page_files()[name]
    response = client.get(path_of(name), headers={"accept-encoding": "identity"})
    assert response.status_code == 200
    assert response.content == file.content == (FOLDER / name).read_bytes()
    assert response.headers["content-type"] == file.content_type
    assert response.headers["x-content-type-options"] == "nosniff"


def test_every_type_is_compressed_and_tagged(client: AppClient) -> None:
    for name in ("index.html", "css/base.css", "js/main.js", "icon.svg"):
        response = client.get(path_of(name), headers={"accept-encoding": "gzip"})
        assert response.headers["content-encoding"] == "gzip"
        assert response.content == page_files()[name].content
        tag = response.headers["etag"]
        again = client.get(path_of(name), headers={"if-none-match": tag})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == tag
        assert client.get(path_of(name), headers={"if-none-match": '"x"'}).status_code == 200


def test_the_policy_allows_nothing_from_elsewhere_and_nothing_inline(client: AppClient) -> None:
    policy = client.get("/").headers["content-security-policy"]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == rules["connect-src"] == "'self'"
    assert rules["base-uri"] == rules["form-action"] == rules["frame-ancestors"] == "'none'"
    assert rules["require-trusted-types-for"] == "'script'"
    assert "unsafe" not in policy
    assert "http" not in policy


@pytest.mark.parametrize(
    "path",
    [
        "/page/",
        "/page/nothing.js",
        "/page/../page_files.py",
        "/page/..%2fpage_files.py",
        "/page/%2e%2e/page_files.py",
        "/page//etc/passwd",
        "/page/js/../../../../pyproject.toml",
        "/page/index.html/",
        "/page/INDEX.HTML",
        "/page/js/main.js%00.css",
    ],
)
def test_no_path_reaches_the_file_system(client: AppClient, path: str) -> None:
    response = client.get(path)
    # A client that resolves ".." itself leaves the page, and then needs a key.
    assert (response.status_code, response.json()["error"]["code"]) in (
        (404, "not_found"),
        (401, "unauthorized"),
    )


def test_the_api_still_needs_a_key(client: AppClient) -> None:
    assert client.get("/v1/models").status_code == 401
    assert client.get("/pages/x").status_code == 401


def imported(name: str) -> set[str]:
    """A module and all that it imports, but not what it loads later."""
    names, waiting = set[str](), [name]
    while waiting:
        name = waiting.pop()
        if name not in names:
            names.add(name)
            code = page_files()[name].content.decode()
            waiting += [_target(name, path) for path in STATIC_IMPORTS.findall(code)]
    return names


def _target(name: str, path: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(name), path))


def test_the_page_is_small() -> None:
    files = page_files()
    outside_of_modules = {name for name in files if not name.endswith(".js")}
    modules = imported("js/main.js") | imported("js/views/playground.js")
    opened = outside_of_modules | modules | {"js/shell/early-theme.js"}
    assert sum(len(files[name].content) for name in opened) < MAX_BYTES
    assert sum(len(file.compressed) for file in files.values()) < MAX_BYTES / 2
    assert all(gzip.decompress(file.compressed) == file.content for file in files.values())


def test_the_document_has_no_inline_script_or_style() -> None:
    markup = Markup()
    markup.feed(page_files()["index.html"].content.decode())
    assert markup.scripts == []
    for tag, attributes in markup.tags:
        assert tag != "style"
        assert not [name for name in attributes if name == "style" or name.startswith("on")]
        for name in ("src", "href"):
            reference = attributes.get(name)
            if reference is not None and not reference.startswith("#"):
                assert reference.removeprefix("page/") in page_files()


def test_every_import_is_a_file_of_the_page() -> None:
    imports = re.compile(r"""(?:from|import)\s*\(?\s*["'](\.[^"']+)["']""")
    for name, file in page_files().items():
        for reference in imports.findall(file.content.decode()) if name.endswith(".js") else []:
            assert _target(name, reference) in page_files(), f"{name} imports {reference}"


def test_every_style_sheet_is_part_of_the_document() -> None:
    document = page_files()["index.html"].content.decode()
    sheets = [name for name in page_files() if name.endswith(".css")]
    assert sheets
    assert all(f'href="page/{name}"' in document for name in sheets)


@pytest.mark.parametrize("name", list(page_files()))
def test_a_file_names_no_address_and_makes_no_markup(name: str) -> None:
    text = page_files()[name].content.decode()
    code = re.sub(r"^\s*(//|\*|/\*).*$", "", text, flags=re.MULTILINE)
    assert not EXTERNAL.search(code)
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert word not in text


def test_the_page_calls_only_the_api() -> None:
    paths = re.compile(r"""(?:get|post|image)\(\s*["'`](/[^"'`?$]*)""")
    scripts = [f.content.decode() for n, f in page_files().items() if n.endswith(".js")]
    called = {path for text in scripts for path in paths.findall(text)}
    assert called >= {"/v1/model", "/v1/items", "/v1/explain"}
    assert all(path.startswith("/v1/") for path in called)


def test_the_files_are_read_once_and_are_named_by_their_content() -> None:
    assert page_files() is page_files()
    tags = [file.tag for file in page_files().values()]
    assert len(set(tags)) == len(tags)
    assert isinstance(page_files()["index.html"], PageFile)


def test_the_wheel_has_the_page() -> None:
    from hatchling.builders.wheel import WheelBuilder

    builder = WheelBuilder(str(ROOT))
    names = {Path(file.distribution_path).as_posix() for file in builder.recurse_included_files()}
    assert {f"segue/server/page/{name}" for name in page_files()} <= names


def test_the_tools_come_from_no_named_registry() -> None:
    lock: dict[str, Any] = json.loads((ROOT / "package-lock.json").read_text("utf-8"))
    assert lock["packages"]
    assert not [name for name, package in lock["packages"].items() if "resolved" in package]
    assert "://" not in (ROOT / "package.json").read_text("utf-8")
    included = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert included["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == ["src/segue"]
