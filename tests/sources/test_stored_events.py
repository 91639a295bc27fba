"""The format ``events``: an event store becomes a dataset as the server reads it."""

from __future__ import annotations

from pathlib import Path

import pytest

from segue.config import SourceConfig
from segue.errors import ConfigError, EventStoreError
from segue.event_store import Event, open_event_store
from segue.preparation import prepare
from segue.sources import open_log, open_source, stored_events

DAY_US = 86_400_000_000
START_US = 1_700_000_000_000_000


def write_store(path: Path) -> None:
    """Six users with five views each, out of order, and some events that count against items."""
    store = open_event_store(path, creates=True)
    events = [
        Event(f"{user}-{n}", f"u{user}", f"i{(user + n) % 8}", START_US + n * DAY_US, "view")
        for n in (3, 1, 4, 0, 2)
        for user in range(6)
    ]
    events += [
        Event("skip", "u1", "i1", START_US, "skip"),
        Event("only-dislikes", "u9", "i1", START_US, "dislike"),
    ]
    store.add(events)
    store.close()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a store."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'events.db'}"
    else:
        url = request.getfixturevalue("postgres").create_database()
    write_store(url)  # type: ignore[arg-type] - as ``open_event_store``
    return url


def test_a_store_becomes_a_dataset(log: str, tmp_path: Path) -> None:
    data = prepare(log, tmp_path / "dataset")
    assert data.manifest.source["format"] == "events"
    assert data.manifest.source["report"]["warnings"] == [
        "left out 2 events without a positive weight"
    ]
    assert sorted(data.sequences.ids.to_pylist()) == [f"u{user}" for user in range(6)]
    for row, user in enumerate(data.sequences.ids.to_pylist()):
        ids = [data.items.ids[index - 4] for index in data.sequences.row(row).tolist()]
        assert ids == [f"i{(int(user[1:]) + n) % 8}" for n in range(5)]
    assert data.sequences.times is not None
    assert data.sequences.times[:5].tolist() == [START_US + n * DAY_US for n in range(5)]
    assert "s3cret" not in (tmp_path / "dataset/manifest.json").read_text()


def test_the_same_store_gives_the_same_dataset_and_another_one_does_not(
    log: str, tmp_path: Path
) -> None:
    first = prepare(log, tmp_path / "a").manifest
    assert prepare(log, tmp_path / "b").manifest == first
    store = open_event_store(log)
    store.delete_user("u3")
    store.close()
    without = prepare(log, tmp_path / "c")
    assert "u3" not in without.sequences.ids.to_pylist()
    assert without.manifest.source["fingerprint"] != first.source["fingerprint"]


def test_blocks_do_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_store(tmp_path / "events.db")

    def read() -> tuple[list, dict]:
        source = open_source(tmp_path / "events.db", SourceConfig())  # recognised by its content
        rows = [row for chunk in source.chunks() for row in chunk.sequences.to_pylist()]
        assert (
            source.fingerprint()
            == open_source(tmp_path / "events.db", SourceConfig()).fingerprint()
        )
        return rows, source.fingerprint()

    whole = read()
    monkeypatch.setattr(stored_events, "BLOCK_EVENTS", 3)
    assert read() == whole
    assert len(whole[0]) == 6


def test_weights_decide_what_is_kept(log: str) -> None:
    weights = SourceConfig(event_weight=("view=0", "dislike=1"))
    with open_log(log, weights) as source:
        (chunk,) = source.chunks()
    (row,) = chunk.sequences.to_pylist()
    assert (row["sequence_id"], row["items"]) == ("u9", ["i1"])


def test_a_kind_without_a_weight(tmp_path: Path) -> None:
    store = open_event_store(tmp_path / "events.db", creates=True)
    store.add([Event("e", "u", "i", 0, "listen")])
    store.close()
    with pytest.raises(ConfigError, match="'listen' have no weight") as error:
        open_source(tmp_path / "events.db", SourceConfig())
    assert "--event-weight listen=1" in error.value.hint
    open_source(tmp_path / "events.db", SourceConfig(event_weight=("listen=1",)))


def test_options_of_other_formats(tmp_path: Path) -> None:
    write_store(tmp_path / "events.db")
    url = f"sqlite:///{tmp_path / 'events.db'}"
    for config in (SourceConfig(format="mpd"), SourceConfig(event_type=("view",))):
        with pytest.raises(ConfigError), open_log(url, config):
            pass
    with pytest.raises(ConfigError, match="--event-weight KIND=0"):
        open_source(tmp_path / "events.db", SourceConfig(event_type=("view",)))
    (tmp_path / "log.csv").write_text("user_id,item_id\nu,i\n")
    with pytest.raises(ConfigError, match="event_weight applies to event stores"):
        open_source(tmp_path / "log.csv", SourceConfig(event_weight=("view=1",)))


def test_a_missing_store_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(EventStoreError, match=r"nothing.db does not exist"),
        open_log(f"sqlite:///{tmp_path}/nothing.db", SourceConfig()),
    ):
        pass
    assert not list(tmp_path.iterdir())
