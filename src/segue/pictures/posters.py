"""Posters: item images from a folder, in files named by item id."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from segue.errors import RequestError

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
MAX_NAMED = 3
"""Maximum number of unreadable files that a note names."""

Poster = UInt8[np.ndarray, "height width channels"]
"""An image with the channels red, green, blue and opacity, from 0 to 255."""


class Posters:
    """The images of a folder: ``ITEM_ID.jpg``, ``.png`` or ``.webp``. Empty without a folder."""

    def __init__(self, folder: str | os.PathLike[str] | None) -> None:
        """Check that the folder exists.

        Raises:
            RequestError: there is no such folder.
        """
        self._folder = None if folder is None else Path(folder)
        if self._folder is not None and not self._folder.is_dir():
            problem = "is not a folder" if self._folder.exists() else "does not exist"
            hint = "give a folder of images named by item id, such as 1193.jpg"
            raise RequestError(f"the folder of posters {self._folder} {problem}", hint)

    def read(
        self, item_ids: Iterable[str], width: int, height: int
    ) -> tuple[dict[str, Poster], list[str]]:
        """Read the posters of some items, scaled down to fit.

        Args:
            item_ids: the items.
            width: maximum width in pixels.
            height: maximum height in pixels.

        Returns:
            Posters by item id, for items with an image that can be read; and notes on the other
            items.
        """
        posters: dict[str, Poster] = {}
        unreadable: list[Path] = []
        distinct_ids = list(dict.fromkeys(item_ids))
        files = {item_id: file for item_id in distinct_ids if (file := self._file(item_id))}
        for item_id, file in files.items():
            image = _read(file, width, height)
            if image is None:
                unreadable.append(file)
            else:
                posters[item_id] = image
        return posters, self._notes(len(distinct_ids), len(files), unreadable)

    def _file(self, item_id: str) -> Path | None:
        # An id with a slash is not a file name, and must not lead out of the folder.
        if self._folder is None or Path(item_id).name != item_id:
            return None
        suffixes = (case for suffix in SUFFIXES for case in (suffix, suffix.upper()))
        files = (self._folder / (item_id + suffix) for suffix in suffixes)
        return next((file for file in files if _is_file(file)), None)

    def _notes(self, n_items: int, n_files: int, unreadable: list[Path]) -> list[str]:
        notes = []
        if self._folder is not None and n_files < n_items:
            n_missing = n_items - n_files
            notes.append(f"{n_missing} of {n_items} items have no poster in {self._folder}")
        if unreadable:
            names = ", ".join(file.name for file in unreadable[:MAX_NAMED])
            more = ", ..." if len(unreadable) > MAX_NAMED else ""
            notes.append(f"{len(unreadable)} of {n_files} posters could not be read: {names}{more}")
        return notes


def _is_file(file: Path) -> bool:
    try:
        return file.is_file()
    except (OSError, ValueError):  # the name is too long, or contains a null character
        return False


def _read(file: Path, width: int, height: int) -> Poster | None:
    """An image scaled to fit; None if it is damaged, or has too many pixels for Pillow."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # too many pixels, or invalid metadata
            with Image.open(file) as image:
                image.draft("RGB", (width, height))
                upright = ImageOps.exif_transpose(image).convert("RGBA")
                return np.asarray(ImageOps.contain(upright, (width, height)))
    except Exception:  # noqa: BLE001 - decoders raise many kinds of errors for damaged files
        return None
