"""The main journey, from the first search to a file, on several catalogues."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from browser import DESKTOP, Tab

if TYPE_CHECKING:
    from page_server import PageServer

pytestmark = pytest.mark.slow
WORLDS = ["songs", "built-in", pytest.param("ml-1m", marks=pytest.mark.real_data)]


@pytest.fixture(scope="module", params=WORLDS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PageServer]:
    """A server of one run."""
    from page_server import PageServer
    from page_world import train_built_in, train_movielens

    folder = tmp_path_factory.mktemp("world")
    if request.param == "songs":
        run: Path = request.getfixturevalue("song_run")
    elif request.param == "built-in":
        run = train_built_in(folder)
    else:
        run = train_movielens(request.getfixturevalue("segue_data") / request.param, folder)
    server = PageServer({"world": run})
    server.start()
    yield server
    server.stop()


def popular_title(server: PageServer) -> str:
    """The title of the first popular item that can be typed."""
    popular = httpx.get(f"{server.url}/v1/catalogue", trust_env=False).json()["popular"]
    titles = [item["title"] for item in popular]
    return next(title for title in titles if re.fullmatch(r"[A-Za-z0-9 ()]+", title))


def test_from_a_search_to_a_file(browser: Any, server: PageServer) -> None:
    tab = Tab(browser, server.url, DESKTOP, "light")
    title = popular_title(server)
    tab.open()
    tab.page.get_by_role("button", name="Surprise me").wait_for()
    tab.page.keyboard.press("/")
    tab.page.keyboard.type(title.lower())
    tab.page.keyboard.press("Enter")
    tab.wait_for_count(".sequence-card", 1)
    assert tab.sequence == [title]

    suggested = tab.ids
    assert len(set(suggested)) == 12
    tab.page.locator(".suggestion-add").first.click()
    listed = tab.ids
    assert len(tab.sequence) == 2
    assert suggested[0] not in listed

    tab.page.locator(".suggestion").first.get_by_role("button", name=re.compile("^Why")).click()
    tab.wait_for_count(".why-row", 2)
    tab.page.locator(".because").first.wait_for()

    tab.page.locator(".toolbar").get_by_role("button", name="Generate").click()
    tab.page.wait_for_selector(".segment[aria-pressed=true]:has-text('Continuation')")
    continuation = tab.ids
    assert len(set(continuation)) == 10
    assert suggested[0] not in continuation
    tab.page.get_by_role("button", name="Add all").click()
    tab.page.keyboard.press("s")
    before = tab.ids
    assert len(tab.sequence) == 12
    assert not set(before) & {suggested[0], *continuation}

    tab.page.get_by_label("year from").fill("3000")
    tab.page.get_by_label("year from").press("Enter")
    tab.page.get_by_text("No item is left").wait_for()
    tab.page.get_by_role("button", name="Drop “year from 3000”").click()
    tab.wait_for_count(".suggestion", 12)
    assert tab.ids == before

    tab.page.get_by_role("button", name="Export the list").click()
    with tab.page.expect_download() as download:
        tab.page.get_by_role("menuitem", name="CSV").click()
    text = Path(download.value.path()).read_text("utf-8")
    assert [row["item_id"] for row in csv.DictReader(io.StringIO(text))] == before
    assert tab.overflow() <= 0
    assert tab.complaints == []
    tab.close()
