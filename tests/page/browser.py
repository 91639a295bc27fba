"""A real Chromium for the tests of the page, if there is one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = Path("/usr/bin/chromium")
AXE = Path(__file__).parents[2] / "node_modules/axe-core/axe.min.js"
DESKTOP, PHONE = (1440, 900), (390, 844)
SERIOUS = {"serious", "critical"}
END_OF_ANIMATIONS = """Promise.allSettled(
  document.getAnimations()
    .filter((one) => one.effect.getComputedTiming().endTime < Infinity)
    .map((one) => one.finished)
).then(() => null)"""


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser; skips the test where playwright or Chromium is missing."""
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    if not CHROMIUM.exists():
        pytest.skip(f"needs {CHROMIUM}")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


class Tab:
    """A page of the browser, with all that it complains about.

    Attributes:
        page: the page of playwright.
        complaints: errors and warnings of its console, and exceptions.
        requests: method and path of each request, with the host if it is another one.
    """

    def __init__(self, browser: Any, url: str, size: tuple[int, int], scheme: str) -> None:
        width, height = size
        self.context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            has_touch=width < 500,
            reduced_motion="reduce",
            permissions=["clipboard-read", "clipboard-write"],
            accept_downloads=True,
        )
        self.page = self.context.new_page()
        self.page.set_default_timeout(20_000)
        self.url = url
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", self._count)

    def _note(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text}")

    def _count(self, request: Any) -> None:
        self.requests.append(f"{request.method} {request.url.removeprefix(self.url)}")

    def open(self, address: str = "") -> None:
        """Go to an address of the page, such as ``#/playground?items=1``."""
        self.page.goto("about:blank")
        self.page.goto(f"{self.url}/{address}")
        self.page.wait_for_selector(".page")

    @property
    def ids(self) -> list[str]:
        """The item ids of the list, once it is not loading."""
        self.settle()
        rows = self.page.locator(".suggestion")
        return rows.evaluate_all("rows => rows.map((row) => row.dataset.id)")

    @property
    def sequence(self) -> list[str]:
        """The titles of the sequence."""
        return self.page.locator(".sequence-card .title").all_text_contents()

    def settle(self) -> None:
        """Wait until the list has arrived."""
        self.page.wait_for_timeout(60)  # the list is asked for 30 ms after a change
        self.page.wait_for_selector(".list[aria-busy=false]")

    def wait_for_count(self, selector: str, count: int) -> None:
        """Wait until there are so many elements."""
        from playwright.sync_api import expect

        expect(self.page.locator(selector)).to_have_count(count, timeout=20_000)

    def clipboard(self) -> str:
        return self.page.evaluate("navigator.clipboard.readText()")

    def violations(self) -> list[str]:
        """What axe-core finds serious."""
        if not AXE.exists():
            pytest.skip("needs axe-core: npm ci")
        if not self.page.evaluate("'axe' in window"):
            # Not a script of the page: the policy of the page stays as it is.
            self.page.evaluate(AXE.read_text("utf-8"))
        self.page.evaluate(END_OF_ANIMATIONS)  # what fades is pale only for a moment
        result = self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{violation['id']}: {node['html'][:120]} {node['failureSummary']}"
            for violation in result["violations"]
            if violation["impact"] in SERIOUS
            for node in violation["nodes"]
        ]

    def overflow(self) -> int:
        """By how many pixels the document is wider than the window."""
        return self.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )

    def close(self) -> None:
        self.context.close()
