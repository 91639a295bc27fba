"""Names of columns as words, by the page's own module in Node.js."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from segue.server.page_files import FOLDER

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")
SCRIPT = """
const { labelOf, singular } = await import(process.argv[1]);
const columns = JSON.parse(process.argv[2]);
process.stdout.write(JSON.stringify(columns.map((name) => [labelOf(name), singular(name)])));
"""
WORDS = {
    "genres": ("Genres", "genre"),
    "release_year": ("Release year", "release year"),
    "releaseYear": ("Release year", "release year"),
    "Artist": ("Artist", "artist"),
    "sub-categories": ("Sub categories", "sub category"),
    "movies": ("Movies", "movie"),
    "classes": ("Classes", "class"),
    "boxes": ("Boxes", "box"),
    "series": ("Series", "series"),
    "status": ("Status", "status"),
    "analysis": ("Analysis", "analysis"),
    "class": ("Class", "class"),
    "BPM": ("BPM", "BPM"),
    "שפות": ("שפות", "שפות"),
    "s": ("S", "s"),
    "": ("", ""),
}


def test_columns_are_shown_as_words() -> None:
    module = (FOLDER / "js/format.js").as_uri()
    command = ["node", "--input-type=module", "-e", SCRIPT, module, json.dumps(list(WORDS))]
    output = subprocess.run(command, capture_output=True, check=True).stdout
    shown = dict(zip(WORDS, map(tuple, json.loads(output)), strict=True))
    assert shown == WORDS
