"""Main journeys through the Playground, in a real browser with a real server."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from browser import DESKTOP, PHONE, Tab
from page_world import HOSTILE_IDS

if TYPE_CHECKING:
    from page_server import PageServer

pytestmark = pytest.mark.slow
START = "#/playground?items=s8&items=s9&items=s10"


def test_search_build_and_undo(tab: Tab) -> None:
    tab.open()
    tab.page.get_by_role("button", name="Surprise me").wait_for()
    tab.page.keyboard.press("/")
    tab.page.keyboard.type("song 8")
    tab.page.locator(".match", has_text="Song 8").first.wait_for()
    tab.page.keyboard.press("Enter")
    assert tab.ids[0] == "s9"
    tab.page.locator(".suggestion-add").first.click()
    assert tab.sequence == ["Song 8", "Song 9"]
    assert tab.ids[0] == "s10"
    assert "items=s8&items=s9" in tab.page.url
    tab.page.keyboard.press("z")
    assert tab.sequence == ["Song 8"]
    tab.page.get_by_role("button", name="Remove Song 8").click()
    tab.page.get_by_role("button", name="Surprise me").wait_for()
    tab.page.locator(".example").first.click()
    assert len(tab.sequence) >= 2
    assert len(tab.ids) > 0


def test_enter_means_the_text_that_was_typed(tab: Tab) -> None:
    tab.open()
    tab.page.keyboard.press("/")
    tab.page.keyboard.type("song 8")
    tab.page.locator(".match", has_text="Song 8").first.wait_for()
    tab.page.locator(".top-search input").fill("song 12")
    tab.page.keyboard.press("Enter")
    tab.wait_for_count(".sequence-card", 1)
    assert tab.sequence == ["Song 12"]


def test_an_address_that_the_browser_refuses_is_written_later(tab: Tab) -> None:
    tab.page.add_init_script("""
        const write = history.replaceState.bind(history);
        let refusals = 3;
        history.replaceState = (...values) => {
          if (refusals-- > 0) throw new DOMException("too often", "SecurityError");
          write(...values);
        };
    """)
    tab.open(START)
    tab.settle()
    tab.page.get_by_label("Popularity", exact=True).focus()
    for _ in range(2):
        tab.page.keyboard.press("ArrowLeft")
    copied_link = copied(tab, "Copy link")
    tab.page.wait_for_url(re.compile("popularity="))
    assert tab.page.url == copied_link


def test_a_start_that_is_not_needed_any_more_is_given_up(browser: Any, server: PageServer) -> None:
    tab = Tab(browser, server.url, DESKTOP, "light")
    catalogue = "**/v1/catalogue?model=others"
    tab.page.route(catalogue, lambda route: None)  # which never answers
    tab.open(START)
    tab.settle()
    with tab.page.expect_request(catalogue):
        tab.page.get_by_label("Model", exact=True).select_option("others")
    is_given_up = "model=others"
    with tab.page.expect_event("requestfailed", lambda request: is_given_up in request.url):
        tab.page.evaluate(f"location.hash = '{START}'")
    assert tab.ids[0] == "s11"
    tab.page.wait_for_timeout(50)
    assert tab.ids[0] == "s11"
    assert tab.page.locator(".state-error").count() == 0
    tab.close()


def test_a_link_restores_the_state(tab: Tab) -> None:
    tab.open(f"{START}&k=3&where=artist+!%3D+%22Coro%22&popularity=0.5&seed=5")
    ids = tab.ids
    assert len(ids) == 3
    assert tab.page.get_by_text("artist: not Coro").count() == 1
    tab.page.reload()
    tab.page.wait_for_selector(".suggestion")
    assert tab.ids == ids


def test_a_link_sends_only_the_query_that_it_shows(tab: Tab) -> None:
    tab.open("#/playground?items=s8&path=/v1/admin/reload&method=DELETE&where=&k=-1&model=songs")
    assert len(tab.ids) == 12
    own = {request.split("?")[0] for request in tab.requests if " /v1" in request}
    own = {request for request in own if not request.startswith("GET /v1/covers/")}
    assert own <= {
        "GET /v1/models",
        "GET /v1/model",
        "GET /v1/catalogue",
        "POST /v1/items",
        "POST /v1/recommend",
        "POST /v1/explain",
    }


def test_explain(tab: Tab) -> None:
    tab.open(START)
    tab.page.locator(".because").first.wait_for()
    assert "Song 10" in tab.page.locator(".because").first.inner_text()
    tab.page.get_by_role("button", name="Why: Song 11").click()
    values = tab.page.locator(".why-row").all_inner_texts()
    assert len(values) == 3
    assert values[0].startswith("Song 10")
    tab.page.get_by_role("button", name="Why: Song 11").click()
    assert tab.page.locator(".why").count() == 0


def test_lock_generate_and_continue(tab: Tab) -> None:
    tab.open(START)
    third = tab.ids[2]
    tab.page.locator(".suggestion").nth(2).hover()
    tab.page.locator(".suggestion").nth(2).get_by_role("button", name="Lock here").click()
    tab.page.locator(".toolbar").get_by_role("button", name="Generate").click()
    tab.page.wait_for_selector(".segment[aria-pressed=true]:has-text('Continuation')")
    first = tab.ids
    assert first[2] == third
    assert len(set(first)) == len(first) == 10
    tab.page.keyboard.press("g")
    second = tab.ids
    assert second[2] == third
    assert "seed=2" in tab.page.url
    tab.page.get_by_role("button", name="Add all").click()
    tab.settle()
    assert len(tab.sequence) == 13
    assert "lock=" not in tab.page.url


def test_less_like_this_and_never(tab: Tab) -> None:
    tab.open(START)
    first = tab.ids[0]
    row = tab.page.locator(".suggestion").first
    row.hover()
    row.get_by_role("button", name="Less like this").click()
    assert first not in tab.ids
    row = tab.page.locator(".suggestion").first
    row.hover()
    row.get_by_role("button", name="Never").click()
    entry = tab.page.get_by_role("menuitem", name="Never ").nth(1)
    artist = entry.inner_text().split("\n")[0].removeprefix("Never ")
    entry.click()
    tab.settle()
    assert tab.page.get_by_text(f"artist: not {artist}").count() == 1
    shown = tab.page.locator(".suggestion-detail > .quiet").all_inner_texts()
    assert shown
    assert not [line for line in shown if artist in line]


def test_filter_to_nothing_and_drop_what_is_to_blame(tab: Tab) -> None:
    tab.open(START)
    before = tab.ids
    tab.page.get_by_label("year from").fill("3000")
    tab.page.get_by_label("year from").press("Enter")
    tab.page.get_by_text("No item is left").wait_for()
    tab.page.get_by_role("button", name="Drop “year from 3000”").click()
    tab.page.wait_for_selector(".suggestion")
    assert tab.ids == before


def test_controls_say_their_effect_and_are_reset(tab: Tab) -> None:
    tab.open(START)
    before = tab.ids
    slider = tab.page.get_by_label("Popularity", exact=True)
    slider.focus()
    for _ in range(12):
        tab.page.keyboard.press("ArrowLeft")
    assert "much less known" in tab.page.locator(".controls-panel").inner_text()
    tab.page.get_by_label("per artist").fill("1")
    tab.page.get_by_label("per artist").press("Enter")
    tab.wait_for_count(".suggestion", 4)
    tab.page.get_by_role("button", name="Reset").click()
    tab.wait_for_count(".suggestion", 12)
    assert tab.ids == before


def test_compare_with_another_model_and_without_controls(tab: Tab) -> None:
    tab.open(START)
    tab.settle()
    tab.page.get_by_role("button", name="Compare").click()
    tab.page.get_by_role("menuitem", name="others").click()
    tab.wait_for_count(".compare-row", 24)
    assert tab.page.locator(".line-same").count() == 12
    tab.page.locator(".page").get_by_role("button", name="Stop comparing").click()
    tab.page.get_by_label("Items in the list").fill("5")
    tab.page.get_by_label("Items in the list").press("Enter")
    tab.wait_for_count(".suggestion", 5)
    tab.open(f"{START}&compare=*&exclude=s11")
    tab.page.wait_for_selector(".move-gain")
    assert tab.page.locator(".move-gain").first.inner_text() == "▲ 1"


def test_paste_with_unknown_ids(tab: Tab) -> None:
    tab.open()
    tab.page.get_by_role("button", name="Paste ids").first.click()
    tab.page.locator("#paste-field").fill('["s8", "nobody knows", "s9"]')
    tab.page.get_by_role("button", name="Add", exact=True).click()
    tab.page.get_by_text("The model does not know 1 id: nobody knows").wait_for()
    assert tab.sequence == ["Song 8", "nobody knows", "Song 9"]
    assert tab.page.locator(".sequence-card.is-unknown").count() == 1
    assert len(tab.ids) > 0


def test_drag_and_its_keyboard_twin(tab: Tab) -> None:
    tab.open(START)
    tab.settle()
    cards = tab.page.locator(".sequence-card")
    cards.nth(2).drag_to(cards.nth(0), target_position={"x": 40, "y": 4})
    assert tab.sequence == ["Song 10", "Song 8", "Song 9"]
    cards.nth(0).focus()
    tab.page.keyboard.press("Alt+ArrowDown")
    assert tab.sequence == ["Song 8", "Song 10", "Song 9"]
    tab.settle()
    dragged = tab.page.locator(".suggestion").first.get_attribute("data-id")
    tab.page.locator(".suggestion").first.drag_to(cards.nth(0), target_position={"x": 40, "y": 4})
    assert f"items={dragged}&items=s8" in tab.page.url


def test_keyboard_alone(tab: Tab) -> None:
    tab.open()
    tab.page.get_by_role("button", name="Surprise me").wait_for()
    for key in ("/", *"song 12"):
        tab.page.keyboard.press(key)
    tab.page.locator(".match[aria-selected=true]", has_text="Song 12").wait_for()
    tab.page.keyboard.press("Enter")
    assert tab.ids[0] == "s13"
    tab.page.keyboard.press("Escape")
    tab.page.keyboard.press("ArrowDown")
    focused = "document.activeElement.closest('.suggestion')?.dataset.id ?? null"
    assert tab.page.evaluate(focused) == "s13"
    tab.page.keyboard.press("ArrowDown")
    second = tab.ids[1]
    assert tab.page.evaluate(focused) == second
    tab.page.keyboard.press("l")
    tab.page.keyboard.press("Enter")
    tab.settle()
    assert f"items={second}" in tab.page.url
    assert f"lock=1%3D{second}" in tab.page.url
    assert tab.page.evaluate(focused) is not None, "the focus stays in the list"
    tab.page.keyboard.press("w")
    tab.page.locator(".why").wait_for()
    tab.page.keyboard.press("x")
    tab.settle()
    assert "unlike=" in tab.page.url
    tab.page.keyboard.press("g")
    assert len(tab.ids) == 10
    tab.page.keyboard.press("?")
    tab.page.get_by_role("dialog").wait_for()
    tab.page.keyboard.press("Escape")
    tab.page.locator(".sequence-card").first.focus()
    tab.page.keyboard.press("Delete")
    assert tab.sequence == [f"Song {second[1:]}"]


def exported(tab: Tab, label: str) -> str:
    tab.page.get_by_role("button", name="Export the list").click()
    with tab.page.expect_download() as download:
        tab.page.get_by_role("menuitem", name=label).click()
    return Path(download.value.path()).read_text("utf-8")


def test_export(tab: Tab) -> None:
    tab.open(START)
    ids = tab.ids
    assert [item["item_id"] for item in json.loads(exported(tab, "JSON"))["items"]] == ids
    rows = list(csv.DictReader(io.StringIO(exported(tab, "CSV"))))
    assert [row["item_id"] for row in rows] == ids
    assert exported(tab, "URIs").splitlines() == ids
    lines = exported(tab, "M3U").splitlines()
    assert [line for line in lines if not line.startswith("#")] == ids


def copied(tab: Tab, label: str) -> str:
    tab.page.get_by_role("button", name="Copy as a command").click()
    tab.page.get_by_role("menuitem", name=label).click()
    tab.page.get_by_text("Copied").wait_for()
    return tab.clipboard()


CONTROLLED = f"{START}&k=5&popularity=-0.5&exclude=s12&where=artist+!%3D+%22Coro%22"
COMMA = quote(HOSTILE_IDS[4])  # no list of an option can have it
QUERIES = [
    CONTROLLED,
    f"{START}&mode=continuation&length=5&seed=7&lock=1=s20",
    f"{START}&k=5&exclude={COMMA}",
    f"{START}&mode=continuation&length=5&seed=7&lock=1=s20&exclude={COMMA}",
]
NAMES = ["suggestions", "continuation", "suggestions-json", "continuation-json"]


@pytest.mark.parametrize("query", QUERIES, ids=NAMES)
def test_copied_commands_give_the_list_of_the_page(tab: Tab, query: str) -> None:
    tab.open(query)
    ids = tab.ids
    commands = [copied(tab, "Copy as command line").replace("segue", PROGRAM, 1)]
    if shutil.which("curl") is not None:
        commands.append(copied(tab, "Copy as curl"))
    for command in commands:
        answer = json.loads(output_of(command))
        assert [item["item_id"] for item in answer["items"]] == ids
    assert copied(tab, "Copy link") == tab.page.url


@pytest.mark.parametrize("query", QUERIES, ids=NAMES)
def test_copied_python_gives_the_list_of_the_page(tab: Tab, query: str) -> None:
    import segue

    if not hasattr(segue, "Client"):
        pytest.skip("needs segue.Client")
    tab.open(query)
    ids = tab.ids
    names: dict[str, Any] = {}
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(copied(tab, "Copy as Python"), names)
    names["client"].close()
    assert [line.split()[1] for line in out.getvalue().splitlines()] == ids


PROGRAM = f"{sys.executable} -m segue"


def output_of(command: str) -> bytes:
    """What a command prints in a shell, with the package of this folder."""
    environment = os.environ | {"PYTHONPATH": "src"}
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, check=True, timeout=120, env=environment
    )
    return done.stdout


def test_covers_or_titled_cards(tab: Tab) -> None:
    tab.open(START)
    tab.page.wait_for_selector(".suggestion[data-id=s11] .cover.has-image")
    assert tab.page.locator(".suggestion .cover.has-image").count() == 1
    assert tab.page.locator(".suggestion[data-id=s12] .cover").inner_text() == "S1"


def test_a_server_with_keys_asks_for_one(browser: Any, server: PageServer) -> None:
    tab = Tab(browser, server.url, DESKTOP, "light")
    error = {"code": "unauthorized", "message": "no API key was given", "hint": ""}

    def answer(route: Any) -> None:
        if route.request.headers.get("authorization") == "Bearer secret":
            route.continue_()
        else:
            route.fulfill(status=401, json={"error": error})

    tab.page.route("**/v1/**", answer)
    tab.page.goto(f"{server.url}/{START}")
    dialog = tab.page.get_by_role("dialog")
    dialog.get_by_label("API key").fill("a key that no header holds: ключ")
    dialog.get_by_role("button", name="Use this key").click()
    assert tab.page.evaluate("Object.values(sessionStorage)") == []
    for key in ("wrong", "secret"):
        dialog.get_by_label("API key").fill(key)
        dialog.get_by_role("button", name="Use this key").click()
    assert tab.ids[0] == "s11"
    assert tab.page.evaluate("Object.values(sessionStorage)") == ["secret"]
    assert tab.page.evaluate("JSON.stringify(localStorage)").count("secret") == 0
    assert "secret" not in tab.page.url
    assert "$SEGUE_KEY" in copied(tab, "Copy as curl")
    tab.close()


def test_hostile_titles_and_ids_are_text(tab: Tab) -> None:
    from page_world import item_id, title

    query = "&".join(f"items={part}" for part in ("%3Cb%3Eunknown%3C/b%3E", "s1", "s2"))
    tab.open(f"#/playground?{query}&k=8")
    assert item_id(3) in tab.ids
    shown = tab.page.locator(".suggestion-add").all_text_contents()
    assert {title(3), title(5)} <= set(shown)
    assert tab.page.locator(".page img[src=x], .page script, .page b").count() == 0
    for number in range(3, 8):
        row = tab.page.locator(".suggestion-add", has_text=title(number)[:12]).first
        if row.count():
            row.click()
            tab.settle()
    assert tab.overflow() <= 0
    heights = tab.page.locator(".suggestion-row").evaluate_all(
        "rows => rows.map((row) => row.getBoundingClientRect().height)"
    )
    assert max(heights) <= 96, "no title breaks its row"
    widths = tab.page.locator(".sequence-card").evaluate_all(
        "cards => cards.map((card) => card.getBoundingClientRect().right)"
    )
    assert max(widths) <= 320


def test_phone(browser: Any, server: PageServer) -> None:
    tab = Tab(browser, server.url, PHONE, "dark")
    tab.open(START)
    assert tab.ids[0] == "s11"
    assert tab.overflow() <= 0
    tab.page.locator(".suggestion-add").first.tap()
    assert len(tab.sequence) == 4
    tab.page.locator(".toolbar").get_by_role("button", name="Controls").tap()
    tab.page.get_by_label("Items in the list").fill("4")
    tab.page.get_by_label("Items in the list").press("Enter")
    tab.page.locator(".toolbar").get_by_role("button", name="Controls").tap()
    assert len(tab.ids) == 4
    tab.page.locator(".toolbar").get_by_role("button", name="Generate").tap()
    assert len(tab.ids) == 10
    assert tab.overflow() <= 0
    assert tab.complaints == []
    tab.close()


STATES = {
    "empty": "",
    "list": START,
    "continuation": f"{START}&mode=continuation&lock=2=s20",
    "comparison": f"{START}&compare=*&exclude=s11",
    "nothing": f"{START}&where=year+%3E%3D+3000",
    "unknown": "#/playground?items=s8&items=unknown",
    "no such model": "#/playground?model=nothing",
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_no_serious_violation(
    browser: Any, server: PageServer, scheme: str, size: tuple[int, int]
) -> None:
    tab = Tab(browser, server.url, size, scheme)
    problems = {}
    for name, address in STATES.items():
        tab.page.goto("about:blank")
        tab.page.goto(f"{server.url}/{address}")
        tab.page.wait_for_selector(".suggestion, .compare-row, .example, .state")
        tab.page.wait_for_timeout(300)
        problems[name] = tab.violations()
    tab.open(START)
    tab.page.locator(".because").first.click()
    tab.page.locator(".suggestion").nth(1).get_by_role("button", name="Never").click()
    problems["menu and why"] = tab.violations()
    tab.close()
    assert {name: texts for name, texts in problems.items() if texts} == {}


def test_the_server_goes_and_comes_back(browser: Any, server: PageServer) -> None:
    tab = Tab(browser, server.url, DESKTOP, "light")
    tab.open(START)
    before = tab.ids
    server.stop()
    tab.page.locator(".suggestion-add").first.click()
    tab.page.get_by_text("The server does not answer.").first.wait_for()
    assert len(tab.sequence) == 4, "what was built stays"
    server.start()
    tab.page.wait_for_selector("#banner[hidden]", state="attached")
    tab.wait_for_count(".state-error", 0)
    after = tab.ids
    assert after
    assert before[0] not in after
    assert all("Failed to load resource" in complaint for complaint in tab.complaints)
    tab.close()


def test_the_link_to_the_content_keeps_the_state(tab: Tab) -> None:
    tab.open(START)
    tab.settle()
    address = tab.page.url
    tab.page.keyboard.press("Tab")
    tab.page.keyboard.press("Enter")
    assert tab.page.evaluate("document.activeElement.id") == "view"
    assert tab.page.url == address


def test_the_way_back_is_the_view_before(tab: Tab) -> None:
    tab.open(START)
    ids = tab.ids
    tab.page.get_by_role("link", name="Model").click()
    tab.page.wait_for_selector(".page-model")
    assert "#/model?items=s8" in tab.page.url
    tab.page.go_back()
    tab.page.wait_for_selector(".page-playground .suggestion")
    assert tab.ids == ids
