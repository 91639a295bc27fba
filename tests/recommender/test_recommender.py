"""``Recommender``: requests, users, generation, other datasets and run folders."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from segue.config import (
    Config,
    FilterConfig,
    ModelConfig,
    PrepareConfig,
    SplitConfig,
    TrainingConfig,
)
from segue.dataset import Dataset
from segue.errors import DatasetError, RequestError, RunError
from segue.evaluation import evaluate
from segue.preparation import prepare
from segue.ragged import Ragged
from segue.ranking import Query
from segue.recommender import Recommender
from segue.recommender.histories import TrainingHistories
from segue.trainer import train


@pytest.fixture(scope="module")
def model(cycle_run: Path) -> Recommender:
    return Recommender.load(cycle_run)


def test_recommends_next_items_by_their_ids(model: Recommender) -> None:
    answer = model.recommend(["i3", "i4", "i5"], k=3)
    assert answer.items[0].item_id == "i6"
    assert [item.rank for item in answer.items] == [1, 2, 3]
    scores = [item.score for item in answer.items]
    assert scores == sorted(scores, reverse=True)
    assert not {"i3", "i4", "i5"} & {item.item_id for item in answer.items}
    assert answer.model == "cycles"
    assert answer.took_ms > 0


def test_seen_items_are_recommended_only_with_include_seen(model: Recommender) -> None:
    history = [f"i{i}" for i in range(7)]
    assert len(model.recommend(history, k=12).items) == 5
    assert len(model.recommend(history, k=12, include_seen=True).items) == 12


def test_unknown_items_are_reported_and_stay_in_the_context(model: Recommender) -> None:
    answer = model.recommend(["unknown-1", "i4", "unknown-2", "i5"], k=1)
    assert answer.unknown_items == ["unknown-1", "unknown-2"]
    assert answer.items[0].item_id == "i6"


def test_an_id_of_another_type_is_refused(cycle_run: Path) -> None:
    code = f"import segue; segue.Recommender.load({str(cycle_run)!r}).recommend([7.5])"
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    expected = "RequestError: item id 7.5 is not a whole number, expected a string or an integer"
    assert expected in ended.stderr


@pytest.mark.parametrize("convert", [
    tuple, iter, np.array, pa.array, lambda ids: (item for item in ids), lambda ids: map(str, ids),
], ids=["tuple", "iterator", "NumPy", "Arrow", "generator", "map"])  # fmt: skip
def test_a_history_in_any_iterable_gives_the_same_answer(model: Recommender, convert: Any) -> None:
    history = ["i3", "i4", "i5"]
    expected = model.recommend(history, k=3)
    answer = model.recommend(convert(history), k=3)
    assert answer.items == expected.items
    generated = model.generate(convert(history), length=3, temperature=0.0)
    assert generated.items == model.generate(history, length=3, temperature=0.0).items


@pytest.mark.parametrize("include_seen", [False, True])
def test_many_histories_give_the_answers_of_each(model: Recommender, include_seen: bool) -> None:
    """More histories than one block of the encoder, of different lengths, one of them empty."""
    histories = [[f"i{(first + i) % 12}" for i in range(first % 9)] for first in range(270)]
    histories[5] = ["unknown", "i3"]
    answers = model.recommend(histories, k=3, include_seen=include_seen)
    assert len(answers) == len(histories)
    for row in (0, 1, 5, 8, 255, 256, 269):
        alone = model.recommend(histories[row], k=3, include_seen=include_seen)
        assert [item.item_id for item in answers[row]] == [item.item_id for item in alone]
        np.testing.assert_allclose(
            [item.score for item in answers[row]], [item.score for item in alone], rtol=1e-4
        )
        assert answers[row].unknown_items == alone.unknown_items
        assert answers[row].truncated == alone.truncated


def test_many_users_bring_their_histories(model: Recommender, cycles: Dataset) -> None:
    users = [cycles.sequences.ids[row].as_py() for row in (0, 3)]
    answers = model.recommend([[], []], k=2, user=users)
    assert [[item.item_id for item in answer] for answer in answers] == [
        [item.item_id for item in model.recommend(user=user, k=2)] for user in users
    ]
    with pytest.raises(RequestError, match="user is 'u1', expected a list with one value"):
        model.recommend([["i1"], ["i2"]], k=2, user="u1")  # pyright: ignore


def test_an_answer_is_a_sequence_of_its_items_and_a_table(model: Recommender) -> None:
    answer = model.recommend(["i3", "i4"], k=3)
    assert len(answer) == 3
    assert list(answer) == answer.items
    table = answer.to_arrow()
    assert table.column("item_id").to_pylist() == [item.item_id for item in answer]
    assert table.column("rank").to_pylist() == [1, 2, 3]
    assert table.to_pylist() == answer.to_dict()["items"]


def test_many_answers_are_one_table(model: Recommender) -> None:
    answers = model.recommend([["i3"], ["i4", "i5"]], k=2)
    table = answers.to_arrow()
    assert table.column("history").to_pylist() == [0, 0, 1, 1]
    assert table.drop_columns(["history"]).to_pylist() == [
        row for answer in answers for row in answer.to_dict()["items"]
    ]
    nothing = model.recommend(np.zeros((0, 1), int)).to_arrow()
    assert nothing.schema == table.schema
    assert nothing.num_rows == 0


def test_ids_of_requests_follow_the_rule_for_ids(model: Recommender) -> None:
    expected = model.recommend(["i3", "i4"], k=3).items
    assert model.recommend(iter([" i3", "i4\u00a0"]), k=3).items == expected
    assert model.similar_items(" i3", k=2).items == model.similar_items("i3", k=2).items
    assert model.recommend(user=" u1 ", k=2).items == model.recommend(user="u1", k=2).items
    np.testing.assert_array_equal(
        model.score([" i3"], (i for i in ["i4 "])), model.score(["i3"], ["i4"])
    )
    with pytest.raises(RequestError, match=r"user .* is of type list, expected a string"):
        model.recommend(user=["3", "4"])  # pyright: ignore
    with pytest.raises(RequestError, match="user 'NULL' stands for a missing id"):
        model.recommend(user="NULL")


@pytest.mark.parametrize("convert", [iter, tuple, lambda ids: map(str, ids)])
def test_a_history_is_read_from_any_ordered_iterable(model: Recommender, convert: Any) -> None:
    ids = ["i3", "i4"]
    assert model.recommend(convert(ids), k=3).items == model.recommend(ids, k=3).items


def test_an_integer_user_is_looked_up_as_its_string(model: Recommender) -> None:
    with pytest.raises(RequestError, match="user '7' is not in the dataset"):
        model.recommend(user=7)


def test_truncated_events_are_counted(model: Recommender) -> None:
    answer = model.recommend([f"i{i % 12}" for i in range(11)], k=1)
    assert answer.truncated == 11 - 8
    assert model.recommend(["i1"], k=1).truncated == 0


def test_an_empty_history_gives_recommendations(model: Recommender) -> None:
    assert len(model.recommend([], k=5).items) == 5


def test_an_empty_history_needs_a_model_with_start(cycle_run: Path) -> None:
    model = Recommender.load(cycle_run)
    model._requests = replace(model._requests, has_start=False)
    for call in (model.recommend, partial(model.generate, length=5)):
        with pytest.raises(
            RequestError, match="the history is empty, and this model has no START to predict from"
        ) as caught:
            call()
        assert caught.value.hint == "give at least one item"


def test_the_history_of_a_user_is_used(model: Recommender, cycles: Dataset) -> None:
    row = cycles.sequences.find("u7")
    assert row is not None
    history = [cycles.items.ids[i - 4] for i in cycles.sequences.row(row)]
    assert model.recommend(user="u7", k=4).items == model.recommend(history, k=4).items
    last = int(history[-1][1:])
    assert model.recommend(user="u7", k=1).items[0].item_id == f"i{(last + 1) % 12}"


def test_an_unknown_user_is_refused(model: Recommender) -> None:
    with pytest.raises(RequestError, match="user 'nobody' is not in the dataset"):
        model.recommend(user="nobody")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.recommend(["i1"], k=0), "k is 0, expected 1 or more"),
        (lambda m: m.recommend(["i1"], k=13), "k is 13, more than the catalogue of 12 items"),
        (lambda m: m.recommend("i1"), "expected a list of item ids"),
        (
            lambda m: m.generate(["i1"], length=13),
            "length is 13, more than the catalogue of 12 items",
        ),
        (lambda m: m.generate(["i1"], length=5, temperature=-1.0), "temperature is -1"),
        (lambda m: m.generate(["i1"], length=5, temperature=1e308), "temperature is 1e"),
        (lambda m: m.generate(["i1"], length=5, top_k=0), "top_k is 0"),
        (lambda m: m.generate(["i1"], length=5, seed=-1), "seed is -1"),
        (lambda m: m.generate(["i1"], length=5, end_weight=1.0), "the model does not predict END"),
        (lambda m: m.generate(["i1"], length=5, end_weight=-1.0), "end_weight is -1.0"),
    ],
)
def test_invalid_requests_are_refused(model: Recommender, call, message: str) -> None:
    with pytest.raises(RequestError, match=message) as caught:
        call(model)
    assert caught.value.hint


def test_greedy_generation_follows_the_cycle(model: Recommender) -> None:
    answer = model.generate(["i3"], length=6, temperature=0.0)
    assert [item.item_id for item in answer.items] == [f"i{i}" for i in range(4, 10)]


def test_sampled_generation_is_seeded_and_has_no_repeats(model: Recommender) -> None:
    answer = model.generate(["i3"], length=8, temperature=2.0, top_k=12, seed=1)
    with_same_seed = model.generate(["i3"], length=8, temperature=2.0, top_k=12, seed=1)
    with_other_seed = model.generate(["i3"], length=8, temperature=2.0, top_k=12, seed=2)
    assert answer.items == with_same_seed.items
    assert answer.items != with_other_seed.items
    ids = ["i3", *(item.item_id for item in answer.items)]
    assert len(set(ids)) == len(ids)


def test_top_k_above_the_catalogue_size_samples_from_all_items(model: Recommender) -> None:
    answer = model.generate(["i3"], length=8, temperature=2.0, top_k=12)
    assert model.generate(["i3"], length=8, temperature=2.0, top_k=10**19).items == answer.items


def test_generation_ends_when_all_items_are_used(model: Recommender) -> None:
    answer = model.generate([f"i{i}" for i in range(8)], length=10, temperature=0.0)
    assert len(answer.items) == 4


def test_blocks_of_any_size_give_the_same_hidden_states(
    model: Recommender, cycles: Dataset
) -> None:
    histories = Ragged.from_rows([cycles.sequences.row(i) for i in range(20)])
    query = Query(histories, histories, np.full(20, -1))
    together = model.ensemble.states(query)
    alone = np.concatenate([model.ensemble.states(query.slice(i, i + 1)) for i in range(20)])
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("block_size", [1, 7])
def test_metrics_do_not_depend_on_the_block_size(
    model: Recommender, cycles: Dataset, block_size: int
) -> None:
    in_one_block, in_blocks = (
        evaluate(model, cycles, baselines=None, block_size=size).results[0]
        for size in (1024, block_size)
    )
    assert in_blocks.metrics == in_one_block.metrics


def test_items_of_another_dataset_are_joined_by_id(
    cycle_run: Path, cycles: Dataset, tmp_path: Path
) -> None:
    log = ["user_id,item_id,timestamp"]
    for user in range(30):
        for step in range(4):
            log.append(f"v{user},i{(3 * user + step) % 12},{step}")
        log += [f"v{user},unknown,{7}", f"v{user},i{(3 * user + 4) % 12},{8}"]
    (tmp_path / "log.csv").write_text("\n".join(log) + "\n")
    split = SplitConfig(kind="leave-one-out")
    dataset = prepare(tmp_path / "log.csv", tmp_path / "other", config=PrepareConfig(split=split))
    ranker = Recommender.load(cycle_run).ranker(dataset)
    (result,) = evaluate(ranker, dataset, baselines=None, part="validation").results
    assert result.metrics["hr@1"].mean == 0  # every validation target is unknown
    (result,) = evaluate(ranker, dataset, baselines=None, part="test").results
    assert result.metrics["hr@1"].mean > 0.6


def test_candidates_are_the_items_of_both_catalogues(
    model: Recommender, cycles: Dataset, tmp_path: Path
) -> None:
    """Items of only one of the two are not ranked and leave no gaps in the lists."""
    log = ["user_id,item_id,timestamp"]
    for user in range(9):
        items = [f"i{(user + step) % 5}" for step in range(4)]
        log += [f"v{user},{item},{time}" for time, item in enumerate(["unknown", *items])]
    (tmp_path / "log.csv").write_text("\n".join(log) + "\n")
    split = SplitConfig(kind="leave-one-out")
    dataset = prepare(tmp_path / "log.csv", tmp_path / "other", config=PrepareConfig(split=split))
    ranker = model.ranker(dataset)
    history = dataset.items.find(["unknown", "i1", "i2"])
    query = Query(Ragged.from_rows([history] * 3), Ragged.from_rows([history] * 3), np.full(3, -1))
    order = [
        item.item_id
        for item in model.recommend(["unknown", "i1", "i2"], k=10).items
        if item.item_id in {"i0", "i3", "i4"}
    ]
    indices = ranker.top(query.slice(0, 1).with_k(5)).items[0]
    assert dataset.items.titles(indices) == [*order, "<pad>", "<pad>"]
    assert ranker.ranks(query, dataset.items.find(order)).tolist() == [1, 2, 3]
    unknown_items = dataset.items.find(["unknown"])
    assert ranker.ranks(query.slice(0, 1), unknown_items).tolist() == [0]


RUN_FILES = ("weights.safetensors", "items.parquet", "config.json", "sequence_values.json")


def copy_run(run: Path, to: Path) -> Path:
    to.mkdir()
    for path in run.glob("*.*"):
        (to / path.name).write_bytes(path.read_bytes())
    return to


@pytest.mark.parametrize("name", [*RUN_FILES, "card.json"])
def test_a_missing_file_is_refused(genre_run: Path, tmp_path: Path, name: str) -> None:
    copy = copy_run(genre_run, tmp_path / "run")
    (copy / name).unlink()
    with pytest.raises(RunError, match=f"not a complete run: no {name}"):
        Recommender.load(copy)


@pytest.mark.parametrize("name", RUN_FILES)
def test_a_changed_file_is_refused(genre_run: Path, tmp_path: Path, name: str) -> None:
    copy = copy_run(genre_run, tmp_path / "run")
    content = bytearray((copy / name).read_bytes())
    content[-1] ^= 1
    (copy / name).write_bytes(content)
    with pytest.raises(RunError, match="checksum differs"):
        Recommender.load(copy)


def test_a_missing_training_dataset_is_reported(cycle_run: Path, monkeypatch) -> None:
    model = Recommender.load(cycle_run)
    model._training = TrainingHistories("nowhere", "0", "run")
    model._requests = replace(model._requests, histories=model._training)
    with pytest.raises(DatasetError, match="there is no folder nowhere") as caught:
        model.recommend(user="u1")
    hint = (
        "give the history itself instead of a user, attach histories with `segue attach`, or "
        "load the model with histories="
    )
    assert caught.value.hint == hint


@pytest.mark.slow
def test_a_model_can_use_the_session_and_its_user(tmp_path: Path) -> None:
    log = ["user_id,item_id,timestamp"]
    for user in range(8):
        events = [(step, 1000 * (step // 4) + step) for step in range(12)]
        log += [f"u{user},i{(user + step) % 6},{time}" for step, time in events]
    (tmp_path / "log.csv").write_text("\n".join(log) + "\n")
    filters, split = FilterConfig(session_gap_s=60), SplitConfig(kind="leave-one-out")
    config = PrepareConfig(filters=filters, split=split)
    data = prepare(tmp_path / "log.csv", tmp_path / "sessions", config=config)
    train_config = Config(
        model=ModelConfig(
            layers=1,
            heads=1,
            width=8,
            feed_forward=8,
            context=8,
            sequence_features=("user", "session_of"),
        ),
        training=TrainingConfig(batch_size=8, max_steps=2, validation_metric="mrr"),
    )
    model = Recommender.load(train(data, tmp_path / "run", config=train_config))
    row = data.sequences.find("u3:2")
    assert row is not None
    assert data.sequences.attributes.column("session_of")[row].as_py() == "u3"
    feature_ids = model.encoder.vocabulary.encode_rows(data.sequences, np.array([row]))
    assert np.count_nonzero(feature_ids.weights) == 2
    ((request,), _) = model._requests.read_all([], "u3:2", None)
    encoded = model.encoder.vocabulary.encode([request.sequence_features])
    assert encoded.ids.tolist() == feature_ids.ids.tolist()
    assert model.recommend(user="u3:2", k=1).notes == []
