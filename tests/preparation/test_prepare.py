"""``prepare``: from a log to a dataset, end to end."""

from __future__ import annotations

import contextlib
import resource
import sys

import numpy as np
import pytest

from segue.config import PrepareConfig
from segue.dataset import Dataset
from segue.dataset.manifest import ITEMS, MANIFEST, SEQUENCES
from segue.errors import DatasetError, SourceError, StorageError
from segue.preparation.pipeline import prepare_source
from segue.sources.schema import VECTOR
from segue.tokens import N_SPECIALS
from small_logs import InMemorySource, prepare_config

WORLD = {
    "ann": [("a", 0, 5.0), ("b", 10, 4.0), ("c", 20, 1.0), ("b", 30, 3.0)],
    "bob": [("b", 5, 2.0), ("a", 15, 5.0), ("d", 500, 4.0)],
    "cid": [("b", 1, 3.0), ("b", 2, 3.0), ("e", 3, 3.0), ("a", 900, 5.0), ("b", 901, 5.0)],
    "dot": [("e", 7, 5.0), ("f", 8, 1.0)],
}
MOVIES = [{"item_id": i, "title": i.upper(), "blank": None} for i in "abcxf"]


def prepared(
    tmp_path, log=WORLD, items=(), name="data", source=InMemorySource, **chosen
) -> Dataset:
    return prepare_source(source(log, items), tmp_path / name, prepare_config(**chosen))


def sequences_by_id(dataset: Dataset) -> dict[str, list[str]]:
    sequences, ids = dataset.sequences, dataset.items.ids
    return {
        name: [ids[item - N_SPECIALS] for item in sequences.row(row)]
        for row, name in enumerate(sequences.ids.to_pylist())
    }


def test_sequences_come_out_as_they_went_in(tmp_path, event_block_size):
    dataset = prepared(tmp_path)
    expected = {user: [event[0] for event in events] for user, events in WORLD.items()}
    assert sequences_by_id(dataset) == expected
    sequences = dataset.sequences
    flat = [event for events in WORLD.values() for event in events]
    assert sequences.times is not None
    assert sequences.ratings is not None
    assert (sequences.times // 1_000_000).tolist() == [time for _, time, _ in flat]
    assert sequences.ratings.tolist() == [rating for _, _, rating in flat]


@pytest.mark.parametrize("chunk_rows", [1, 3, 10])
def test_the_size_of_chunks_does_not_matter(tmp_path, chunk_rows):
    expected = prepared(tmp_path, items=MOVIES, name="expected")
    source = InMemorySource(WORLD, MOVIES, chunk_rows=chunk_rows)
    chunked = prepare_source(source, tmp_path / "chunked", prepare_config())
    assert chunked.manifest == expected.manifest
    assert (chunked.path / SEQUENCES).read_bytes() == (expected.path / SEQUENCES).read_bytes()


@pytest.mark.parametrize("kind", ["holdout", "leave-one-out", "global-time", "windows"])
def test_the_same_log_and_options_give_the_same_bytes(tmp_path, kind):
    log = {f"u{i}": [("abcdef"[(i * j) % 6], i + j) for j in range(9)] for i in range(30)}
    one, two = (prepared(tmp_path, log, MOVIES, name, kind=kind) for name in ("one", "two"))
    for name in (MANIFEST, ITEMS, SEQUENCES):
        assert (one.path / name).read_bytes() == (two.path / name).read_bytes()


@pytest.mark.parametrize("n_items", [1, 2, 4])
def test_items_written_in_blocks_are_those_written_at_once(tmp_path, monkeypatch, n_items):
    expected = prepared(tmp_path, items=MOVIES, name="expected", catalogue="all")
    monkeypatch.setattr(sys.modules["segue.preparation.pipeline"], "ITEMS_PER_BLOCK", n_items)
    blocks = prepared(tmp_path, items=MOVIES, name="blocks", catalogue="all")
    assert len(expected.items) == 7
    assert blocks.items.table == expected.items.table
    assert (blocks.path / SEQUENCES).read_bytes() == (expected.path / SEQUENCES).read_bytes()


def test_another_seed_gives_another_fingerprint(tmp_path):
    log = {f"u{i}": ["a", "b", "c"] for i in range(40)}
    one = prepared(tmp_path, log, name="one", kind="holdout", seed=1)
    two = prepared(tmp_path, log, name="two", kind="holdout", seed=2)
    assert one.fingerprint != two.fingerprint


class TestCatalogue:
    def test_items_by_descending_training_count_then_by_id(self, tmp_path):
        dataset = prepared(tmp_path)
        # Leave-one-out trains on a b | b | b b e | e f (dot is too short to be split).
        assert dataset.items.ids == ["b", "e", "a", "f", "c", "d"]
        assert dataset.items.training_counts.tolist() == [0, 0, 0, 0, 4, 2, 1, 1, 0, 0]
        assert dataset.n_catalogue == 4

    def test_all_includes_items_without_training_events(self, tmp_path):
        dataset = prepared(tmp_path, items=MOVIES, catalogue="all")
        assert dataset.items.ids == ["b", "e", "a", "f", "c", "d", "x"]
        assert dataset.n_catalogue == 7

    def test_described_items_stay_outside_the_trained_catalogue(self, tmp_path):
        dataset = prepared(tmp_path, items=MOVIES)
        assert len(dataset.items) == 7
        assert dataset.n_catalogue == 4
        assert dataset.items.titles(dataset.items.find(["x", "e", "b"])) == ["X", "e", "B"]
        assert "blank" not in dataset.items.table.column_names

    @pytest.mark.parametrize("share", [None, 0.0, 0.3])
    def test_windows_trains_on_all_events_but_held_out_targets(self, tmp_path, share):
        log = {"long": [f"i{j}" for j in range(400)]}
        dataset = prepared(tmp_path, log, kind="windows", validation_share=share)
        split, parts = dataset.manifest.split, dataset.manifest.audit["parts"]
        assert split.validation_share == (0.02 if share is None else share)
        held_out = {part: dataset.targets(part) for part in ("test", "validation")}
        n_test, n_validation = (len(targets.rows) for targets in held_out.values())
        assert 20 < n_test < 60
        assert (n_validation > 0) == (share != 0)
        assert parts["test"]["targets"] == parts["test"]["events"] == n_test
        assert parts["validation"]["targets"] == parts["validation"]["events"] == n_validation
        n_training = 400 - n_test - n_validation
        assert dataset.items.training_counts.sum() == parts["train"]["events"] == n_training


class TestFilters:
    def test_rare_items_are_counted_over_the_whole_log_once(self, tmp_path, event_block_size):
        dataset = prepared(tmp_path, items=MOVIES, min_item_events=2, catalogue="all")
        assert sequences_by_id(dataset) == {
            "ann": ["a", "b", "b"],
            "bob": ["b", "a"],
            "cid": ["b", "b", "e", "a", "b"],
            "dot": ["e"],
        }
        assert sorted(dataset.items.ids) == ["a", "b", "e"]

    def test_short_sequences_are_dropped_after_rare_items(self, tmp_path):
        dataset = prepared(tmp_path, min_item_events=2, min_sequence_events=3)
        assert list(sequences_by_id(dataset)) == ["ann", "cid"]
        # e had two events in the log: the one in cid stays.
        assert "e" in dataset.items.ids

    def test_an_item_left_without_events_or_description_is_dropped(self, tmp_path):
        dataset = prepared(tmp_path, min_sequence_events=4, catalogue="all")
        assert sorted(dataset.items.ids) == ["a", "b", "c", "e"]

    def test_min_rating_drops_a_sequence_of_low_ratings(self, tmp_path):
        log = WORLD | {"eve": [("a", 0, 1.0), ("b", 1, 1.0), ("c", 2, 1.0)]}
        dataset = prepared(tmp_path, log, min_rating=3.0)
        assert sequences_by_id(dataset)["ann"] == ["a", "b", "b"]
        assert "eve" not in sequences_by_id(dataset)

    def test_consecutive_repeats(self, tmp_path):
        dataset = prepared(tmp_path, drop_consecutive_repeats=True)
        assert sequences_by_id(dataset)["cid"] == ["b", "e", "a", "b"]

    def test_sessions(self, tmp_path):
        dataset = prepared(tmp_path, session_gap_s=60, kind="leave-one-out")
        assert sequences_by_id(dataset) == {
            "ann:1": ["a", "b", "c", "b"],
            "bob:1": ["b", "a"],
            "bob:2": ["d"],
            "cid:1": ["b", "b", "e"],
            "cid:2": ["a", "b"],
            "dot:1": ["e", "f"],
        }
        users = dataset.sequences.attributes.column("session_of").to_pylist()
        assert users == ["ann", "bob", "bob", "cid", "cid", "dot"]

    def test_filters_that_need_missing_ratings_or_times(self, tmp_path):
        log = {"u": ["a", "b", "c"]}
        with pytest.raises(DatasetError, match="min_rating needs ratings"):
            prepared(tmp_path, log, min_rating=3.0)
        with pytest.raises(DatasetError, match="session_gap needs times"):
            prepared(tmp_path, log, session_gap_s=60)

    def test_attributes_follow_their_sequences(self, tmp_path):
        source = InMemorySource(
            WORLD, attributes={"age": [31, 32, 33, 34], "items_in": list("pqrs")}
        )
        dataset = prepare_source(source, tmp_path / "data", prepare_config(min_sequence_events=3))
        assert dataset.sequences.attributes.to_pydict() == {
            "age": [31, 32, 33],
            "items_in": ["p", "q", "r"],
        }


class TestDefaultSplit:
    def test_users_leave_one_out(self, tmp_path):
        assert prepared(tmp_path).manifest.split.kind == "leave-one-out"

    def test_sequences_that_are_not_users_use_holdout(self, tmp_path):
        class Playlists(InMemorySource):
            sequences_are_users = False

        dataset = prepared(tmp_path, source=Playlists, test_share=0.5)
        assert dataset.manifest.split.kind == "holdout"

    def test_sessions_are_not_users(self, tmp_path):
        dataset = prepared(tmp_path, session_gap_s=60, test_share=0.4)
        assert dataset.manifest.split.kind == "holdout"


class TestNothingToSplit:
    def refused(self, tmp_path, message, log, **chosen):
        with pytest.raises(DatasetError, match=message) as caught:
            prepared(tmp_path, log, **chosen)
        assert "\n" not in str(caught.value)
        assert caught.value.hint
        assert list(tmp_path.iterdir()) == []

    def test_too_short_for_leave_one_out(self, tmp_path):
        message = "'leave-one-out' leaves nothing to predict: 2 sequences, the longest of 2 events"
        self.refused(tmp_path, message, {"u": ["a", "b"], "v": ["a"]})

    def test_one_sequence_cannot_be_held_out_and_trained_on(self, tmp_path):
        message = "'holdout' leaves nothing to train on: 1 sequence,"
        self.refused(tmp_path, message, {"u": ["a", "b"]}, kind="holdout")

    def test_windows_over_short_sequences(self, tmp_path):
        self.refused(tmp_path, "nothing to predict", {"u": ["a", "b", "c"]}, kind="windows")

    def test_all_events_at_one_moment(self, tmp_path):
        log = {"u": [("a", 3), ("b", 3)]}
        message = (
            r"nothing to predict: 1 sequence.* half of the events have the last time of the log"
        )
        self.refused(tmp_path, message, log, kind="global-time")

    def test_most_events_at_the_last_moment(self, tmp_path):
        log = {"u": [("a", 1), ("b", 2), ("c", 3), ("a", 3)], "v": [("a", 3), ("b", 3), ("d", 3)]}
        message = "the test part of the split 'global-time' has no target: more than half"
        self.refused(tmp_path, message, log, kind="global-time", validation_share=0.5)

    def test_a_test_part_of_sequences_that_are_too_short(self, tmp_path):
        log = {f"u{n}": ["a"] for n in range(20)} | {"validation": ["a", "b", "c"]}
        message = r"the test part of the split 'holdout' has no target: .*sequence-events 2"
        self.refused(tmp_path, message, log, kind="holdout", seed=1)

    def test_shares_of_zero(self, tmp_path):
        shares = {"validation_share": 0.0, "test_share": 0.0}
        self.refused(tmp_path, "both of its shares are 0", WORLD, kind="holdout", **shares)

    def test_the_last_moment_is_the_test_part_even_if_it_is_large(self, tmp_path):
        log = {f"u{n}": [("a", 1), ("b", 2), ("c", 3)] for n in range(5)}
        data = prepared(tmp_path, log, kind="global-time")
        assert data.manifest.audit["parts"]["test"]["targets"] == 5
        assert data.manifest.audit["parts"]["validation"]["targets"] == 5

    def test_a_missing_validation_part_has_its_reason(self, tmp_path):
        log = {f"u{n}": [("a", 1), ("b", 1), ("c", 3)] for n in range(5)}
        _, warning = prepared(tmp_path, log, kind="global-time").manifest.audit["warnings"]
        assert "no validation targets" in warning
        assert "all events before the test part have the same time" in warning

    def test_a_warning_of_targets_without_a_history(self, tmp_path):
        log = {f"u{n}": [("a", 1), ("b", 2)] for n in range(9)} | {"new": [("a", 3), ("b", 3)]}
        warnings = prepared(tmp_path, log, kind="global-time").manifest.audit["warnings"]
        assert any("Every test target is in a sequence that starts within" in w for w in warnings)

    def test_no_events_at_all(self, tmp_path):
        self.refused(tmp_path, "has no events", {})
        self.refused(tmp_path, "has no events", {"u": []})

    def test_filters_that_leave_nothing(self, tmp_path):
        self.refused(tmp_path, "the filters drop all of them", WORLD, min_item_events=100)

    def test_global_time_without_times(self, tmp_path):
        log = {"u": ["a", "b", "c"]}
        self.refused(tmp_path, "'global-time' needs times", log, kind="global-time")


def test_the_manifest_has_source_options_and_warnings(tmp_path):
    manifest = prepared(tmp_path, min_item_events=2).manifest
    assert manifest.source["format"] == "tabular"
    assert manifest.source["fingerprint"] == {"sequences": 4}
    assert manifest.options["filters"]["min_item_events"] == 2
    assert "memory_limit" not in manifest.options["source"]
    assert manifest.source["report"]["warnings"] == ["the log is small"]
    assert "2 sequences have fewer than 3 events" in manifest.audit["warnings"][0]
    assert manifest.counts.events == 11
    assert PrepareConfig.model_validate(manifest.options, strict=False)


def test_a_link_to_a_dataset_stays_a_link(tmp_path):
    first = prepared(tmp_path)
    (tmp_path / "current").symlink_to(first.path)
    again = prepared(tmp_path, name="current", kind="holdout")
    assert (tmp_path / "current").is_symlink()
    assert Dataset.open(tmp_path / "data").fingerprint == again.fingerprint
    assert sorted(path.name for path in tmp_path.iterdir()) == ["current", "data"]


def test_an_items_file_takes_precedence_over_the_log(tmp_path):
    path = tmp_path / "titles.csv"
    path.write_text("item_id,title,mood\nb,Better,calm\nq,Quite new,wild\n")
    dataset = prepared(tmp_path, items=MOVIES, items_file=str(path), catalogue="all")
    items = dataset.items
    assert items.titles(items.find(["a", "b", "q", "e"])) == ["A", "Better", "Quite new", "e"]
    assert items.describe(int(items.find(["b"])[0]))["mood"] == "calm"
    assert dataset.manifest.options["source"]["items_file"] == "titles.csv"


def test_an_items_file_is_reported(tmp_path):
    path = tmp_path / "titles.csv"
    path.write_text("movie_id,title,mood\nb,Better,calm\nq,Quite new,wild\nb,Again,calm\n")
    dataset = prepared(tmp_path, items_file=str(path))
    assert dataset.items.titles(dataset.items.find(["b"])) == ["Better"]
    report = dataset.manifest.source["report"]
    assert report["items_file"] == {
        "columns": {"item": "movie_id", "title": "title"},
        "further": ["mood"],
        "vectors": {},
        "described": 1,
        "of": 6,
    }
    assert report["warnings"] == [
        "the log is small",
        "titles.csv: 1 row repeats an earlier id: the first row of each id is used",
    ]


def test_columns_that_are_empty_throughout_are_left_out_with_a_warning(tmp_path):
    path = tmp_path / "items.jsonl"
    row = '{"item_id": "%s", "genres": [], "mood": "", "label": null, "year": "1999"}'
    path.write_text("\n".join(row % item for item in "ab") + "\n")
    dataset = prepared(tmp_path, items_file=str(path))
    assert dataset.items.table.column_names == ["index", "item_id", "year", "training_count"]
    assert dataset.manifest.source["report"]["warnings"] == [
        "the log is small",
        "no item has a value of these attributes, which were left out: genres, mood, label",
    ]


def test_an_items_file_with_different_ids_gives_a_warning(tmp_path):
    path = tmp_path / "titles.csv"
    path.write_text("item_id,title\ntt01,Better\ntt02,Worse\n")
    report = prepared(tmp_path, items_file=str(path)).manifest.source["report"]
    assert report["items_file"]["described"] == 0
    assert report["warnings"] == [
        "the log is small",
        "the items file describes none of the log's 6 items: it has ids such as 'tt01', "
        "the log has 'a'",
    ]


def test_vectors_of_the_items_file(tmp_path):
    path = tmp_path / "sounds.jsonl"
    path.write_text('{"item_id": "b", "sound": [0.5, -1]}\n{"item_id": "a", "sound": [2, 3]}\n')
    items = prepared(tmp_path, items_file=str(path)).items
    assert items.table.schema.field("sound").type == VECTOR
    vectors = dict(zip(items.ids, items.table.column("sound").to_pylist(), strict=True))
    assert {name: vectors[name] for name in "abc"} == {"a": [2, 3], "b": [0.5, -1], "c": None}
    assert items.describe(int(items.find(["b"])[0]))["sound"] == "2 numbers"


def test_a_bad_items_file_is_refused_before_the_log_is_read(tmp_path):
    class Unread(InMemorySource):
        def chunks(self):
            raise AssertionError("read")

    path = tmp_path / "sounds.jsonl"
    path.write_text('{"item_id": "b", "sound": [0.5]}\n{"item_id": "a", "sound": [2, 3]}\n')
    with pytest.raises(SourceError, match="vectors of 1 numbers, but one of 2"):
        prepared(tmp_path, source=Unread, items_file=str(path))
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_of_the_source_leaves_no_dataset(tmp_path):
    class Torn(InMemorySource):
        def chunks(self):
            yield next(super().chunks())
            raise SourceError("row 7: no such item")

    with pytest.raises(SourceError, match="row 7"):
        prepared(tmp_path, source=Torn)
    assert list(tmp_path.iterdir()) == []


def test_a_foreign_folder_is_refused_before_the_log_is_read(tmp_path):
    class Unread(InMemorySource):
        def chunks(self):
            raise AssertionError("read")

    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "letter.txt").touch()
    with pytest.raises(DatasetError, match="contains no readable dataset"):
        prepared(tmp_path, source=Unread)


def test_a_dataset_can_be_prepared_again_in_its_place(tmp_path):
    old = prepared(tmp_path)
    new = prepared(tmp_path, kind="holdout")
    assert new.path == old.path
    assert old.sequences.n_events == 14  # the mapped file stays readable
    assert Dataset.open(old.path).fingerprint == new.fingerprint != old.fingerprint


@contextlib.contextmanager
def file_size_limit(n_bytes: int):
    """Limit the size of written files in bytes, to simulate a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    ("n_bytes", "title_length"),
    [(100, 0), (60_000, 0), (60_000, 400)],
    ids=["raw columns", "sequences", "items"],
)
def test_a_full_disk_is_one_clear_error(tmp_path, n_bytes, title_length):
    rng = np.random.default_rng(0)
    log = {f"u{i}": [(f"item {j}", 0) for j in rng.integers(0, 400, 30)] for i in range(200)}
    items = [{"item_id": f"item {j}", "title": rng.bytes(title_length).hex()} for j in range(400)]
    with pytest.raises(StorageError, match="File too large"), file_size_limit(n_bytes):
        prepared(tmp_path, log, items)
    assert list(tmp_path.iterdir()) == []
