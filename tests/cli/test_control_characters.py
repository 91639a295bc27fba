"""No title, id or name of a file reaches the terminal with characters that control it."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from commands import Outcome, segue
from hypothesis import given
from hypothesis import strategies as st

from segue.cli.console import stderr, stdout, visible
from segue.cli.recommend import print_answer
from segue.cli.train import ProgressDisplay
from segue.dataset import Items
from segue.recommender import Answer
from segue.recommender.answers import Recommendation

HOSTILE = "a\x1b[31mb\x07c\x9bd\re\u202ef\u2066g\x7fh\x00"
"""A colour, a bell, a C1 control, a carriage return, a bidirectional override and isolate."""
SHOWN = r"a\x1b[31mb\x07c\x9bd\re\u202ef\u2066g\x7fh\x00"
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
NAME = "f\x1b]0;title\x07\u202e.csv"
"""The name of a file that sets the title of a terminal."""


def assert_harmless(outcome: Outcome) -> Outcome:
    assert not CONTROLS.search(outcome.out + outcome.err), outcome
    return outcome


@given(st.text())
def test_visible_text_has_no_control_character(text: str) -> None:
    shown = visible(text)
    assert not CONTROLS.search(shown)
    if not CONTROLS.search(text) and not set(text) & {"\u2028", "\u2029"}:
        assert shown == text


def test_control_characters_are_shown_as_escapes() -> None:
    assert visible(HOSTILE) == SHOWN
    assert visible("Ünïcode, עברית\t日本\n") == "Ünïcode, עברית\t日本\n"


@pytest.fixture(scope="module")
def hostile_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset whose ids and titles have control characters, in a folder that has some, too."""
    folder = tmp_path_factory.mktemp("hostile")
    items = [f"{HOSTILE.replace(chr(0), '')}{i}" for i in range(6)]
    users = [f"\x1b]0;u\x07{i}" for i in range(8)]
    rows = [
        (user, items[(i + j) % 6], 1_600_000_000 + j)
        for i, user in enumerate(users)
        for j in range(5)
    ]
    columns = [pa.array(column) for column in zip(*rows, strict=True)]
    log = folder / "log\x1b[2J.parquet"
    pq.write_table(pa.table(columns, names=["user_id", "item_id", "timestamp"]), log)
    titles = pa.table({"item_id": items, "title": [f"\x1b[5mtitle {i}" for i in range(6)]})
    pq.write_table(titles, folder / "items.parquet")
    out = folder / "data\x1b[1m"
    outcome = segue("prepare", log, "-o", out, "--items-file", folder / "items.parquet")
    assert assert_harmless(outcome).code == 0, outcome.err
    return out


def test_verbs_that_print_a_dataset(hostile_dataset: Path, tmp_path: Path) -> None:
    assert r"data\x1b[1m" in assert_harmless(segue("inspect", hostile_dataset)).out
    outcome = assert_harmless(segue("search", hostile_dataset, "5mtitle 3"))
    assert r"\x1b[5mtitle 3" in outcome.out
    assert_harmless(segue("search", hostile_dataset, "\x1b nothing"))
    outcome = segue("evaluate", "popularity", "--data", hostile_dataset, "--resamples", 10)
    assert assert_harmless(outcome).code == 0
    outcome = segue("evaluate", "popularity", "--data", hostile_dataset, "--markdown")
    assert assert_harmless(outcome).code == 0


def test_json_keeps_them(hostile_dataset: Path) -> None:
    outcome = segue("search", hostile_dataset, "5mtitle 3", "--json")
    assert outcome.json["items"][0]["title"] == "\x1b[5mtitle 3"
    assert "\x1b" not in outcome.out


@pytest.mark.parametrize(
    "arguments",
    [
        ["\x1b[2J"],
        ["prepare", NAME, "-o", "x"],
        ["prepare", "log.csv", "-o", "x", "--split", NAME],
        ["inspect", NAME],
        ["train", NAME, "-o", "x"],
        ["evaluate", NAME, "--data", NAME],
        ["recommend", NAME, "--items", NAME],
        ["compare", NAME],
        ["search", NAME, NAME],
        ["prepare", "log.csv", "-o", "x", "--" + NAME],
    ],
)
def test_errors_that_quote_an_argument(arguments: list[str], tmp_path: Path) -> None:
    assert assert_harmless(segue(*arguments)).code == 2


def test_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGUE_TRACEBACK", "1")
    outcome = segue("inspect", NAME)
    assert "Traceback" in assert_harmless(outcome).err


def test_answers(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")  # wide enough for every column
    columns = {"item_id": [HOSTILE], "title": [HOSTILE], "artist": [HOSTILE], "genres": [[HOSTILE]]}
    table = pa.table(columns)
    items = Items(table)
    answer = Answer(
        items=[Recommendation(HOSTILE, f"{HOSTILE}\nforged line", 1.0, rank=1)],
        unknown_items=[HOSTILE],
        truncated=1,
        model=HOSTILE,
        took_ms=1.0,
        notes=[HOSTILE],
    )
    print_answer(answer, SimpleNamespace(items=items), as_json=False)  # type: ignore[arg-type]
    out, err = capsys.readouterr()
    assert_harmless(Outcome(0, out, err))
    assert SHOWN in out
    assert not any(line.startswith("forged") for line in out.splitlines())
    assert err.count(SHOWN) == 2


def test_progress(capsys: pytest.CaptureFixture[str]) -> None:
    report = SimpleNamespace(step=1, total_steps=2, message=HOSTILE)
    ProgressDisplay(stderr())(report)  # type: ignore[arg-type]
    assert capsys.readouterr().err == f"{SHOWN}\n"


def test_a_console_prints_strings_in_any_place(capsys: pytest.CaptureFixture[str]) -> None:
    from segue.cli.console import fitting_tables, key_values, table

    console = stdout()
    console.print(HOSTILE, style="bold")
    console.print(key_values({HOSTILE: HOSTILE}))
    console.print(table(("name", HOSTILE), [(HOSTILE, HOSTILE)], text_columns=("name",)))
    for part in fitting_tables(("name", "n"), [(HOSTILE, "1")], n_labels=1, width=80):
        console.print(part)
    with console.status(HOSTILE):
        pass
    out, _ = capsys.readouterr()
    assert not CONTROLS.search(out)
