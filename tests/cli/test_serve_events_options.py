"""Options of ``segue serve`` and ``segue prepare`` about events: bad starts, in one line each."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from commands import segue

from segue.cli.serve import parse_retention
from segue.errors import ConfigError


@pytest.fixture(autouse=True)
def no_settings_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEGUE_API_KEYS", raising=False)
    monkeypatch.delenv("SEGUE_EVENTS", raising=False)


@pytest.fixture
def other_database(tmp_path: Path) -> Path:
    """A database of another program."""
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE customers (id)")
    return path


def test_the_database_of_another_program(run: Path, other_database: Path) -> None:
    error = segue("serve", run, "--port", 0, "--events", other_database).error
    assert "other.db is the database of another program" in error


def test_the_variable_stands_for_the_option(
    run: Path, other_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEGUE_EVENTS", str(other_database))
    assert "is the database of another program" in segue("serve", run, "--port", 0).error


def test_a_database_that_does_not_answer_without_its_password(run: Path, tmp_path: Path) -> None:
    url = "postgresql://me:s3cret@127.0.0.1:1/events"
    for command in (("serve", run, "--port", 0, "--events"), ("prepare", "-o", tmp_path / "data")):
        error = segue(*command, url).error
        assert "cannot open the event store postgresql://me@127.0.0.1:1/events" in error
        assert "s3cret" not in error


def test_options_without_a_store_and_wrong_ones(run: Path, tmp_path: Path) -> None:
    serve = ("serve", run, "--port", 0)
    assert "--event-weight needs a store" in segue(*serve, "--event-weight", "skip=0").error
    assert "--events-retention needs a store" in segue(*serve, "--events-retention", "9d").error
    with_store = (*serve, "--events", tmp_path / "events.db")
    assert "'skip' is not of the form" in segue(*with_store, "--event-weight", "skip").error
    assert "'soon'" in segue(*with_store, "--events-retention", "soon").error
    assert "a URL of 'mysql'" in segue(*serve, "--events", "mysql://x/y").error
    assert not (tmp_path / "events.db").exists()


def test_retention() -> None:
    assert parse_retention(None) is None
    assert parse_retention("90d") == 90 * 86_400
    for wrong in ("0d", "-1d", "90", "", "1e9d", "9" * 400 + "d"):
        with pytest.raises(ConfigError, match="--events-retention"):
            parse_retention(wrong)


def test_prepare_a_store_by_path_and_url(tmp_path: Path) -> None:
    from segue.event_store import Event, open_event_store

    file = tmp_path / "events.db"
    store = open_event_store(file, creates=True)
    store.add([Event(f"{u}-{n}", f"u{u}", f"i{n}", n, "view") for u in range(5) for n in range(5)])
    store.close()
    for number, log in enumerate([file, f"sqlite:///{file}"]):
        printed = segue("prepare", log, "-o", tmp_path / f"data{number}", "--json").json
        assert printed["source"]["format"] == "events", printed
    nothing = segue("prepare", "sqlite:///nothing.db", "-o", tmp_path / "x").error
    assert "the event store nothing.db does not exist" in nothing
