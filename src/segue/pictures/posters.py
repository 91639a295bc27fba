"""Posters: images of items in a folder of the user's, named by item id."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from segue.errors import RequestError

ENDINGS = (".jpg", ".jpeg", ".png", ".webp")
NAMED_AT_MOST = 3
"""Broken files that a note names."""

Poster = UInt8[np.ndarray, "height width channels"]


class Posters:
    """The images of a folder, ``ITEM_ID.jpg``, ``.png`` or ``.webp``; none without a folder."""

    def __init__(self, folder: str | Path | None) -> None:
        """Look at the folder.

        Raises:
            RequestError: there is no such folder.
        """
        self._folder = None if folder is None else Path(folder)
        if self._folder is not None and not self._folder.is_dir():
            what = "is not a folder" if self._folder.exists() else "does not exist"
            hint = "give a folder of images named by item id, such as 1193.jpg"
            raise RequestError(f"the folder of posters {self._folder} {what}", hint)

    def read(
        self, item_ids: Iterable[str], width: int, height: int
    ) -> tuple[dict[str, Poster], list[str]]:
        """The posters of some items, each no larger than so many pixels.

        Returns:
            Red, green, blue and opacity by item id, for items whose image is there and can be
            read; and notes on the others.
        """
        found: dict[str, Poster] = {}
        broken: list[Path] = []
        wanted = list(dict.fromkeys(item_ids))
        files = {item_id: file for item_id in wanted if (file := self._file(item_id))}
        for item_id, file in files.items():
            image = _read(file, width, height)
            if image is None:
                broken.append(file)
            else:
                found[item_id] = image
        return found, self._notes(len(wanted), len(files), broken)

    def _file(self, item_id: str) -> Path | None:
        # An id with a slash in it is no file's name, and must not lead out of the folder.
        if self._folder is None or Path(item_id).name != item_id:
            return None
        endings = (case for ending in ENDINGS for case in (ending, ending.upper()))
        files = (self._folder / (item_id + ending) for ending in endings)
        return next((file for file in files if _is_file(file)), None)

    def _notes(self, n_wanted: int, n_files: int, broken: list[Path]) -> list[str]:
        notes = []
        if self._folder is not None and n_files < n_wanted:
            without = n_wanted - n_files
            notes.append(f"{without} of {n_wanted} items have no poster in {self._folder}")
        if broken:
            names = ", ".join(file.name for file in broken[:NAMED_AT_MOST])
            more = ", ..." if len(broken) > NAMED_AT_MOST else ""
            notes.append(f"{len(broken)} of {n_files} posters could not be read: {names}{more}")
        return notes


def _is_file(file: Path) -> bool:
    try:
        return file.is_file()
    except (OSError, ValueError):  # the name is too long, or holds a null
        return False


def _read(file: Path, width: int, height: int) -> Poster | None:
    """An image made to fit; None if it is broken, or too large to be a poster."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # an image of very many pixels, metadata gone wrong
            with Image.open(file) as image:
                image.draft("RGB", (width, height))
                whole = ImageOps.exif_transpose(image).convert("RGBA")
                return np.asarray(ImageOps.contain(whole, (width, height)))
    except Exception:  # noqa: BLE001 - decoders trip in as many ways as files can be broken
        return None
