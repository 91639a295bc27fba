"""The files of the page: read once, with their types, tags and compressed forms."""

from __future__ import annotations

import gzip
import hashlib
from functools import cache
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent / "page"
CONTENT_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
INDEX = "index.html"


class PageFile(NamedTuple):
    """A file of the page.

    Attributes:
        content: its bytes.
        compressed: the same with gzip.
        content_type: the value of the header.
        tag: the value of the header ``ETag``, a hash of the content.
    """

    content: bytes
    compressed: bytes
    content_type: str
    tag: str


@cache
def page_files() -> dict[str, PageFile]:
    """Every file of the page by its path below the folder, with slashes."""
    return read_page_files(FOLDER)


def read_page_files(folder: Path) -> dict[str, PageFile]:
    """The files of a folder whose types belong to a page."""
    return {
        path.relative_to(folder).as_posix(): _read(path)
        for path in sorted(folder.rglob("*"))
        if path.suffix in CONTENT_TYPES
    }


def _read(path: Path) -> PageFile:
    content = path.read_bytes()
    tag = f'"{hashlib.sha256(content).hexdigest()[:20]}"'
    compressed = gzip.compress(content, 9, mtime=0)
    return PageFile(content, compressed, CONTENT_TYPES[path.suffix], tag)
