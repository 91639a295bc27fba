"""Journeys through People, Map, Model and System, in a real browser with a real server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from browser import DESKTOP, PHONE, Tab

if TYPE_CHECKING:
    from page_server import PageServer

pytestmark = pytest.mark.slow


def centre(tab: Tab) -> tuple[float, float]:
    """The middle of the part of the map that the panel leaves free."""
    box = tab.page.locator(".map-top").bounding_box()
    return box["x"] + (box["width"] + 336) / 2, box["y"] + box["height"] / 2


def open_map(tab: Tab, rest: str = "") -> None:
    tab.open(f"#/map{rest}")
    tab.page.locator(".map-row").first.wait_for()


def test_people(tab: Tab) -> None:
    tab.open("#/people")
    tab.page.locator(".people-row").first.wait_for()
    texts = tab.page.locator(".people-rank").all_inner_texts()
    ranks = [int(text.split()[-1]) for text in texts if text.startswith("worst rank")]
    assert len(ranks) > 10
    assert ranks == sorted(ranks, reverse=True)
    tab.page.get_by_label("Search people by id").fill("u12")
    tab.wait_for_count(".people-row", 1)
    tab.page.locator(".people-row").click()
    tab.wait_for_count(".person-list", 2)
    assert "v.person=u12" in tab.page.url
    assert tab.page.locator(".person h2").inner_text() == "u12"
    assert tab.page.locator(".person-list li").count() == 20
    tab.page.reload()
    tab.wait_for_count(".person-list", 2)
    tab.page.get_by_role("button", name="Open in the playground").click()
    tab.page.locator(".sequence-card").first.wait_for()


def test_an_answer_about_an_earlier_text_is_not_shown(tab: Tab) -> None:
    tab.open("#/people")
    tab.page.locator(".people-row").first.wait_for()
    is_earlier = "**/v1/people?*q=u1&*"
    tab.page.route(is_earlier, lambda route: None)  # which never answers
    field = tab.page.get_by_label("Search people by id")
    with tab.page.expect_request(is_earlier):
        field.fill("u1")
    with tab.page.expect_event("requestfailed", lambda request: "q=u1&" in request.url):
        field.fill("u12")
    tab.wait_for_count(".people-row", 1)
    assert tab.page.locator(".people-row .title").inner_text() == "u12"


def test_an_unknown_person_is_an_error_with_a_hint(browser: Any, server: PageServer) -> None:
    tab = Tab(browser, server.url, DESKTOP, "light")
    tab.open("#/people?v.person=%3Cscript%3E")
    tab.page.locator(".state-error").wait_for()
    tab.close()
    assert all("404" in complaint for complaint in tab.complaints), "the browser's own note"


def test_the_map_adds_what_is_clicked(tab: Tab) -> None:
    open_map(tab, "?v.item=s8")
    tab.page.get_by_role("heading", name="Song 8", exact=True).wait_for()
    tab.page.mouse.click(*centre(tab))
    tab.page.locator(".map-chip").wait_for()
    assert "items=s8" in tab.page.url
    tab.page.locator(".toast .link-button").click()
    tab.page.get_by_role("button", name="Add to the sequence").wait_for()
    assert "items=s8" not in tab.page.url
    assert tab.page.locator(".map-row").count() > 3


def test_the_map_by_keyboard(tab: Tab) -> None:
    open_map(tab, "?v.item=s20")
    tab.page.get_by_role("heading", name="Song 20", exact=True).wait_for()
    tab.page.locator(".map-top").focus()
    tab.page.keyboard.press("+")
    tab.page.keyboard.press("Enter")
    tab.page.locator(".map-chip").wait_for()
    assert "items=s20" in tab.page.url
    tab.page.keyboard.press("0")
    tab.page.keyboard.press("ArrowLeft")
    tab.page.get_by_role("button", name="Close").focus()
    tab.page.keyboard.press("Enter")
    tab.page.get_by_role("heading", name="In view").wait_for()


def test_the_map_finds_and_drags(tab: Tab) -> None:
    open_map(tab, "?items=s1&items=s2")
    tab.page.get_by_label("Find on the map").fill("song 25")
    tab.page.locator(".match", has_text="Song 25").first.wait_for()
    tab.page.keyboard.press("Enter")
    tab.page.get_by_role("heading", name="Song 25", exact=True).wait_for()
    x, y = centre(tab)
    tab.page.mouse.move(x, y)
    tab.page.mouse.down()
    tab.page.mouse.move(x + 120, y + 60, steps=4)
    tab.page.mouse.up()
    tab.page.mouse.wheel(0, -200)
    tab.page.get_by_role("button", name="Close").click()
    assert tab.page.url.count("items=") == 2, "a drag adds nothing"
    tab.page.locator(".map-group").first.click()
    assert tab.page.locator(".map-group").first.get_attribute("aria-pressed") == "true"


def test_the_model(tab: Tab) -> None:
    tab.open("#/model")
    tab.page.get_by_role("heading", name="Graph").wait_for()
    assert tab.page.locator(".model-card").inner_text().count(".") >= 5
    for heading in ("Results", "Training", "Data"):
        assert tab.page.get_by_role("heading", name=heading, exact=True).count() == 1
    assert tab.page.locator(".chart-line").count() >= 3
    assert tab.page.locator(".graph-box").count() > 5
    assert tab.page.locator(".chart-bar").count() > 2


def test_the_system(tab: Tab) -> None:
    tab.open("#/playground?items=s8")
    tab.settle()
    tab.page.get_by_role("link", name="System").click()
    tab.page.locator(".chart-bar").first.wait_for()
    tab.wait_for_count(".big-number", 4)
    tab.wait_for_count("figure.figure", 3)


VIEWS = {
    "people": ".people-row",
    "people?v.person=u7": ".person-list",
    "map?items=s13&items=s14&v.item=s15": ".map-chip, .map-panel .button-primary",
    "model": ".graph-box",
    "system": ".big-number",
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_serious_violation_and_nothing_beside_the_window(
    browser: Any, server: PageServer, scheme: str
) -> None:
    for size in (DESKTOP, PHONE):
        tab = Tab(browser, server.url, size, scheme)
        for address, selector in VIEWS.items():
            tab.open(f"#/{address}")
            tab.page.locator(selector).first.wait_for(state="attached")
            tab.page.wait_for_timeout(100)
            width = tab.page.evaluate("document.documentElement.scrollWidth")
            assert width <= size[0], f"{address} is {width} wide"
            assert tab.violations() == [], f"{address} {size} {scheme}"
        assert tab.complaints == []
        tab.close()


def not_yet(route: Any) -> None:
    """Refuse a call as a server does that is still computing."""
    error = {"code": "not_computed", "message": "it is being computed", "hint": ""}
    route.fulfill(status=404, headers={"retry-after": "1"}, json={"error": error})


def test_a_view_asks_again_by_itself(browser: Any, server: PageServer) -> None:
    tab = Tab(browser, server.url, DESKTOP, "light")
    refusals = iter(range(2))
    card = "**/v1/model/card*"

    def refuse_twice(route: Any) -> None:
        if next(refusals, None) is None:
            route.continue_()
        else:
            not_yet(route)

    tab.page.route(card, refuse_twice)
    tab.open("#/model")
    tab.page.get_by_text("It is being computed.").wait_for()
    assert tab.page.locator("progress").count() == 1
    assert tab.page.get_by_role("button", name="Try again").count() == 0
    assert tab.violations() == []
    tab.page.get_by_role("heading", name="Graph").wait_for()
    assert len([request for request in tab.requests if "/v1/model/card" in request]) == 3
    tab.close()


def test_a_view_that_was_left_asks_no_more(browser: Any, server: PageServer) -> None:
    tab = Tab(browser, server.url, DESKTOP, "light")
    tab.page.route("**/v1/people?*", not_yet)
    tab.open("#/people")
    tab.page.get_by_text("It is being computed.").wait_for()
    tab.page.get_by_role("link", name="Playground").click()
    tab.page.wait_for_selector(".page-playground .example")
    n_calls = len([request for request in tab.requests if "/v1/people" in request])
    tab.page.wait_for_timeout(1_500)  # longer than the server said
    assert len([request for request in tab.requests if "/v1/people" in request]) == n_calls
    tab.close()


def test_hostile_titles_are_text(tab: Tab) -> None:
    for number in (3, 4, 6, 7):
        from page_world import item_id, title

        open_map(tab)
        tab.page.get_by_label("Find on the map").fill(title(number)[:12].split("\t")[0])
        tab.page.locator(".match").first.wait_for()
        assert tab.page.locator("img[src=x], script:not([src])").count() == 0
        assert item_id(number)


def test_without_data_the_page_says_how_to_get_it(browser: Any, song_run: Path) -> None:
    from page_server import PageServer

    server = PageServer({"songs": song_run})
    server.start()
    try:
        tab = Tab(browser, server.url, PHONE, "dark")
        tab.open("#/people")
        tab.page.get_by_text("segue attach RUN DATASET", exact=True).wait_for()
        assert tab.violations() == []
        tab.close()
        assert tab.complaints == []
    finally:
        server.stop()
