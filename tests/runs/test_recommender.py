from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from segue.axes import Ragged
from segue.config import (
    Config,
    FilterConfig,
    ModelConfig,
    PrepareConfig,
    SplitConfig,
    TrainingConfig,
)
from segue.dataset import Dataset, prepare
from segue.errors import DatasetError, RequestError, RunError
from segue.evaluation import evaluate
from segue.ranking import Queries
from segue.recommender import Recommender
from segue.trainer import train


@pytest.fixture(scope="module")
def model(cycle_run: Path) -> Recommender:
    return Recommender.load(cycle_run)


def test_recommends_what_follows_in_the_callers_ids(model: Recommender) -> None:
    answer = model.recommend(["i3", "i4", "i5"], k=3)
    assert answer.items[0].item_id == "i6"
    assert [item.rank for item in answer.items] == [1, 2, 3]
    scores = [item.score for item in answer.items]
    assert scores == sorted(scores, reverse=True)
    assert not {"i3", "i4", "i5"} & {item.item_id for item in answer.items}
    assert answer.model == "cycles"
    assert answer.took_ms > 0


def test_seen_items_come_back_only_when_asked_for(model: Recommender) -> None:
    history = [f"i{i}" for i in range(7)]
    assert len(model.recommend(history, k=12).items) == 5
    assert len(model.recommend(history, k=12, include_seen=True).items) == 12


def test_unknown_items_are_reported_and_stand_in_the_context(model: Recommender) -> None:
    answer = model.recommend(["never", "i4", "heard", "i5"], k=1)
    assert answer.unknown_items == ["never", "heard"]
    assert answer.items[0].item_id == "i6"


def test_an_id_that_is_no_text_is_refused(cycle_run: Path) -> None:
    code = f"import segue; segue.Recommender.load({str(cycle_run)!r}).recommend([7])"
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert "RequestError: item id 7 is no text" in ended.stderr


def test_a_long_prompt_says_what_was_out_of_sight(model: Recommender) -> None:
    long = model.recommend([f"i{i % 12}" for i in range(11)], k=1)
    assert long.truncated == 11 - 8
    assert model.recommend(["i1"], k=1).truncated == 0


def test_an_empty_prompt_begins_from_start(model: Recommender) -> None:
    assert len(model.recommend([], k=5).items) == 5


def test_an_empty_prompt_needs_something_to_begin_from(cycle_run: Path) -> None:
    model = Recommender.load(cycle_run)
    model.network.layout = replace(model.network.layout, start=False)
    for ask in (model.recommend, partial(model.continue_sequence, length=5)):
        with pytest.raises(RequestError, match="this model has no START to begin from") as caught:
            ask()
        assert caught.value.hint == "give at least one item"


def test_a_known_user_is_continued_from_their_history(model: Recommender, cycles: Dataset) -> None:
    row = cycles.sequences.find("u7")
    assert row is not None
    history = [cycles.items.ids[i - 4] for i in cycles.sequences.row(row)]
    assert model.recommend(user="u7", k=4).items == model.recommend(history, k=4).items
    last = int(history[-1][1:])
    assert model.recommend(user="u7", k=1).items[0].item_id == f"i{(last + 1) % 12}"


def test_an_unknown_user_is_an_error_that_says_what_to_do(model: Recommender) -> None:
    with pytest.raises(RequestError, match="user 'nobody' is not in the dataset"):
        model.recommend(user="nobody")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.recommend(["i1"], k=0), "k is 0, expected 1 or more"),
        (lambda m: m.recommend(["i1"], k=13), "k is 13, beyond the catalogue of 12 items"),
        (lambda m: m.recommend("i1"), "expected a list of item ids"),
        (lambda m: m.continue_sequence(["i1"], length=13), "length is 13, beyond the catalogue"),
        (lambda m: m.continue_sequence(["i1"], length=5, temperature=-1.0), "temperature is -1"),
        (lambda m: m.continue_sequence(["i1"], length=5, temperature=1e308), "temperature is 1e"),
        (lambda m: m.continue_sequence(["i1"], length=5, top_k=0), "top_k is 0"),
        (lambda m: m.continue_sequence(["i1"], length=5, seed=-1), "seed is -1"),
        (lambda m: m.continue_sequence(["i1"], length=5, end_weight=1.0), "the model has no END"),
        (lambda m: m.continue_sequence(["i1"], length=5, end_weight=-1.0), "end_weight is -1.0"),
    ],
)
def test_impossible_requests_get_one_clear_line(model: Recommender, call, message: str) -> None:
    with pytest.raises(RequestError, match=message) as caught:
        call(model)
    assert caught.value.hint


def test_greedy_continuation_walks_the_cycle(model: Recommender) -> None:
    answer = model.continue_sequence(["i3"], length=6, temperature=0.0)
    assert [item.item_id for item in answer.items] == [f"i{i}" for i in range(4, 10)]


def test_sampled_continuation_is_seeded_and_never_repeats(model: Recommender) -> None:
    one = model.continue_sequence(["i3"], length=8, temperature=2.0, top_k=12, seed=1)
    same = model.continue_sequence(["i3"], length=8, temperature=2.0, top_k=12, seed=1)
    other = model.continue_sequence(["i3"], length=8, temperature=2.0, top_k=12, seed=2)
    assert one.items == same.items
    assert one.items != other.items
    ids = ["i3", *(item.item_id for item in one.items)]
    assert len(set(ids)) == len(ids)


def test_more_than_the_catalogue_to_sample_from_is_all_of_it(model: Recommender) -> None:
    whole = model.continue_sequence(["i3"], length=8, temperature=2.0, top_k=12)
    assert model.continue_sequence(["i3"], length=8, temperature=2.0, top_k=10**19).items == (
        whole.items
    )


def test_a_continuation_ends_where_the_catalogue_does(model: Recommender) -> None:
    answer = model.continue_sequence([f"i{i}" for i in range(8)], length=10, temperature=0.0)
    assert len(answer.items) == 4


def test_blocks_of_any_size_give_the_same_hidden_states(
    model: Recommender, cycles: Dataset
) -> None:
    rows, network = [cycles.sequences.row(i) for i in range(20)], model.network
    told = network.vocabulary.encode([{}])
    together = network.hidden(Ragged.of(rows), told.take(np.zeros(20, np.int64)))
    alone = np.concatenate([network.hidden(Ragged.of([row]), told) for row in rows])
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("block_size", [1, 7])
def test_a_models_figures_do_not_depend_on_the_block_size(
    model: Recommender, cycles: Dataset, block_size: int
) -> None:
    whole, blocked = (
        evaluate(model, cycles, block_size=size).results[0] for size in (None, block_size)
    )
    assert blocked.metrics == whole.metrics


def test_another_dataset_is_joined_by_item_id(
    cycle_run: Path, cycles: Dataset, tmp_path: Path
) -> None:
    log = ["user_id,item_id,timestamp"]
    for user in range(30):
        for place in range(4):
            log.append(f"v{user},i{(3 * user + place) % 12},{place}")
        log += [f"v{user},stranger,{7}", f"v{user},i{(3 * user + 4) % 12},{8}"]
    (tmp_path / "log.csv").write_text("\n".join(log) + "\n")
    split = SplitConfig(kind="leave-one-out")
    other = prepare(tmp_path / "log.csv", tmp_path / "other", PrepareConfig(split=split))
    ranker = Recommender.load(cycle_run).ranker(other)
    (result,) = evaluate(ranker, other, on="validation").results
    assert result.metrics["hr@1"].mean == 0  # every validation target is the stranger
    (result,) = evaluate(ranker, other, on="test").results
    assert result.metrics["hr@1"].mean > 0.6


def test_candidates_are_those_of_the_dataset_that_asks(
    model: Recommender, cycles: Dataset, tmp_path: Path
) -> None:
    """Items that one of the two does not know neither compete nor leave holes in a list."""
    log = ["user_id,item_id,timestamp"]
    for user in range(9):
        places = [f"i{(user + place) % 5}" for place in range(4)]
        log += [f"v{user},{item},{time}" for time, item in enumerate(["stranger", *places])]
    (tmp_path / "log.csv").write_text("\n".join(log) + "\n")
    split = SplitConfig(kind="leave-one-out")
    other = prepare(tmp_path / "log.csv", tmp_path / "other", PrepareConfig(split=split))
    ranker = model.ranker(other)
    history = other.items.find(["stranger", "i1", "i2"])
    queries = Queries(Ragged.of([history] * 3), Ragged.of([history] * 3), np.full(3, -1))
    order = [
        item.item_id
        for item in model.recommend(["stranger", "i1", "i2"], k=10).items
        if item.item_id in {"i0", "i3", "i4"}
    ]
    found = ranker.top(queries.slice(0, 1), 5).items[0]
    assert other.items.titles(found) == [*order, "<pad>", "<pad>"]
    assert ranker.ranks(queries, other.items.find(order)).tolist() == [1, 2, 3]
    stranger = other.items.find(["stranger"])
    assert ranker.ranks(queries.slice(0, 1), stranger).tolist() == [0]


RUN_FILES = ("weights.safetensors", "items.parquet", "config.json", "sequence_values.json")


def copied(run: Path, to: Path) -> Path:
    to.mkdir()
    for path in run.glob("*.*"):
        (to / path.name).write_bytes(path.read_bytes())
    return to


@pytest.mark.parametrize("name", [*RUN_FILES, "card.json"])
def test_a_missing_file_is_refused(genre_run: Path, tmp_path: Path, name: str) -> None:
    copy = copied(genre_run, tmp_path / "run")
    (copy / name).unlink()
    with pytest.raises(RunError, match=f"not a complete run: no {name}"):
        Recommender.load(copy)


@pytest.mark.parametrize("name", RUN_FILES)
def test_an_altered_file_is_refused(genre_run: Path, tmp_path: Path, name: str) -> None:
    copy = copied(genre_run, tmp_path / "run")
    content = bytearray((copy / name).read_bytes())
    content[-1] ^= 1
    (copy / name).write_bytes(content)
    with pytest.raises(RunError, match="checksum differs"):
        Recommender.load(copy)


def test_a_dataset_that_has_gone_is_said(cycle_run: Path, monkeypatch) -> None:
    model = Recommender.load(cycle_run)
    model._dataset["path"] = "nowhere"
    with pytest.raises(DatasetError, match="there is no folder nowhere") as caught:
        model.recommend(user="u1")
    assert caught.value.hint == "give the history itself instead of a user"


def test_a_model_can_be_told_a_session_and_whose_it_is(tmp_path: Path) -> None:
    log = ["user_id,item_id,timestamp"]
    for user in range(8):
        places = [(place, 1000 * (place // 4) + place) for place in range(12)]
        log += [f"u{user},i{(user + place) % 6},{time}" for place, time in places]
    (tmp_path / "log.csv").write_text("\n".join(log) + "\n")
    filters, split = FilterConfig(session_gap_s=60), SplitConfig(kind="leave-one-out")
    config = PrepareConfig(filters=filters, split=split)
    data = prepare(tmp_path / "log.csv", tmp_path / "sessions", config)
    reader = Config(
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
    model = Recommender.load(train(data, tmp_path / "run", config=reader))
    row = data.sequences.find("u3:2")
    assert row is not None
    assert data.sequences.attributes.column("session_of")[row].as_py() == "u3"
    told = model.network.vocabulary.encode_rows(data.sequences, np.array([row]))
    assert np.count_nonzero(told.weights) == 2
    assert model._prompt((), "u3:2", None).told.codes.tolist() == told.codes.tolist()
    assert model.recommend(user="u3:2", k=1).notes == []
