"""The file of the index: written once, replaced where it does not fit, never a partial one."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from catalogues import titled

from mutations import FILE_EDITS
from segue.catalogue_search import CatalogueSearch, open_index, write_index
from segue.catalogue_search import catalogue as module
from segue.errors import StorageError
from segue.tokens import N_SPECIALS

ITEMS = titled("Yesterday", "Help")
EXPECTED = [N_SPECIALS]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "search.sqlite"
    write_index(path, ITEMS, "abc")
    return path


def search(file: Path, checksum: str = "abc") -> CatalogueSearch:
    """A new search, which must find the item."""
    catalogue = CatalogueSearch(ITEMS, file, checksum)
    assert catalogue.search("yesterdya").tolist() == EXPECTED
    return catalogue


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def edit(file: Path, *statements: str) -> None:
    with closing(sqlite3.connect(file)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def test_an_index_is_built_once(tmp_path: Path) -> None:
    file = tmp_path / "search.sqlite"
    search(file)
    content = file.stat().st_ino, file.read_bytes()
    search(file)
    assert (file.stat().st_ino, file.read_bytes()) == content
    assert names(tmp_path) == ["search.sqlite"]


def test_an_index_of_other_items_is_replaced(file: Path) -> None:
    assert open_index(file, ITEMS, "abc") is not None
    assert open_index(file, ITEMS, "def") is None
    assert open_index(file, titled("Yesterday"), "abc") is None
    search(file, "def")
    assert open_index(file, ITEMS, "def") is not None


@pytest.mark.parametrize("name", FILE_EDITS)
def test_a_damaged_file_is_replaced(file: Path, name: str) -> None:
    FILE_EDITS[name](file)
    note = search(file).note
    assert bool(note) == (name == "a folder")  # which is not removed
    if not note:
        assert open_index(file, ITEMS, "abc") is not None


DAMAGES: dict[str, tuple[str, ...]] = {
    "no words": ("DROP TABLE words",),
    "no items": ("DROP TABLE items",),
    "a view": ("ALTER TABLE meta RENAME TO m", "CREATE VIEW meta AS SELECT * FROM m"),
    "a trigger": ("CREATE TRIGGER t AFTER INSERT ON meta BEGIN SELECT 1; END",),
    "an unknown item": ("INSERT INTO items (rowid, c0) VALUES (99, 'yesterday')",),
    "a negative item": ("INSERT INTO items (rowid, c0) VALUES (-9, 'yesterday')",),
    "an id of text": ("INSERT INTO ids VALUES ('yesterdya', 'x')",),
    "no meta": ("DELETE FROM meta",),
    "two metas": ("INSERT INTO meta SELECT * FROM meta",),
    "meta null": ("UPDATE meta SET content = NULL",),
    "meta list": ("UPDATE meta SET content = '[1]'",),
    "meta keys": ("""UPDATE meta SET content = '{"format_version": 1}'""",),
    "meta version": ("UPDATE meta SET content = replace(content, ': 1,', ': 9,')",),
    "words not UTF-8": (
        "UPDATE words SET word = CAST(x'7965737461ff' AS TEXT) WHERE word = 'yesterday'",
    ),
    "full-text blocks": ("UPDATE items_data SET block = x'ffffffffffffffffffff'",),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_database_is_built_again(file: Path, name: str) -> None:
    edit(file, *DAMAGES[name])
    catalogue = CatalogueSearch(ITEMS, file, "abc")
    for text in ("yest", "yesterdya"):
        assert catalogue.search(text).tolist() == EXPECTED
    assert not catalogue.note


@pytest.mark.parametrize("seed", range(12))
def test_changed_bytes_end_in_an_answer(file: Path, seed: int) -> None:
    import numpy as np

    rng = np.random.default_rng(seed)
    content = bytearray(file.read_bytes())
    for position in rng.integers(0, len(content), 40):
        content[position] = rng.integers(256)
    file.write_bytes(content)
    indices = CatalogueSearch(ITEMS, file, "abc").search("yesterdya")
    assert set(indices.tolist()) <= {N_SPECIALS, N_SPECIALS + 1}


@pytest.mark.parametrize("cause", ["no folder", "a full disk"])
def test_where_no_file_can_be_written_the_index_is_temporary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cause: str
) -> None:
    file = tmp_path / "missing" / "search.sqlite"
    if cause == "a full disk":
        file = tmp_path / "search.sqlite"

        def fail(connection: sqlite3.Connection, *_: object) -> None:
            connection.execute("CREATE TABLE part (x)")
            connection.commit()
            monkeypatch.undo()
            raise sqlite3.OperationalError("database or disk is full")

        monkeypatch.setattr(module, "build_index", fail)
    note = search(file).note
    assert note.startswith(f"cannot write {file}: ")
    assert "temporary file" in note
    assert names(tmp_path) == []


def test_a_file_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot write") as caught:
        write_index(tmp_path / "missing" / "search.sqlite", ITEMS, "abc")
    assert caught.value.hint
    assert "\n" not in str(caught.value)


def test_several_threads_share_an_index(tmp_path: Path) -> None:
    catalogue = CatalogueSearch(ITEMS, tmp_path / "search.sqlite", "abc")
    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(lambda _: catalogue.search("yesterdya").tolist(), range(40)))
    assert results == [EXPECTED] * 40


def test_several_writers_leave_one_complete_file(tmp_path: Path) -> None:
    file = tmp_path / "search.sqlite"
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: search(file), range(8)))
    assert names(tmp_path) == ["search.sqlite"]
    assert open_index(file, ITEMS, "abc") is not None


@pytest.mark.parametrize("name", ["a b", "ü?x#y%20", "a'b"])
def test_folders_of_any_name(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    search(folder / "search.sqlite")
    assert open_index(folder / "search.sqlite", ITEMS, "abc") is not None
    assert names(tmp_path) == [name]


def test_an_open_index_outlives_its_file(file: Path) -> None:
    catalogue = search(file)
    remove: Callable[[Path], object] = shutil.rmtree
    remove(file.parent)
    assert catalogue.search("help").tolist() == [N_SPECIALS + 1]


def test_no_space_for_a_temporary_index_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr("segue.catalogue_search.catalogue.build_index", fail)
    with pytest.raises(StorageError, match=r"cannot write .*: database or disk is full"):
        CatalogueSearch(titled("Vertigo")).search("vertigo")
