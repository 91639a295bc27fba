"""Takes the pictures of the page that `docs/page.md` shows, with a real Chromium.

    segue serve films=RUN other=RUN2 --data DATASET --port 8000
    python tools/take_pictures.py http://127.0.0.1:8000 docs/images

The addresses below are those of films of MovieLens. Needs playwright and Pillow, which are no
dependencies of the project. Look at each picture before you commit it.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image
from playwright.sync_api import sync_playwright

DESKTOP, TABLET, PHONE = (1440, 900), (1024, 768), (390, 844)
FILMS = "items=1&items=3114&items=318&items=356"
SPACE = "items=2571&items=1198&items=260"
REST_MS = 1_000


def why(page: Any) -> None:
    """Open the reasons of the first suggestion."""
    page.locator(".because").first.click()
    page.wait_for_selector(".why-members, .why-rows")


def first_person(page: Any) -> None:
    """Open the person at the top of the list."""
    page.locator(".people-row").first.click()
    page.wait_for_selector(".person-list")


class Picture(NamedTuple):
    """One picture: its file, the address after `#/`, what must be there, and how to take it."""

    name: str
    address: str
    selector: str
    size: tuple[int, int] = DESKTOP
    scheme: str = "light"
    prepare: Callable[[Any], None] | None = None
    scale: int = 1


LIST, COMPARE = f"playground?{FILMS}", f"playground?{SPACE}&popularity=-0.6&compare=*"
CONTINUATION = f"playground?{SPACE}&mode=continuation&lock=2=1196&temperature=0.7"
ROW, MAP = ".because:not([hidden])", f"map?{SPACE}"
PICTURES = [
    Picture("playground", LIST, ROW, prepare=why),
    Picture("compare", COMPARE, ".compare-row .move-gain"),
    Picture("people", "people", ".people-row", prepare=first_person),
    Picture("map", MAP, ".map-row"),
    Picture("model", "model", ".graph-box"),
    Picture("system", "system", ".big-number"),
    Picture("begin", "playground", ".example"),
    Picture("playground-dark", CONTINUATION, ".suggestion", scheme="dark"),
    Picture("phone", LIST, ROW, PHONE, "dark", scale=2),
    Picture("compare-phone", COMPARE, ".compare-row .move-gain", PHONE),
    Picture("nothing", f"playground?{FILMS}&where=year+%3E%3D+2030", ".state h3", TABLET),
    Picture("compare-dark", COMPARE, ".compare-row .move-gain", scheme="dark"),
    Picture("people-dark", "people?v.start=550", ".people-row", DESKTOP, "dark", first_person),
    Picture("people-phone", "people", ".people-row", PHONE, prepare=first_person),
    Picture("map-dark", f"{MAP}&v.item=1", ".map-row", scheme="dark"),
    Picture("map-phone", MAP, ".map-row", PHONE),
    Picture("model-dark", "model", ".graph-box", scheme="dark"),
    Picture("model-phone", "model", ".graph-box", PHONE),
    Picture("system-dark", "system", ".big-number", scheme="dark"),
    Picture("system-phone", "system", ".big-number", PHONE),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("url")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="*", help="names, such as map-dark; all if left out")
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    given = parser.parse_args()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=given.chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        for picture in PICTURES:
            if given.only is None or picture.name in given.only:
                content = taken(browser, given.url, picture)
                (given.folder / f"page-{picture.name}.png").write_bytes(small(content))
                print(picture.name)
        browser.close()


def taken(browser: Any, url: str, picture: Picture) -> bytes:
    """The picture as a PNG."""
    width, height = picture.size
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme=picture.scheme,
        device_scale_factor=picture.scale,
        has_touch=picture.size == PHONE,
        reduced_motion="reduce",
    )
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.goto(f"{url}/#/{picture.address}")
    page.wait_for_selector(picture.selector, state="attached")
    if picture.prepare is not None:
        picture.prepare(page)
    page.mouse.move(0, 0)
    page.wait_for_timeout(REST_MS)
    content = page.screenshot()
    context.close()
    return content


def small(content: bytes) -> bytes:
    """The same picture in 256 colours."""
    target = io.BytesIO()
    image = Image.open(io.BytesIO(content)).convert("RGB")
    image.quantize(256, dither=Image.Dither.NONE).save(target, "PNG", optimize=True)
    return target.getvalue()


if __name__ == "__main__":
    main()
