"""Covers of items: the images of a folder by item id, from a table that is built at the start."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from segue.errors import RequestError

CONTENT_TYPES = {
    ".avif": "image/avif",
    ".gif": "image/gif",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
}
MAX_BYTES = 5_000_000
"""Larger files are no covers."""


class Covers:
    """The covers of items. No id of a request becomes a path: it is looked up in a table."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        """Take the file of each item id."""
        self._files = dict(files)

    @classmethod
    def of_folder(cls, folder: Path) -> Covers:
        """The images in a folder, whose names without the ending are item ids.

        Raises:
            RequestError: the folder cannot be read.
        """
        try:
            with os.scandir(folder) as entries:
                paths = sorted(Path(entry.path) for entry in entries if entry.is_file())
        except OSError as error:
            message = f"cannot read the covers in {folder}: {error.strerror}"
            raise RequestError(message, "give a folder of images named by item id") from None
        return cls({path.stem: path for path in paths if path.suffix.lower() in CONTENT_TYPES})

    def __len__(self) -> int:
        """Number of covers."""
        return len(self._files)

    def find(self, item_id: str) -> tuple[bytes, str] | None:
        """The image of an item and its type; None if there is none, or not any more."""
        path = self._files.get(item_id)
        if path is None:
            return None
        try:
            content = path.read_bytes() if path.stat().st_size <= MAX_BYTES else b""
        except OSError:
            return None
        return (content, CONTENT_TYPES[path.suffix.lower()]) if content else None
