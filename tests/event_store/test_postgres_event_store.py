"""What is particular to the store in PostgreSQL: whose database it is, passwords, restarts."""

from __future__ import annotations

import pytest

from postgres_server import PASSWORD, PostgresServer, running_postgres
from segue.errors import EventStoreError
from segue.event_store import Event, EventStoreUnavailableError, open_event_store
from segue.event_store.store import EventCallError

EVENT = Event("e", "u", "i", 0, "view")


def execute(url: str, statement: str) -> None:
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)  # type: ignore[arg-type]


def test_a_url_that_cannot_be_read_does_not_show_its_password() -> None:
    for url in (
        f"postgresql://u:{PASSWORD}@host:port/x",
        f"postgresql://u:{PASSWORD}x%@h/d",
        f"postgres://u:pw{PASSWORD}@h/d?no_such_option=1",
    ):
        with pytest.raises(EventStoreError, match="cannot be read") as error:
            open_event_store(url)
        assert "s3cret" not in str(error.value)


def test_a_server_that_does_not_answer_is_named_without_the_password() -> None:
    with pytest.raises(EventStoreError, match="refused") as error:
        open_event_store("postgresql://me:s3cret@127.0.0.1:1/events")
    assert "postgresql://me@127.0.0.1:1/events" in str(error.value)
    assert "s3cret" not in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_a_wrong_password_and_a_missing_database(postgres: PostgresServer) -> None:
    wrong = postgres.url().replace("s3cret", "wr0ng")
    with pytest.raises(EventStoreError, match="password authentication failed") as error:
        open_event_store(wrong)
    assert "wr0ng" not in str(error.value)
    with pytest.raises(EventStoreError, match='database "nowhere" does not exist'):
        open_event_store(postgres.url("nowhere"))


@pytest.mark.slow
@pytest.mark.parametrize("creates", [True, False])
def test_the_database_of_another_program(postgres: PostgresServer, creates: bool) -> None:
    url = postgres.create_database()
    execute(url, "CREATE TABLE customers (id int)")
    with pytest.raises(EventStoreError, match="is the database of another program"):
        open_event_store(url, creates=creates)


@pytest.mark.slow
def test_an_empty_database_another_format_and_a_missing_table(postgres: PostgresServer) -> None:
    url = postgres.create_database()
    with pytest.raises(EventStoreError, match="has no event store"):
        open_event_store(url)
    open_event_store(url, creates=True).close()
    execute(url, "UPDATE segue_event_store SET format_version = 0")
    with pytest.raises(EventStoreError, match="has format 0, expected format 1"):
        open_event_store(url)
    execute(url, "UPDATE segue_event_store SET format_version = 1")
    execute(url, "DROP TABLE segue_events")
    with pytest.raises(EventStoreError, match="has no table of events"):
        open_event_store(url)


@pytest.mark.slow
def test_a_server_that_stops_and_starts_again() -> None:
    with running_postgres() as server:
        store = open_event_store(server.create_database(), creates=True)
        assert store.add([EVENT]) == ["stored"]
        server.stop()
        for _ in range(2):
            with pytest.raises(EventStoreUnavailableError) as error:
                store.add([EVENT._replace(event_id="f")])
            assert "s3cret" not in str(error.value)
        server.start()
        # Acknowledged events survived, and idle connections of before do not matter.
        assert store.add([EVENT, EVENT._replace(event_id="f")]) == ["already_stored", "stored"]
        store.close()


@pytest.mark.slow
def test_a_user_with_many_events_is_deleted_in_blocks(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("segue.event_store.postgres.DELETE_BLOCK", 2)
    store = open_event_store(postgres.create_database(), creates=True)
    store.add([EVENT._replace(event_id=f"e{n}") for n in range(5)])
    store.add([EVENT._replace(event_id="other", user_id="v")])
    assert store.delete_user("u") == 5
    assert store.delete_user("u") == 0
    assert [len(events) for events in store.latest(["u", "v"], 10)] == [0, 1]
    store.close()


@pytest.mark.slow
def test_users_are_read_by_two_statements_that_sort_nobody_s_events(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psycopg

    url = postgres.create_database()
    store = open_event_store(url, creates=True)
    store.add([EVENT._replace(event_id=f"e{n}", user_id=f"u{n % 400}") for n in range(8_000)])
    execute(url, "VACUUM ANALYZE segue_events")
    plans: list[str] = []
    execute_statement = psycopg.Connection.execute

    def explain(connection: psycopg.Connection, query: bytes, values: tuple) -> psycopg.Cursor:
        rows = execute_statement(connection, b"EXPLAIN " + query, values)
        plans.append("\n".join(line for (line,) in rows))
        return execute_statement(connection, query, values)

    monkeypatch.setattr(psycopg.Connection, "execute", explain)
    for n_users in (1, 60):
        users = [f"u{n}" for n in range(n_users)]
        assert [len(events) for events in store.latest(users, 1_000)] == [20] * n_users
        rejected = store.rejected_items(users, ["skip", "view"], ["like"], 1_000)
        assert rejected == [{"i"}] * n_users
    assert len(plans) == 4
    for plan in plans:
        assert "Seq Scan" not in plan
        assert "Sort Key: segue_events.time_us" not in plan
        assert "JIT" not in plan
    store.close()


@pytest.mark.slow
def test_a_store_of_an_earlier_version_gets_its_indexes(postgres: PostgresServer) -> None:
    import psycopg

    url = postgres.create_database()
    open_event_store(url, creates=True).close()
    execute(url, "DROP INDEX segue_events_of_kind, segue_events_of_item")
    open_event_store(url).close()  # one who only reads changes nothing
    query = "SELECT indexname FROM pg_indexes WHERE indexname LIKE 'segue_events_of_%' ORDER BY 1"
    with psycopg.connect(url, autocommit=True) as connection:
        assert connection.execute(query).fetchall() == [("segue_events_of_user",)]
        open_event_store(url, creates=True).close()
        names = [name for (name,) in connection.execute(query)]
    assert names == ["segue_events_of_item", "segue_events_of_kind", "segue_events_of_user"]


@pytest.mark.slow
def test_a_statement_that_takes_too_long_fails_alone(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psycopg

    monkeypatch.setattr("segue.event_store.postgres.STATEMENT_MS", 100)
    url = postgres.create_database()
    store = open_event_store(url, creates=True)
    store.add([EVENT])
    with psycopg.connect(url) as blocking:
        blocking.execute("SELECT * FROM segue_events FOR UPDATE")
        with pytest.raises(EventCallError, match="QueryCanceled"):
            store.delete_user("u")
        store.check()
    assert store.delete_user("u") == 1
    store.close()


@pytest.mark.slow
def test_a_database_that_is_not_in_utf8(postgres: PostgresServer) -> None:
    execute(postgres.url(), "CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0")
    with pytest.raises(EventStoreError, match="has the encoding LATIN1, expected UTF8") as error:
        open_event_store(postgres.url("latin"), creates=True)
    assert "s3cret" not in str(error.value)
