"""People of the histories that a run carries: the same as with the dataset, and nothing else."""

from __future__ import annotations

import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from app_client import AppClient

from segue.config import PrepareConfig, SplitConfig, SplitKind
from segue.dataset import Dataset
from segue.errors import RunError
from segue.evaluation import people as people_module
from segue.inspection import description
from segue.preparation import prepare
from segue.recommender import Run
from segue.recommender.histories import RunHistories
from segue.runs import RunFolder
from segue.server.app import create_app
from segue.server.log import Log
from segue.server.registry import ModelRegistry, ServedModel, load_model
from segue.server.served_people import ServedPeople, people_data, why_no_people
from segue.server.settings import ServerSettings
from segue.tokens import UNK


@pytest.fixture(scope="module")
def carrying(cycle_run: Path, cycles: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the run with the histories of its dataset."""
    copy = tmp_path_factory.mktemp("carrying") / "cycles"
    shutil.copytree(cycle_run, copy, ignore=shutil.ignore_patterns("checkpoints"))
    Run.open(copy).attach(cycles)
    return copy


@pytest.fixture(scope="module")
def model(carrying: Path) -> ServedModel:
    return load_model("cycles", carrying)


def shuffled(data: Dataset) -> Dataset:
    """The same dataset in another order, as formats without a sort by id have it."""
    sequences = data.sequences
    rows = np.random.default_rng(3).permutation(len(sequences))
    events = [sequences.row(int(row)) for row in rows]
    lengths = np.array([len(row) for row in events])
    assert sequences.target_parts is None
    moved = replace(
        sequences,
        ids=sequences.ids.take(pa.array(rows)),
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        items=np.concatenate(events),
        times=None,
        train_end=sequences.train_end[rows],
        valid_end=sequences.valid_end[rows],
        attributes=sequences.attributes.take(rows),
    )
    return Dataset(data.path, data.manifest, moved)


@pytest.mark.parametrize("max_people", [2_000, 10], ids=["everybody", "a sample"])
def test_people_are_those_of_the_dataset(
    model: ServedModel, cycles: Dataset, max_people: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people_module, "MAX_PEOPLE", max_people)
    monkeypatch.setattr(Dataset, "open", None)  # nothing outside the run is read
    carried = ServedPeople(model, people_data(model, None), lambda _: None)
    given = ServedPeople(model, shuffled(cycles), lambda _: None)
    pages = carried.page("", 0, 100), given.page("", 0, 100)
    assert pages[0] == pages[1]
    assert pages[0][0] == min(max_people, 60)
    assert carried.remark == given.remark == ""
    assert carried.held_out.n_people == given.held_out.n_people
    for person in pages[0][1][:3]:
        opened = carried.open(person["person_id"], 5, None)
        assert opened == given.open(person["person_id"], 5, None)
        assert opened is not None
        assert opened["truth"][0]["rank"] == person["worst_rank"]


def test_they_are_served(carrying: Path, small_settings: ServerSettings) -> None:
    registry = ModelRegistry({"cycles": carrying})
    app = create_app(registry, settings=small_settings, log=Log(io.BytesIO()))
    with AppClient(app) as client:
        assert client.get("/v1/people").json()["status"] in ("computing", "ready")
        app.state.views.people.of(registry.find()).wait()
        people = client.get("/v1/people?limit=1").json()
        assert (people["status"], people["part"], people["n_people"]) == ("ready", "test", 60)
        assert people["hint"] == ""
        person = client.get(f"/v1/people/{people['people'][0]['person_id']}").json()
        assert person["truth"][0]["rank"] == people["people"][0]["worst_rank"]


def test_the_audit_of_the_dataset_is_carried_too(
    model: ServedModel, cycles: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Dataset, "open", None)
    audit = description.audit(None, model.recommender, model.card)
    assert audit == description.audit(cycles, model.recommender, model.card)


@pytest.mark.parametrize("kind", ["holdout", "leave-one-out", "global-time", "windows"])
def test_every_split_is_carried(carrying: Path, kind: SplitKind, tmp_path: Path) -> None:
    run = Run.open(shutil.copytree(carrying, tmp_path / "run"))
    random, lines = np.random.default_rng(5), ["user_id,item_id,timestamp"]
    for user in range(12):
        items = random.choice([*(f"i{n}" for n in range(12)), "new"], 9)
        lines += [f"u{user},{item},{1_600_000_000 + t}" for t, item in enumerate(items)]
    (tmp_path / "log.csv").write_text("\n".join(lines) + "\n")
    split = SplitConfig(kind=kind, validation_share=0.2, test_share=0.2)
    config = PrepareConfig(split=split)
    data = prepare(tmp_path / "log.csv", tmp_path / "data", config=config)
    run.attach(data)
    histories = run.load().histories
    assert isinstance(histories, RunHistories)
    carried = histories.dataset
    assert carried is not None
    assert carried.fingerprint != data.fingerprint, "it has other items"
    assert carried.manifest.split == data.manifest.split
    for user in data.sequences.ids.to_pylist():
        row, row_here = data.sequences.find(user), carried.sequences.find(user)
        assert row is not None
        assert row_here is not None
        for part in ("validation", "test"):
            there = data.targets(part, rows=np.array([row])).positions
            here = carried.targets(part, rows=np.array([row_here])).positions
            assert here.tolist() == there.tolist()
        names = [
            "new" if i == UNK else carried.items.ids[i - 4] for i in carried.sequences.row(row_here)
        ]
        assert names == [data.items.ids[i - 4] for i in data.sequences.row(row)]


def test_people_of_another_dataset(carrying: Path, tmp_path: Path) -> None:
    run = Run.open(shutil.copytree(carrying, tmp_path / "run"))
    lines = ["user_id,item_id,timestamp"]
    for user, target in {"anna": "i5", "bert": "new"}.items():
        items = ["i1", "i2", "i3", "i4", target]
        lines += [f"{user},{item},{1_600_000_000 + t}" for t, item in enumerate(items)]
    (tmp_path / "log.csv").write_text("\n".join(lines) + "\n")
    config = PrepareConfig(split=SplitConfig(kind="leave-one-out"))
    run.attach(prepare(tmp_path / "log.csv", tmp_path / "data", config=config))
    model = load_model("cycles", run.path)
    people = ServedPeople(model, people_data(model, None), lambda _: None)
    assert "another dataset" in people.remark
    _, (anna, bert) = people.page("", 0, 10)
    assert (anna["person_id"], anna["worst_rank"], anna["target"]["item_id"]) == ("anna", 1, "i5")
    assert (bert["worst_rank"], bert["target"]["item_id"]) == (None, "<unk>")
    opened = people.open("bert", 3, model)
    assert opened is not None
    assert [item["item_id"] for item in opened["history"]] == ["i1", "i2", "i3", "i4"]
    assert opened["lists"][0]["items"][0]["item_id"] == "i5"


def older(folder: RunFolder) -> None:
    """Replace the histories by those that version 1 of the format would have."""
    with pa.OSFile(str(folder.histories)) as source:
        batch = pa.ipc.open_file(source).get_batch(0)
    content = json.loads(batch.schema.metadata[b"segue"])
    del content["manifest"]
    metadata = {"segue": json.dumps({**content, "format_version": 1})}
    batch = batch.drop_columns(["train_end", "valid_end"]).replace_schema_metadata(metadata)
    with pa.ipc.new_file(str(folder.histories), batch.schema) as writer:
        writer.write_batch(batch)


def test_older_histories_say_how_to_get_people(carrying: Path, tmp_path: Path) -> None:
    folder = RunFolder(shutil.copytree(carrying, tmp_path / "run"))
    older(folder)
    model = load_model("old", folder.path)
    assert model.recommender.histories.find("u7") is not None
    assert "attach them again with segue attach" in (why_no_people(model, None) or "")
    folder.histories.unlink()
    model = load_model("none", folder.path)
    assert "has no histories" in (why_no_people(model, None) or "")


def test_impossible_cuts_are_refused_when_they_are_read(carrying: Path, tmp_path: Path) -> None:
    folder = RunFolder(shutil.copytree(carrying, tmp_path / "run"))
    with pa.OSFile(str(folder.histories)) as source:
        batch = pa.ipc.open_file(source).get_batch(0)
    cuts = batch.column("valid_end").to_numpy().copy()
    cuts[3] = 10_000
    at = batch.schema.get_field_index("valid_end")
    with pa.ipc.new_file(str(folder.histories), batch.schema) as writer:
        writer.write_batch(batch.set_column(at, "valid_end", pa.array(cuts)))
    model = load_model("cycles", folder.path)
    with pytest.raises(RunError, match=r"histories\.arrow is damaged: sequence 3 has") as caught:
        ServedPeople(model, people_data(model, None), lambda _: None)
    assert "attach the histories again" in caught.value.hint
