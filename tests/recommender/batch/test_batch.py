"""Batches: the lists are those of single requests, whatever the format and the order of rows."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from batch_files import assert_same_list, list_of, lists_in, notes_in, write_rows
from hypothesis import given, settings
from hypothesis import strategies as st

from segue.dataset import Dataset
from segue.errors import RequestError
from segue.ragged import Ragged
from segue.ranking import Query
from segue.recommender import Recommender
from segue.recommender.batch import BatchProgress
from segue.tokens import N_SPECIALS

HISTORIES = [
    ["200", "301", "402"],
    ["100"],
    ["unknown", "101", "unknown"],
    ["100", "200", "300", "400", "101", "201", "301", "401", "102", "202", "302", "402", "103"],
]


def history_rows(n: int) -> list[dict[str, Any]]:
    return [{"id": f"r{i}", "items": HISTORIES[i % len(HISTORIES)]} for i in range(n)]


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
def test_a_batch_equals_single_requests_and_many(
    model: Recommender, tmp_path: Path, suffix: str
) -> None:
    rows = history_rows(19)
    source = write_rows(tmp_path / f"in{suffix}", rows)
    summary = model.recommend_file(source, tmp_path / "out.parquet", 5)
    lists = lists_in(tmp_path / "out.parquet")
    many = model.recommend([row["items"] for row in rows], 5)
    assert list(lists) == [row["id"] for row in rows]
    for row, answer in zip(rows, many, strict=True):
        assert_same_list(lists[row["id"]], list_of(answer))
        assert_same_list(lists[row["id"]], list_of(model.recommend(row["items"], 5)))
    notes = notes_in(tmp_path / "out.parquet")
    noted = {i: a for i, a in enumerate(many) if a.unknown_items or a.truncated or a.notes}
    assert notes == {
        f"r{i}": {"unknown_items": a.unknown_items, "truncated": a.truncated, "notes": a.notes}
        for i, a in noted.items()
    }
    assert (summary.rows, summary.items) == (19, 95)
    assert (summary.rows_with_unknown_items, summary.unknown_items) == (5, 10)
    assert summary.rows_truncated == sum(a.truncated > 0 for a in many) > 0
    assert summary.rows_without_items == summary.resumed_rows == 0
    assert not (tmp_path / "out.parquet.partial").exists()


OWN_OPTIONS: list[dict[str, Any]] = [
    {},
    {"k": 3},
    {"include_seen": True},
    {"user": "7"},
    {"sequence_features": {"gender": "M"}},
    {"exclude": ["201", "202"], "popularity": 0.5},
    {"only": ["201", "301", "401"]},
    {"where": ["genres has Comedy", "year >= 1992"]},
    {"where": ["genres has Drama"], "cap": {"year": 1}, "diversity": 0.5},
    {"like": ["301"], "unlike": ["101"]},
]


@settings(max_examples=6)
@given(data=st.data())
def test_rows_have_options_of_their_own_in_any_order(
    model: Recommender, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("options")
    chosen = data.draw(st.lists(st.sampled_from(OWN_OPTIONS), min_size=1, max_size=12))
    histories = [data.draw(st.sampled_from(HISTORIES)) for _ in chosen]
    rows = [
        {"id": i, "items": items} | own
        for i, (items, own) in enumerate(zip(histories, chosen, strict=True))
    ]
    suffix = data.draw(st.sampled_from([".parquet", ".jsonl"]))
    shared: dict[str, Any] = {"exclude": ["400"], "sequence_features": {"gender": "F"}}
    source = write_rows(folder / f"in{suffix}", rows)
    model.recommend_file(source, folder / "out.parquet", 4, **shared)
    shuffled = data.draw(st.permutations(rows))
    source = write_rows(folder / f"in2{suffix}", shuffled)
    model.recommend_file(source, folder / "shuffled.parquet", 4, **shared)
    lists, shuffled_lists = lists_in(folder / "out.parquet"), lists_in(folder / "shuffled.parquet")
    for i, (items, own) in enumerate(zip(histories, chosen, strict=True)):
        answer = model.recommend(items, **({"k": 4} | shared | own))
        assert_same_list(lists.get(i, []), list_of(answer))
        assert_same_list(shuffled_lists.get(i, []), list_of(answer))


def test_controls_of_all_rows_hold(model: Recommender, tmp_path: Path) -> None:
    source = write_rows(tmp_path / "in.parquet", history_rows(5))
    model.recommend_file(source, tmp_path / "out.parquet", 4, where="genres has Western")
    for listed in lists_in(tmp_path / "out.parquet").values():
        assert {item_id[0] for item_id, *_ in listed} == {"4"}


def test_rows_that_cannot_be_answered_are_noted(model: Recommender, tmp_path: Path) -> None:
    rows = [{"id": "a", "user": "7"}, {"id": "b", "items": []}, {"id": "c", "items": ["100"]}]
    source = write_rows(tmp_path / "in.jsonl", rows)
    contradictory = {"only": ["100"], "exclude": ["100"]}
    summary = model.recommend_file(source, tmp_path / "out.parquet", 3, **contradictory)
    assert len(pq.read_table(tmp_path / "out.parquet")) == summary.items == 0
    assert summary.rows_without_items == summary.rows_with_notes == 3
    for item in notes_in(tmp_path / "out.parquet").values():
        assert "the list has 0 of the 3 items requested" in item["notes"][-1]


def test_without_start_an_empty_history_is_noted(cycle_run: Path, tmp_path: Path) -> None:
    model = Recommender.load(cycle_run)
    model._requests = replace(model._requests, has_start=False)
    rows = [{"id": "a", "items": []}, {"id": "b", "items": ["i1"]}, {"id": "c", "user": "nobody"}]
    source = write_rows(tmp_path / "in.jsonl", rows)
    summary = model.recommend_file(source, tmp_path / "out.parquet", 2)
    assert list(lists_in(tmp_path / "out.parquet")) == ["b"]
    assert (summary.rows_without_items, summary.rows_with_notes) == (2, 2)
    notes = notes_in(tmp_path / "out.parquet")
    assert "no list: the history is empty" in notes["a"]["notes"][0]
    assert "no list: user 'nobody' is not in the dataset" in notes["c"]["notes"][0]


# --- ids ---


def test_without_ids_rows_have_their_numbers(model: Recommender, tmp_path: Path) -> None:
    rows = [{"items": items} for items in HISTORIES * 3]
    source = write_rows(tmp_path / "in.parquet", rows)
    model.recommend_file(source, tmp_path / "out.parquet", 1)
    assert list(lists_in(tmp_path / "out.parquet", "row")) == list(range(12))


@pytest.mark.parametrize("kind", [pa.int32(), pa.string(), pa.dictionary(pa.int8(), pa.string())])
def test_ids_keep_their_name_and_type(
    model: Recommender, tmp_path: Path, kind: pa.DataType
) -> None:
    ids = pa.array([str(i) for i in range(9)], pa.string())
    ids = ids.dictionary_encode().cast(kind) if pa.types.is_dictionary(kind) else ids.cast(kind)
    table = pa.table({"session": ids, "items": [["100"]] * 9, "colour": ["red"] * 9})
    pq.write_table(table, tmp_path / "in.parquet", row_group_size=4)
    summary = model.recommend_file(
        tmp_path / "in.parquet", tmp_path / "out.parquet", 1, id_column="session"
    )
    output = pq.read_table(tmp_path / "out.parquet")
    columns = ["session", "item_id", "title", "year", "genres", "score", "rank"]
    assert output.column_names == columns
    expected = pa.int32() if pa.types.is_integer(kind) else pa.string()
    assert output.schema.field("session").type == expected
    assert [str(value) for value in output["session"].to_pylist()] == [str(i) for i in range(9)]
    assert summary.ignored_columns == ["colour"]


@pytest.mark.parametrize(
    "kind", [pa.int64(), pa.float64(), pa.large_string(), pa.dictionary(pa.int8(), pa.string())]
)
@pytest.mark.parametrize("list_of_kind", [pa.list_, pa.large_list])
def test_item_ids_may_have_any_type(
    model: Recommender, tmp_path: Path, kind: pa.DataType, list_of_kind: Any
) -> None:
    flat = pa.array(["200", "301", "402"])
    flat = flat.dictionary_encode() if pa.types.is_dictionary(kind) else flat.cast(kind)
    lists = pa.ListArray.from_arrays(pa.array([0, 3, 3], pa.int32()), flat)
    table = pa.table({"items": lists.cast(list_of_kind(flat.type))})
    pq.write_table(table, tmp_path / "in.parquet")
    model.recommend_file(tmp_path / "in.parquet", tmp_path / "out.parquet", 3)
    lists = lists_in(tmp_path / "out.parquet", "row")
    assert_same_list(lists[0], list_of(model.recommend(["200", "301", "402"], 3)))
    assert_same_list(lists[1], list_of(model.recommend([], 3)))


def test_users_alone_name_their_rows(model: Recommender, genres: Dataset, tmp_path: Path) -> None:
    users = genres.sequences.ids.to_pylist()[:5]
    source = write_rows(tmp_path / "in.parquet", [{"user": user} for user in users])
    model.recommend_file(source, tmp_path / "out.parquet", 3)
    lists = lists_in(tmp_path / "out.parquet", "user")
    for user in users:
        assert_same_list(lists[user], list_of(model.recommend(user=user, k=3)))


# --- datasets ---


def test_the_sequences_of_a_dataset_are_those_of_its_users(
    model: Recommender, genres: Dataset, tmp_path: Path
) -> None:
    model.recommend_file(genres, tmp_path / "out.parquet", 3)
    model.recommend_file(genres.path, tmp_path / "again.parquet", 3)
    assert (tmp_path / "out.parquet").read_bytes() == (tmp_path / "again.parquet").read_bytes()
    lists = lists_in(tmp_path / "out.parquet", "sequence_id")
    assert list(lists) == genres.sequences.ids.to_pylist()
    for user in list(lists)[:9]:
        assert_same_list(lists[user], list_of(model.recommend(user=user, k=3)))


def test_before_a_part_the_histories_are_those_of_evaluation(
    model: Recommender, genres: Dataset, tmp_path: Path
) -> None:
    model.recommend_file(genres, tmp_path / "out.parquet", 3, before="test")
    lists = lists_in(tmp_path / "out.parquet", "sequence_id")
    sequences = genres.sequences
    rows = np.flatnonzero(sequences.lengths > sequences.valid_end)
    ends = sequences.valid_end
    histories = Ragged.from_rows([sequences.row(row)[: ends[row]] for row in rows.tolist()])
    features = [{"user": sequences.ids[row].as_py()} for row in rows.tolist()]
    for row, values in zip(rows.tolist(), features, strict=True):
        values["gender"] = sequences.attributes.column("gender")[row].as_py()
    query = Query(histories, histories, rows, 3, sequence_features=features)
    items, _ = model.ranker(genres).top(query)
    for row, expected in zip(rows.tolist(), items, strict=True):
        listed = [item_id for item_id, *_ in lists[sequences.ids[row].as_py()]]
        assert listed == [genres.items.ids[index - N_SPECIALS] for index in expected]


# --- generation ---


def test_a_batch_of_generation_equals_single_sequences(model: Recommender, tmp_path: Path) -> None:
    rows = [row | {"include_seen": i % 2 == 0} for i, row in enumerate(history_rows(9))]
    source = write_rows(tmp_path / "in.parquet", rows)
    model.generate_file(source, tmp_path / "out.parquet", 4, temperature=0.7, top_k=6, seed=3)
    lists = lists_in(tmp_path / "out.parquet")
    for row in rows:
        options = {"temperature": 0.7, "top_k": 6, "seed": 3, "include_seen": row["include_seen"]}
        assert_same_list(lists[row["id"]], list_of(model.generate(row["items"], 4, **options)))


# --- formats of the output ---


def test_csv_and_json_lines_have_the_same_lists(model: Recommender, tmp_path: Path) -> None:
    rows = [*history_rows(9), {"id": "none", "items": ["100"], "only": ["100"]}]
    source = write_rows(tmp_path / "in.jsonl", rows)
    for suffix in ("parquet", "csv", "jsonl"):
        model.recommend_file(source, tmp_path / f"out.{suffix}", 3)
    expected = lists_in(tmp_path / "out.parquet")
    from_csv: dict[str, list[Any]] = {}
    with (tmp_path / "out.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            values = (row["item_id"], row["title"], float(row["score"]), int(row["rank"]))
            from_csv.setdefault(row["id"], []).append(values)
    assert from_csv == expected
    shown = pq.read_table(tmp_path / "out.parquet").select(["year", "genres"]).to_pylist()
    with (tmp_path / "out.csv").open(newline="") as file:
        texts = [(row["year"], row["genres"]) for row in csv.DictReader(file)]
    assert texts == [(str(row["year"]), "|".join(row["genres"])) for row in shown]
    answers = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [item.pop("attributes") for answer in answers for item in answer["items"]] == shown
    assert [answer["id"] for answer in answers] == [row["id"] for row in rows]
    notes = notes_in(tmp_path / "out.parquet")
    for answer in answers:
        assert [tuple(item.values()) for item in answer["items"]] == expected.get(answer["id"], [])
        clean = {"unknown_items": [], "truncated": 0, "notes": []}
        noted = {key: answer[key] for key in clean}
        assert noted == notes.get(answer["id"], clean)


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ([7, 8, 10**15], [7, 8, 10**15]),
        ([7, "a", 8], ["7", "a", "8"]),
        ([7, 2**80], ["7", str(2**80)]),
    ],
    ids=["integers", "texts among them", "beyond 64 bits"],
)
@pytest.mark.parametrize("name", ["id", "user"])
def test_integer_ids_of_json_lines_stay_integers(
    model: Recommender, tmp_path: Path, name: str, ids: list[Any], expected: list[Any]
) -> None:
    source = write_rows(tmp_path / "in.jsonl", [{name: i, "items": ["100"]} for i in ids])
    model.recommend_file(source, tmp_path / "out.parquet", 1, id_column=name)
    model.recommend_file(source, tmp_path / "out.jsonl", 1, id_column=name)
    assert list(lists_in(tmp_path / "out.parquet", name)) == expected
    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    assert [json.loads(line)[name] for line in lines] == expected


def test_probabilities_are_those_of_single_requests(model: Recommender, tmp_path: Path) -> None:
    source = write_rows(tmp_path / "in.jsonl", history_rows(4))
    summary = model.recommend_file(source, tmp_path / "out.parquet", 3, probabilities=True)
    output = pq.read_table(tmp_path / "out.parquet")
    answers = model.recommend([r["items"] for r in history_rows(4)], 3, probabilities=True)
    expected = [item.probability for answer in answers for item in answer]
    assert output["probability"].to_pylist() == pytest.approx(expected, rel=1e-4)
    assert any("not calibrated" in note for note in summary.notes)
    assert not any(
        "not calibrated" in n
        for row in notes_in(tmp_path / "out.parquet").values()
        for n in row["notes"]
    )


def test_a_batch_without_any_known_item_says_so(model: Recommender, tmp_path: Path) -> None:
    source = write_rows(tmp_path / "in.jsonl", [{"items": ["x", "y"]}, {"items": ["z"]}])
    summary = model.recommend_file(source, tmp_path / "out.jsonl", 1)
    (note,) = summary.notes
    assert note.startswith("none of the 3 events is an item of the model")
    assert (summary.events, summary.unknown_items) == (3, 3)


# --- progress ---


def test_progress_counts_the_rows_of_each_phase(model: Recommender, tmp_path: Path) -> None:
    reports: list[BatchProgress] = []
    source = write_rows(tmp_path / "in.parquet", history_rows(19))
    model.recommend_file(source, tmp_path / "out.parquet", 2, watch=reports.append)
    rows = {
        phase: [report.rows for report in reports if report.phase == phase]
        for phase in ("check", "answer", "write")
    }
    assert rows["check"] == rows["write"] == [8, 16, 19]
    assert rows["answer"][0] == 0
    assert rows["answer"][-1] == 19
    assert {report.total for report in reports if report.phase != "check"} == {19}


def test_events_also_end_a_part(
    model: Recommender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from segue.recommender.batch.rows import BatchInput

    monkeypatch.setattr(BatchInput, "events_per_part", 10)
    reports: list[BatchProgress] = []
    rows = [{"items": ["100"] * 3} for _ in range(10)]
    source = write_rows(tmp_path / "in.parquet", rows)
    model.recommend_file(source, tmp_path / "out.parquet", 2, watch=reports.append)
    assert [report.rows for report in reports if report.phase == "check"] == [4, 8, 10]


def test_items_of_lists_also_end_a_part(
    model: Recommender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is in memory at a time does not grow with the length of the lists."""
    from segue.recommender.batch.rows import BatchInput

    monkeypatch.setattr(BatchInput, "items_per_part", 20)
    rows = [{"items": ["100"], "k": k} for k in [2] * 8 + [5] * 4 + [2] * 2]
    ends: dict[str, list[int]] = {}
    for name, its_rows in (("own", rows), ("shared", [{"items": row["items"]} for row in rows])):
        reports: list[BatchProgress] = []
        source = write_rows(tmp_path / f"{name}.jsonl", its_rows)
        model.recommend_file(source, tmp_path / f"{name}.parquet", 5, watch=reports.append)
        ends[name] = [report.rows for report in reports if report.phase == "check"]
    assert ends == {"own": [8, 12, 14], "shared": [4, 8, 12, 14]}


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
def test_ids_in_a_column_called_row_are_checked_too(
    model: Recommender, tmp_path: Path, suffix: str
) -> None:
    rows = [{"row": 4, "items": ["100"]}, {"row": 4, "items": ["200"]}]
    source = write_rows(tmp_path / f"in{suffix}", rows)
    with pytest.raises(RequestError, match="row '4' is also that of row 0"):
        model.recommend_file(source, tmp_path / "out.parquet", 2, id_column="row")
    assert not (tmp_path / "out.parquet.partial").exists()


@pytest.mark.parametrize("value", [0, False, "", {}])
def test_what_is_no_list_is_no_empty_history(
    model: Recommender, tmp_path: Path, value: object
) -> None:
    source = write_rows(tmp_path / "in.jsonl", [{"items": ["100"]}, {"items": value}])
    with pytest.raises(RequestError, match=r"row 1 .*items is"):
        model.recommend_file(source, tmp_path / "out.parquet", 2)


def test_options_may_be_numbers_of_numpy(model: Recommender, tmp_path: Path) -> None:
    source = write_rows(tmp_path / "in.jsonl", [{"items": ["100"]}])
    plain, of_numpy = tmp_path / "plain.jsonl", tmp_path / "numpy.jsonl"
    model.recommend_file(source, plain, 3, popularity=0.5, cap={"genres": 2})
    of_all: Any = {"popularity": np.float32(0.5), "cap": {"genres": np.int64(2)}}
    model.recommend_file(source, of_numpy, 3, **of_all)
    assert of_numpy.read_bytes() == plain.read_bytes()
