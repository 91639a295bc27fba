"""Histories that a run carries: attached from a dataset, and preferred to that of the training."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from segue.dataset import Dataset
from segue.errors import DatasetError, RequestError, RunError, StorageError
from segue.preparation import prepare
from segue.recommender import Recommender, Run
from segue.recommender.histories import RunHistories
from segue.runs import RunFolder
from segue.storage.atomic import partial_path
from segue.tokens import N_SPECIALS


@pytest.fixture
def run(cycle_run: Path, tmp_path: Path) -> Run:
    """A copy without its checkpoints, whose training dataset is not in its place."""
    shutil.copytree(cycle_run, tmp_path / "run", ignore=shutil.ignore_patterns("checkpoints"))
    return Run.open(tmp_path / "run")


@pytest.fixture
def alone(run: Run, cycles: Dataset, tmp_path: Path) -> Run:
    """A run with the histories of its dataset, of which nothing else is left."""
    moved = tmp_path / "moved"
    shutil.copytree(cycles.path, moved)
    run.attach(moved)
    shutil.rmtree(moved)
    return run


def ids(answer) -> list[str]:
    return [item.item_id for item in answer]


def write_log(path: Path, histories: dict[str, list[str]]) -> Path:
    lines = ["user_id,item_id,timestamp"]
    for user, items in histories.items():
        lines += [f'"{user}",{item},{time}' for time, item in enumerate(items, 1_600_000_000)]
    path.write_text("\n".join(lines) + "\n")
    return path


def dataset_of(folder: Path, histories: dict[str, list[str]]) -> Dataset:
    return prepare(write_log(folder / "log.csv", histories), folder / "other")


def test_a_user_is_recommended_from_all_events(
    alone: Run, cycles: Dataset, cycle_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = ids(Recommender.load(cycle_run).recommend(user="u7", k=5))
    monkeypatch.setattr(Dataset, "open", None)  # nothing outside the run is read
    model = alone.load()
    assert ids(model.recommend(user="u7", k=5)) == expected
    events = cycles.sequences.row(cycles.sequences.find("u7") or 0)
    history = [cycles.items.ids[index - N_SPECIALS] for index in events]
    assert ids(model.recommend(history, k=5)) == expected
    assert ids(model.recommend([["i1"], []], user=[None, "u7"], k=5)[1]) == expected


def test_every_user_has_the_sequence_of_the_dataset(alone: Run, cycles: Dataset) -> None:
    model = alone.load()
    histories = model._requests.histories
    assert isinstance(histories, RunHistories)
    assert histories.source == "the histories of run (from the dataset moved)"
    sequences = cycles.sequences
    for row, user in enumerate(sequences.ids.to_pylist()):
        history = histories.find(user)
        assert history is not None
        np.testing.assert_array_equal(model.items.find(history.item_ids), sequences.row(row))
    for user in ("", "u", "u10000", "zz", "\U0010ffff"):
        assert histories.find(user) is None
    with pytest.raises(RequestError, match="user 'zz' is not in the histories of run"):
        model.recommend(user="zz")


def test_given_histories_come_before_those_of_the_run(run: Run, tmp_path: Path) -> None:
    run.attach(dataset_of(tmp_path, {"anna": ["i3", "i4", "i5", "i6"], "bert": ["i1"] * 5}))
    expected = ids(run.load().recommend(["i3", "i4", "i5", "i6"], k=4))
    assert ids(run.load().recommend(user="anna", k=4)) == expected
    with pytest.raises(RequestError, match="is not in the histories of run"):
        run.load().recommend(user="u7")  # a sequence of the training dataset
    model = Recommender.load(run, histories={"anna": ["i9"], "u7": ["i9"]}.get)
    assert ids(model.recommend(user="anna", k=4)) == ids(model.recommend(["i9"], k=4))


def test_items_are_joined_by_id(run: Run, tmp_path: Path) -> None:
    histories = {"b": ["new", "i2", "i1", "other"], "a": ["i5", "i4", "i3"], "ä,": ["i0", "new"]}
    summary = run.attach(dataset_of(tmp_path, histories))
    assert summary["unknown_events"] == 3
    assert (summary["users"], summary["events"]) == (3, 9)
    assert (summary["dataset"], summary["bytes"]) == (
        "other",
        (run.path / "histories.arrow").stat().st_size,
    )
    model = run.load()
    stored = model._requests.histories
    unknown = ["new", "other"]
    for user, items in histories.items():
        history = stored.find(user)
        assert history is not None
        assert history.item_ids == [None if item in unknown else item for item in items]
        answer = model.recommend(user=user, k=3)
        assert ids(answer) == ids(model.recommend(items, k=3))


def test_users_of_another_dataset_with_ids_that_the_model_has_learnt_are_counted(
    run: Run, cycles: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    another = dataset_of(tmp_path, {"anna": ["i3", "i4", "i5"], "u7": ["i1", "i2", "i3"]})
    assert run.attach(another)["users_in_training"] == 0  # the model reads no users
    values = {"user": ["u6", "u7"]}
    monkeypatch.setattr(RunFolder, "read_sequence_values", lambda _: values)
    assert run.attach(another)["users_in_training"] == 1
    assert run.attach(cycles)["users_in_training"] == 0  # the dataset of the training


def test_attached_histories_are_replaced(run: Run, cycles: Dataset, tmp_path: Path) -> None:
    first = run.attach(cycles)
    content = (run.path / "histories.arrow").read_bytes()
    assert run.attach(cycles.path) == first
    assert (run.path / "histories.arrow").read_bytes() == content
    run.attach(dataset_of(tmp_path, {"anna": ["i3", "i4", "i5", "i6"]}))
    assert len(run.load().recommend(user="anna", k=3)) == 3


def test_sequence_features_of_the_user_are_stored(
    genre_run: Path, genres: Dataset, tmp_path: Path
) -> None:
    shutil.copytree(genre_run, tmp_path / "run", ignore=shutil.ignore_patterns("checkpoints"))
    expected = Recommender.load(genre_run)
    run = Run.open(tmp_path / "run")
    run.attach(genres)
    model = run.load()
    for user in genres.sequences.ids[:5].to_pylist():
        history = model._requests.histories.find(user)
        assert history is not None
        assert history.sequence_features.keys() == {"gender"}
        answer, same = model.recommend(user=user, k=4), expected.recommend(user=user, k=4)
        assert [(i.item_id, i.score) for i in answer] == [(i.item_id, i.score) for i in same]


def test_impossible_datasets_leave_the_histories(
    run: Run, cycles: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.attach(cycles)
    content = (run.path / "histories.arrow").read_bytes()
    with pytest.raises(DatasetError, match="manifest"):
        run.attach(tmp_path)
    with pytest.raises(RequestError, match=r"none of the 2 items of .* is an item of the run"):
        run.attach(dataset_of(tmp_path, {"a": ["x", "y", "x"]}))
    repeated = Dataset.open(cycles.path)
    ids = pa.array(["u1"] * len(cycles.sequences))
    monkeypatch.setattr(repeated, "_sequences", repeated.sequences)
    object.__setattr__(repeated._sequences, "ids", ids)
    with pytest.raises(DatasetError, match="several sequences of the id"):
        run.attach(repeated)
    with RunFolder(run.path).locked(), pytest.raises(RunError, match="another process"):
        run.attach(cycles)
    partial_path(run.path / "histories.arrow").mkdir()
    with pytest.raises(StorageError, match="cannot write"):
        run.attach(cycles)
    assert (run.path / "histories.arrow").read_bytes() == content


def test_histories_of_other_items_are_refused(run: Run, alone: Run, genre_run: Path) -> None:
    another = run.path.parent / "genres"
    shutil.copytree(genre_run, another, ignore=shutil.ignore_patterns("checkpoints"))
    shutil.copy(alone.path / "histories.arrow", another)
    with pytest.raises(RunError, match="of the items of another run") as caught:
        Recommender.load(another)
    assert "segue attach" in caught.value.hint
    assert Recommender.load(another, histories=lambda _: None)
