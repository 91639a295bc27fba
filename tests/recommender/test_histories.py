"""Histories of known users from a dataset, a Parquet file or a function."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from segue.dataset import Dataset
from segue.errors import DatasetError, RequestError
from segue.recommender import Recommender
from segue.recommender.histories import open_histories

NOT_UTF8 = pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xff"]).buffers())


def ids(answer) -> list[str]:
    return [item.item_id for item in answer]


@pytest.fixture
def expected(cycle_run: Path) -> list[str]:
    return ids(Recommender.load(cycle_run).recommend(["i3", "i4", "i5"], k=5))


def write_histories(path: Path, users: list, items: list) -> Path:
    pq.write_table(pa.table({"user": users, "items": items}), path)
    return path


def test_a_function_of_the_caller(cycle_run: Path, expected: list[str]) -> None:
    histories = {"anna": iter(["i3", "i4", "i5"])}
    model = Recommender.load(cycle_run, histories=histories.get)
    assert ids(model.recommend(user="anna", k=5)) == expected
    with pytest.raises(RequestError, match="user 'bert' is not in the given histories"):
        model.recommend(user="bert")


def test_a_parquet_file_with_integer_users(
    cycle_run: Path, expected: list[str], tmp_path: Path
) -> None:
    path = write_histories(tmp_path / "h.parquet", [7, 8], [["i3", "i4"], []])
    model = Recommender.load(cycle_run, histories=path)
    assert ids(model.recommend(["i5"], user=7, k=5)) == expected
    assert len(model.recommend(user="8", k=5)) == 5
    with pytest.raises(RequestError, match=r"user '9' is not in .*h\.parquet"):
        model.recommend(user=9)


def test_a_prepared_dataset_or_its_folder(cycle_run: Path, cycles: Dataset) -> None:
    by_default = ids(Recommender.load(cycle_run).recommend(user="u1", k=5))
    for histories in (cycles, cycles.path, str(cycles.path)):
        model = Recommender.load(cycle_run, histories=histories)
        assert ids(model.recommend(user="u1", k=5)) == by_default


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"user": ["a"], "item": [["i1"]]}, "cannot read the histories of .*items"),
        ({"user": ["a"], "items": ["i1"]}, "the column items of .* is of type string, expected"),
        ({"user": ["a", "a"], "items": [["i1"], []]}, "has a user on two rows: 'a'"),
        ({"user": [1.5], "items": [["i1"]]}, r"h\.parquet: user 1\.5 is not a whole number"),
        ({"user": [None, "a"], "items": [[], ["i1"]]}, "user None stands for a missing id"),
        ({"user": [b"a"], "items": [["i1"]]}, "user b'a' is of type bytes"),
        ({"user": NOT_UTF8, "items": [["i1"]]}, "cannot read the histories of .*UTF8"),
    ],
)
def test_files_without_histories_are_refused(
    cycle_run: Path, tmp_path: Path, content: dict, message: str
) -> None:
    pq.write_table(pa.table(content), tmp_path / "h.parquet")
    with pytest.raises(DatasetError, match=message) as caught:
        Recommender.load(cycle_run, histories=tmp_path / "h.parquet")
    assert caught.value.hint


@pytest.mark.parametrize("kind", ["missing", "empty", "text", "a folder", "a device", "a pipe"])
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "h.parquet"
    make: dict[str, Callable[[], object]] = {
        "missing": lambda: None,
        "empty": path.touch,
        "text": lambda: path.write_text("user,items\n"),
        "a folder": path.mkdir,
        "a device": lambda: path.symlink_to("/dev/zero"),
        "a pipe": lambda: os.mkfifo(path),
    }
    make[kind]()
    with pytest.raises(DatasetError, match=r"cannot read the histories of .*h\.parquet") as caught:
        open_histories(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("path", ["", "a\0b", "\udcff.parquet"])
def test_impossible_paths_of_histories_are_refused(path: str) -> None:
    with pytest.raises(RequestError, match=r"empty|NUL|UTF-8"):
        open_histories(path)


@pytest.mark.parametrize("item", [None, "NULL", 1.5, ["i1"], b"i1"], ids=repr)
def test_a_bad_item_id_of_a_file_is_refused(tmp_path: Path, item: object) -> None:
    histories = open_histories(write_histories(tmp_path / "h.parquet", ["a"], [[item]]))
    with pytest.raises(RequestError, match="item id"):
        histories.find("a")


def test_other_columns_of_a_file_are_not_read(tmp_path: Path) -> None:
    table = pa.table({"user": ["a"], "items": [["i1"]], "note": [[{"a": [1]}]], "b": [b"\xff"]})
    pq.write_table(table, tmp_path / "h.parquet")
    history = open_histories(tmp_path / "h.parquet").find("a")
    assert history is not None
    assert history.item_ids == ["i1"]


def test_impossible_histories_are_refused(cycle_run: Path) -> None:
    with pytest.raises(RequestError, match="histories is of type int"):
        Recommender.load(cycle_run, histories=3)
    model = Recommender.load(cycle_run, histories=lambda user: "i3")
    with pytest.raises(RequestError, match="the history of 'anna' is the single value 'i3'"):
        model.recommend(user="anna")


def test_a_repeated_user_of_a_large_file_is_found_quickly(tmp_path: Path) -> None:
    """One pass: comparing every user with every other one would take hours."""
    users = [*map(str, range(200_000)), "199999"]
    path = write_histories(tmp_path / "h.parquet", users, [["i1"]] * len(users))
    with pytest.raises(DatasetError, match="a user on two rows: '199999'"):
        open_histories(path)


def test_fingerprints_tell_contents_apart(cycles: Dataset, tmp_path: Path) -> None:
    files = [
        open_histories(write_histories(tmp_path / f"{i}.parquet", ["anna"], [[item]]))
        for i, item in enumerate(["i1", "i1", "i2"])
    ]
    first, equal, different = (histories.fingerprint for histories in files)
    assert first == equal != different
    assert open_histories(cycles).fingerprint == {"dataset": cycles.fingerprint}
    assert open_histories(lambda _: None).fingerprint is None
