"""The built-in world as a source: chunks, order, names and the fingerprint."""

from __future__ import annotations

import pyarrow as pa
import pytest

from segue.config import DemoConfig, SourceConfig
from segue.sources import demo, open_source
from segue.sources.demo import DemoSource
from segue.sources.schema import ITEM_COLUMNS, ITEM_IDS, Chunk
from segue.synthetic.generative_model import WORLD_VERSION

SMALL = DemoConfig(sequences=600, items=400, mean_length=12, seed=3)


def source_of(config: DemoConfig = SMALL) -> DemoSource:
    return DemoSource(SourceConfig(demo=config))


def playlists_of(chunks: list[Chunk]) -> dict[str, list[str]]:
    batches = [chunk.sequences for chunk in chunks]
    return {row["sequence_id"]: row["items"] for batch in batches for row in batch.to_pylist()}


def items_of(chunks: list[Chunk]) -> dict[str, dict]:
    return {row["item_id"]: row for chunk in chunks for row in chunk.items.to_pylist()}


@pytest.fixture(scope="module")
def chunks() -> list[Chunk]:
    return list(source_of().chunks())


def test_every_playlist_comes_once_and_in_order(chunks: list[Chunk]) -> None:
    ids = list(playlists_of(chunks))
    assert ids == [f"playlist-{number:07d}" for number in range(SMALL.sequences)]


def test_every_track_is_described_once_before_its_first_event(chunks: list[Chunk]) -> None:
    described: list[str] = []
    for chunk in chunks:
        described += chunk.items["item_id"].to_pylist()
        item_ids = chunk.sequences["items"].values.to_numpy(zero_copy_only=False)
        assert set(item_ids) <= set(described)
    assert described == [f"track-{number:07d}" for number in range(SMALL.items)]


def test_columns_are_those_of_the_schema(chunks: list[Chunk]) -> None:
    for chunk in chunks:
        assert chunk.sequences.schema.names == ["sequence_id", "items", "name"]
        assert chunk.sequences.schema.field("items").type == pa.large_list(ITEM_IDS)
        for name in chunk.items.schema.names:
            assert chunk.items.schema.field(name).type == ITEM_COLUMNS[name]
        chunk.sequences.validate(full=True)
        chunk.items.validate(full=True)


def test_a_dictionary_contains_only_items_that_occur(chunks: list[Chunk]) -> None:
    events = chunks[-1].sequences["items"].values
    assert isinstance(events, pa.DictionaryArray)
    assert len(events.dictionary) == len(events.unique())


def test_the_same_options_give_the_same_chunks(chunks: list[Chunk]) -> None:
    for first, second in zip(chunks, source_of().chunks(), strict=True):
        assert first.sequences.equals(second.sequences)
        assert first.items.equals(second.items)


def test_another_seed_gives_other_playlists(chunks: list[Chunk]) -> None:
    reseeded = source_of(SMALL.model_copy(update={"seed": 4}))
    assert playlists_of(chunks) != playlists_of(list(reseeded.chunks()))


def test_more_playlists_extend_the_same_full_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "PLAYLISTS_PER_BLOCK", 50)
    few = playlists_of(list(source_of(SMALL.model_copy(update={"sequences": 100})).chunks()))
    more = playlists_of(list(source_of(SMALL.model_copy(update={"sequences": 170})).chunks()))
    assert len(few) == 100
    assert len(more) == 170
    assert more | few == more


def test_the_fingerprint_is_the_version_of_the_world_and_its_options() -> None:
    assert source_of().fingerprint() == {
        "format": "demo",
        "laws": WORLD_VERSION,
        "options": {"sequences": 600, "items": 400, "mean_length": 12, "seed": 3},
    }


def test_no_path_opens_the_built_in_world() -> None:
    source = open_source(None, SourceConfig())
    assert isinstance(source, DemoSource)
    assert source.format == "demo"
    assert not source.sequences_are_users


def test_seasonal_playlists_have_seasonal_names(chunks: list[Chunk]) -> None:
    names = {"Christmas", "xmas party", "winter holidays", "snow day", "Advent", "noel"}
    genres = {item: row["genres"] for item, row in items_of(chunks).items()}
    for chunk in chunks:
        for row in chunk.sequences.to_pylist():
            seasonal = any(genres[item] == ["christmas"] for item in row["items"])
            assert (row["name"] in names) == seasonal
