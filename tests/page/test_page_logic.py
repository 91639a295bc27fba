"""Pure modules of the page, run by Node.js: address, pasted ids, exports, commands."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from segue.recommender.request_body import GenerateBody, RecommendBody, read_body
from segue.server.page_files import FOLDER

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")
PLAYGROUND = "views/playground"


LOOP = """
import { createInterface } from "node:readline";
for await (const line of createInterface({ input: process.stdin })) {
  const [address, name, parameters] = JSON.parse(line);
  const result = (await import(address))[name](...parameters);
  process.stdout.write(JSON.stringify(result ?? null) + "\\n");
}
"""
_process: list[subprocess.Popen[str]] = []


@pytest.fixture(scope="module", autouse=True)
def node() -> Iterator[None]:
    """One process of Node.js for all tests of this module."""
    command = ["node", "--no-warnings", "--input-type=module", "-e", LOOP]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
    ) as process:
        _process.append(process)
        yield
        _process.clear()
        process.communicate()
    assert process.returncode == 0


def call(module: str, function: str, *parameters: Any) -> Any:
    """The result of a function of a module of the page."""
    return _result_of((FOLDER / "js" / module).as_uri(), function, *parameters)


def script(code: str, *parameters: Any) -> Any:
    """The result of ``run`` in a module of the test, where PAGE stands for the page's modules."""
    code = code.replace("PAGE", (FOLDER / "js").as_uri())
    return _result_of(f"data:text/javascript,{quote(code)}", "run", *parameters)


def _result_of(address: str, function: str, *parameters: Any) -> Any:
    (process,) = _process
    assert process.stdin is not None
    assert process.stdout is not None
    line = json.dumps([address, function, parameters])
    process.stdin.write(line + "\n")
    process.stdin.flush()
    return json.loads(process.stdout.readline())


def state(**changes: Any) -> dict[str, Any]:
    return call("store/address.js", "stateOf", "") | changes


HOSTILE = ["<b>", "a,b", "x y&z=1#?", "'\"", "🎉", "a\nb", "%2e", "-5"]
FULL = {
    "view": "map",
    "options": {"zoom": "3", "a b": "c=d"},
    "model": "other run",
    "items": HOSTILE,
    "mode": "continuation",
    "compare": "*",
    "k": 7,
    "popularity": -0.35,
    "diversity": 0.2,
    "cap": {"artist": 2},
    "where": [
        {"attribute": "year", "operator": ">=", "value": "1990"},
        {"attribute": "the genre", "operator": "lacks", "value": 'say "so" = it'},
    ],
    "exclude": ["1"],
    "unlike": ["2"],
    "features": {"name": "rainy = day"},
    "include_seen": True,
    "locked": {"0": "a=b", "4": "<i>"},
    "length": 3,
    "temperature": 0.4,
    "top_k": 5,
    "seed": 99,
}


def test_a_state_survives_its_address() -> None:
    address = call("store/address.js", "addressOf", FULL)
    assert call("store/address.js", "stateOf", address) == FULL
    assert call("store/address.js", "addressOf", state()) == "#/playground"


@pytest.mark.parametrize(
    "address",
    [
        "#/nowhere?k=0&seed=-1&popularity=NaN&length=1e9&top_k=1.5&temperature=&diversity=2",
        "#/admin/reload?mode=delete&include_seen=yes&cap=artist&cap=artist=0&lock=-1=x&lock=x=y",
        "#//evil.example/?where=year&where=drop+table&feature==x&items=",
        "#/playground?items=" + "x" * 1_001,
        "#?__proto__=1&constructor=2&toString=3",
        "#/%00?%%%",
        "javascript:alert(1)",
    ],
)
def test_what_an_address_says_wrongly_has_its_default(address: str) -> None:
    assert call("store/address.js", "stateOf", address) == state()


def test_an_address_sets_what_the_page_shows_and_nothing_else() -> None:
    read = call("store/address.js", "stateOf", "#/playground?items=1&path=/v1/admin/reload&body={}")
    assert read == state(items=["1"])


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("1\n2\r\n 3 \n\n", ["1", "2", "3"]),
        ("1,2, 3", ["1", "2", "3"]),
        ("a,b c\nd", ["a,b c", "d"]),
        ("#EXTM3U\n#EXTINF:-1,A - B\nspotify:track:1\n", ["spotify:track:1"]),
        ('["1", 2, {"item_id": "3"}, {"id": 4}, null, [5]]', ["1", "2", "3", "4"]),
        ('{"items": [{"item_id": "<b>"}]}', ["<b>"]),
        ('{"tracks": [{"track_uri": "u"}]}', ["u"]),
        ("\ufeffitem_id,title\n1,A\n2,B", ["1", "2"]),
        ("[not json]", ["[not json]"]),
        ("x" * 2_000, []),
        ("", []),
    ],
)
def test_pasted_ids(text: str, ids: list[str]) -> None:
    assert call(f"{PLAYGROUND}/pasted.js", "pastedIds", text) == ids


def listed(*ids: str) -> list[dict[str, Any]]:
    return [
        {"rank": n, "item_id": i, "title": f"t,{i}\n", "score": 1.5, "attributes": {"artist": "A"}}
        for n, i in enumerate(ids, 1)
    ]


def test_exports_have_the_ids_of_the_list() -> None:
    module, ids = f"{PLAYGROUND}/exports.js", ["1", 'a "b", c', "<b>"]
    rows = list(csv.DictReader(io.StringIO(call(module, "exported", listed(*ids), "csv"))))
    assert [row["item_id"] for row in rows] == ids
    assert [row["rank"] for row in rows] == ["1", "2", "3"]
    parsed = json.loads(call(module, "exported", listed(*ids), "json"))
    assert [item["item_id"] for item in parsed["items"]] == ids
    assert call(module, "exported", listed(*ids), "txt").splitlines() == ids
    playlist = call(module, "exported", listed(*ids), "m3u")
    assert call(f"{PLAYGROUND}/pasted.js", "pastedIds", playlist) == ids


FORMULAS = ["=1+1", "@x", "-5", " =1", "\n+1", "\u00a0\t=1", "\tx", "＝1", "－1"]


def test_no_field_of_an_export_is_a_formula() -> None:
    ids = [*FORMULAS, "1-1", "a=b", " a"]
    text = call(f"{PLAYGROUND}/exports.js", "exported", listed(*ids), "csv")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [row["item_id"] for row in rows] == [*(f"'{i}" for i in FORMULAS), "1-1", "a=b", " a"]


def test_no_id_is_a_directive_of_a_playlist() -> None:
    ids = ["#EXTINF:1,x", " #a", "a#b"]
    text = call(f"{PLAYGROUND}/exports.js", "exported", listed(*ids), "m3u")
    assert text.splitlines()[2::2] == ["%23EXTINF:1,x", " %23a", "a#b"]


def words_of(command: str) -> list[str]:
    """The words that a shell passes to the program at the beginning of a command."""
    program = command.split(" ", 1)[0]
    code = f"{program}() {{ printf '%s\\0' {program} \"$@\"; }}; {command}"
    done = subprocess.run(["bash", "-c", code], capture_output=True, check=True, timeout=60)
    return done.stdout.decode("utf-8").split("\0")[:-1]


def test_the_command_line_keeps_every_word_whole() -> None:
    query = state(
        items=HOSTILE,
        where=FULL["where"],
        cap={"artist": 2},
        exclude=["a b"],
        unlike=["$(x)"],
        popularity=-0.5,
    )
    words = words_of(call(f"{PLAYGROUND}/commands.js", "shellCommand", query, "/a run/x"))
    assert words[:3] == ["segue", "recommend", "/a run/x"]
    assert [word.removeprefix("--item=") for word in words if word.startswith("--item=")] == HOSTILE
    assert "--where=year >= 1990" in words
    assert "--unlike=$(x)" in words
    assert "--popularity=-0.5" in words
    assert words[words.index("-k") + 1] == "12"
    assert words[-1] == "--json"


def test_the_command_line_counts_ranks_from_one() -> None:
    query = state(mode="continuation", items=["1"], locked={"0": "a=b", "4": "c", "99": "far"})
    words = words_of(call(f"{PLAYGROUND}/commands.js", "shellCommand", query, None))
    assert words[:3] == ["segue", "generate", "RUN"]
    assert [word for word in words if word.startswith("--lock")] == ["--lock=1=a=b", "--lock=5=c"]


CONTROL_IDS = ["a\n", "\x1b[201~rm x\r", "\x7f\x85\x9b", "it's \\ \t'", "\n1"]


def test_no_command_has_a_control_character() -> None:
    module, query = f"{PLAYGROUND}/commands.js", state(items=CONTROL_IDS, exclude=["a,\x9b"])
    curl = call(module, "curlCommand", query, None, "http://h:1", False)
    python = call(module, "pythonCommand", query, None, "http://h:1", False)
    in_file = call(module, "shellCommand", query, None)
    options = call(module, "shellCommand", query | {"exclude": []}, "/a\n/b")
    for command in (curl, python, in_file, options):
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", command)
        assert "\n1" not in command
    words = words_of(curl)
    assert json.loads(words[words.index("-d") + 1])["items"] == CONTROL_IDS
    items = [word[7:] for word in words_of(options) if word.startswith("--item=")]
    assert items == CONTROL_IDS
    assert words_of(options)[2] == "/a\n/b"


@pytest.mark.parametrize("change", [
    {"exclude": ["a,b'\x1b$(x)"], "unlike": ["c"], "include_seen": True},
    {"unlike": [" a"]},
    {"items": ["x", "a\0b"]},
    {"items": [" "]},
    {"features": {"a=b": "c"}},
    {"features": {"name": "c\n"}},
    {"mode": "continuation", "exclude": ["a,b"], "locked": {"1": "x"}, "temperature": 0},
    {"mode": "continuation", "locked": {"0": "x\u0085"}},
    {"mode": "continuation", "locked": {"0": ""}},
])  # fmt: skip
def test_what_options_cannot_say_is_a_here_document(change: dict[str, Any], tmp_path: Path) -> None:
    query = state(**{"items": ["x,y", "JSON"], **change})
    command = call(f"{PLAYGROUND}/commands.js", "shellCommand", query, None)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", command)
    program = 'segue() { printf "%s\\n" "$@"; cat; }'
    done = subprocess.run(
        ["bash", "-c", f"{program}; {command}"], capture_output=True, check=True, timeout=60
    )
    verb, *words, body = done.stdout.decode("utf-8").split("\n", 5)
    assert words == ["RUN", "--query", "-", "--json"]
    file = tmp_path / "query.json"
    file.write_text(body)
    kind = {"recommend": RecommendBody, "generate": GenerateBody}[verb]
    path, expected = call(f"{PLAYGROUND}/requests.js", "listCall", query, None).values()
    assert path == f"/v1/{verb}"
    if "locked" in expected:
        expected["locked"] = {int(at): item for at, item in expected["locked"].items()}
    assert read_body(file, kind) == expected == json.loads(body) | expected


def test_undo_keeps_the_model_and_the_view() -> None:
    code = """
    import { Store } from "PAGE/store/store.js";
    export function run(state) {
      const store = new Store(state);
      store.change({ items: ["1"] });
      store.change({ model: "other", view: "map" }, { isUndoable: false });
      store.undo();
      return [store.state.items, store.state.model, store.state.view, store.canUndo];
    }
    """
    assert script(code, state()) == [[], "other", "map", False]


@pytest.mark.parametrize("key", ["", "a b", "schlüssel", "ключ", "a\u200b", "a\nb", "\x7f"])
def test_a_key_that_no_header_holds_is_refused(key: str) -> None:
    assert call("shell/api-key.js", "isPossibleKey", key) is False
    assert call("shell/api-key.js", "isPossibleKey", "web.Az09-_~!") is True


def test_a_list_that_has_not_arrived_is_no_answer() -> None:
    """Rows of an earlier list stay in sight, but are not exported or added."""
    code = """
    import { SuggestionList } from "PAGE/views/playground/suggestion-list.js";
    class Element {
      classList = { toggle() {}, remove() {}, add() {} };
      append() {}
      replaceChildren() {}
      setAttribute() {}
      addEventListener() {}
    }
    globalThis.Node = globalThis.HTMLElement = Element;
    globalThis.document = { createElement: () => new Element() };
    export function run(states) {
      const context = { store: { state: { where: [], cap: {}, exclude: [], unlike: [] } } };
      const list = new SuggestionList({ context });
      return states.map((state) => {
        list.answer = { items: [] };
        list.show(state);
        return list.answer;
      });
    }
    """
    states = [{"kind": "loading"}, {"kind": "error", "error": None}, {"kind": "empty"}]
    assert script(code, states) == [None] * 3


def test_python_is_a_program_with_the_same_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    query = state(mode="continuation", items=HOSTILE, locked={"1": "<b>"}, include_seen=True)
    code = call(f"{PLAYGROUND}/commands.js", "pythonCommand", query, "other", "http://h:1", True)
    calls: list[Any] = []

    class Client:
        def __init__(self, *arguments: Any, **options: Any) -> None:
            calls.append((arguments, options))

        def generate(self, *arguments: Any, **options: Any) -> list[Any]:
            calls.append((arguments, options))
            return []

    monkeypatch.setenv("SEGUE_KEY", "secret")
    monkeypatch.setattr("segue.Client", Client, raising=False)
    exec(compile(code, "copied", "exec"), {})
    (address, options), (arguments, named) = calls
    assert address == ("http://h:1",)
    assert options == {"api_key": "secret", "model": "other"}
    assert arguments == (HOSTILE,)
    assert named["locked"] == {1: "<b>"}
    assert named["include_seen"] is True
    assert isinstance(named["temperature"], float)
    assert isinstance(named["seed"], int)
