"""What is particular to the store in SQLite: whose file it is, who may read it, what is left."""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from segue.errors import ConfigError, EventStoreError
from segue.event_store import Event, EventStoreUnavailableError, is_store_url, open_event_store
from segue.event_store.sqlite import is_sqlite

EVENT = Event("e", "u", "i", 0, "view")


def execute(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def new_store(path: Path) -> Path:
    store = open_event_store(path, creates=True)
    store.add([EVENT])
    store.close()
    return path


def test_forms_of_the_location(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for location in ("a.db", "sqlite:///b.db", f"sqlite:///{tmp_path}/c.db", tmp_path / "d.db"):
        open_event_store(location, creates=True).close()
    assert sorted(path.name for path in tmp_path.glob("*.db")) == ["a.db", "b.db", "c.db", "d.db"]
    with pytest.raises(ConfigError, match="URL of 'mysql'"):
        open_event_store("mysql://host/events")
    with pytest.raises(EventStoreError, match="a path is empty"):
        open_event_store("")
    for odd in (
        "sqlite:x.db",
        "file:x.db",
        "postgresql:x",
        "host=h password=s3cret",
        " password = s3cret",
    ):
        with pytest.raises(ConfigError, match="given by a path or URL") as error:
            open_event_store(odd, creates=True)
        assert "s3cret" not in str(error.value)
    assert len(list(tmp_path.iterdir())) == 4
    assert is_store_url("sqlite:///a.db")
    assert not is_store_url("a.db")


def test_the_file_is_for_its_owner_and_synchronised(tmp_path: Path) -> None:
    path = new_store(tmp_path / "events.db")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    store = open_event_store(path)
    settings = {}
    for name in ("synchronous", "secure_delete"):
        settings[name] = store._connections.run(  # type: ignore[attr-defined]
            lambda connection, name=name: connection.execute(f"PRAGMA {name}").fetchone()[0]
        )
    assert settings == {"synchronous": 2, "secure_delete": 1}
    store.close()


def test_a_store_of_an_earlier_version_gets_its_indexes(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    open_event_store(path, creates=True).close()
    execute(path, "DROP INDEX events_of_kind", "DROP INDEX events_of_item")
    open_event_store(path).close()  # one who only reads changes nothing
    query = "SELECT name FROM sqlite_schema WHERE name LIKE 'events_of_%' ORDER BY name"
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute(query).fetchall() == [("events_of_user",)]
        open_event_store(path, creates=True).close()
        names = [name for (name,) in connection.execute(query)]
    assert names == ["events_of_item", "events_of_kind", "events_of_user"]


@pytest.mark.parametrize("creates", [True, False])
def test_the_database_of_another_program(tmp_path: Path, creates: bool) -> None:
    for name, statement in [
        ("tables.db", "CREATE TABLE events (id)"),
        ("mark.db", "PRAGMA application_id = 7"),
    ]:
        path = tmp_path / name
        execute(path, statement, "PRAGMA user_version = 1")
        content = path.read_bytes()
        with pytest.raises(EventStoreError, match="is the database of another program"):
            open_event_store(path, creates=creates)
        assert path.read_bytes() == content


def test_what_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("user_id,item_id\n" * 100)
    os.mkfifo(tmp_path / "pipe")
    for name, message in [
        ("text", "is not a database of SQLite"),
        ("pipe", "is a pipe, expected a file"),
        ("", "is a folder, expected a file"),
        ("no/events.db", "is in a folder that does not exist"),
    ]:
        with pytest.raises(EventStoreError, match=message):
            open_event_store(tmp_path / name, creates=True)
        assert not is_sqlite(tmp_path / name)


def test_an_empty_file_becomes_a_store_only_where_one_is_created(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    path.touch()
    with pytest.raises(EventStoreError, match="is not a database of SQLite"):
        open_event_store(path)
    assert is_sqlite(new_store(path))


def test_another_format_and_a_missing_table(tmp_path: Path) -> None:
    older = new_store(tmp_path / "older.db")
    execute(older, "PRAGMA user_version = 0")
    with pytest.raises(EventStoreError, match="has format 0, expected 1"):
        open_event_store(older)
    damaged = new_store(tmp_path / "damaged.db")
    execute(damaged, "DROP TABLE events")
    with pytest.raises(EventStoreError, match="has no table of events"):
        open_event_store(damaged)


def test_a_damaged_file_is_an_error_in_one_line(tmp_path: Path) -> None:
    path = new_store(tmp_path / "events.db")
    content = path.read_bytes()
    path.write_bytes(content[:100] + b"\xff" * (len(content) - 100))
    with pytest.raises(EventStoreError) as error:
        open_event_store(path)
    assert "\n" not in str(error.value)


def test_erasing_waits_for_no_reader_and_is_done_after_it(tmp_path: Path) -> None:
    store = open_event_store(tmp_path / "events.db", creates=True)
    store.add([EVENT._replace(event_id=f"e{n}", user_id="secret-user") for n in range(200)])
    assert store.erase()
    blocks = store.blocks(10)
    next(blocks)
    store.delete_user("secret-user")
    with closing(sqlite3.connect(tmp_path / "events.db")) as writer:
        writer.execute("BEGIN IMMEDIATE")  # erasing does not even wait for this
        assert not store.erase()
        writer.execute("ROLLBACK")
    assert store.add([EVENT]) == ["stored"]
    blocks.close()  # type: ignore[attr-defined]
    assert store.erase()
    assert (tmp_path / "events.db-wal").read_bytes() == b""
    assert b"secret-user" not in (tmp_path / "events.db").read_bytes()
    store.close()


def test_a_replaced_file_acknowledges_nothing(tmp_path: Path) -> None:
    store = open_event_store(tmp_path / "events.db", creates=True)
    assert store.add([EVENT]) == ["stored"]
    for name in ("events.db", "events.db-wal", "events.db-shm"):
        (tmp_path / name).rename(tmp_path / f"away-{name}")
    with pytest.raises(EventStoreUnavailableError, match="moved, removed or replaced"):
        store.add([EVENT])
    new_store(tmp_path / "events.db")
    with pytest.raises(EventStoreUnavailableError, match="moved, removed or replaced"):
        store.add([EVENT])
    for name in ("events.db", "events.db-wal", "events.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
        (tmp_path / f"away-{name}").rename(tmp_path / name)
    assert store.add([EVENT]) == ["already_stored"]
    store.close()


def test_a_table_that_disappears_is_unavailable(tmp_path: Path) -> None:
    path = new_store(tmp_path / "events.db")
    store = open_event_store(path)
    execute(path, "DROP TABLE events")
    with pytest.raises(EventStoreUnavailableError, match="the database failed: OperationalError"):
        store.add([EVENT])
    store.close()
