"""The second transformer of a run: trained in ``second/``, weighted, served, resumed exactly."""

from __future__ import annotations

import json
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segue.config import Config
from segue.dataset import Dataset
from segue.errors import RequestError, RunError
from segue.evaluation import evaluate
from segue.preparation import prepare
from segue.ragged import Ragged
from segue.ranking import Query
from segue.recommender import (
    Ensemble,
    Recommender,
    Run,
    SecondTransformer,
    load_members,
    write_members,
)
from segue.recommender.prefix_cache import states_at
from segue.runs import RunFolder
from segue.trainer import Progress, budget, train
from segue.trainer.budget import StepCost
from segue.trainer.second import BUDGET_SHARE, second_config
from small_ensembles import write_checksums

CHANGES: dict[str, Any] = {"second_context": 3, "second_steps": 4, "max_steps": 3}


@pytest.fixture(scope="module")
def run(cycles: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Run:
    from small_runs import CONFIG

    folder = tmp_path_factory.mktemp("second") / "run"
    return train(cycles, folder, config=CONFIG, **CHANGES)


def files_of(run: Path) -> list[bytes]:
    """The weights of both transformers."""
    return [(run / f).read_bytes() for f in ("weights.safetensors", "second/weights.safetensors")]


def query_of(model: Recommender, *users: str | None) -> Query:
    """Requests of two events each, by users; None for a user that nobody knows."""
    history = model.items.find(["i3", "i4"])
    histories = Ragged.from_rows([history] * len(users))
    features = [{"user": user or "nobody"} for user in users]
    return Query(
        histories, histories, rows=np.full(len(users), -1), k=3, sequence_features=features
    )


def test_it_reads_the_last_events_and_the_user(config: Config, cycles: Dataset):
    given = config.model_copy(
        update={"ensemble": config.ensemble.model_copy(update={"second_context": 3})}
    )
    second = second_config(given, cycles)
    assert (second.model.context, second.model.sequence_features) == (3, ("user",))
    assert second.training.rows == "targets"
    assert not second.ensemble.is_fitted
    assert second.model.width == config.model.width


def test_it_is_a_weighted_member_of_the_run(run: Run, cycles: Dataset):
    second = load_members(RunFolder(run), cycles.vocabulary_size).dense[0]
    assert isinstance(second, SecondTransformer)
    weights = run.card["ensemble"]["weights"]
    assert second.weight > 0
    assert second.weight == pytest.approx(weights["second-transformer"])
    # It cannot answer for unknown users, so it is never chosen alone.
    assert "second-transformer" not in run.card["ensemble"]["held_out_ndcg@10"]
    ensemble = run.ensemble
    assert ensemble is not None
    stored = ensemble["members"][0]
    assert stored["kind"] == "transformer"
    assert stored["parameters"] == {"context": 3, "sequence_features": "user"}
    assert stored["entries"] == Run.open(run.path / "second").card["parameters"]


def test_without_users_it_is_no_row_of_an_evaluation(run: Run, cycles: Dataset):
    results = evaluate(
        [run.path], cycles, baselines=None, members=True, resamples=0, use_sequence_features=False
    )
    names = [result.model for result in results.results]
    assert "run: transformer" in names
    assert "run: second-transformer" not in names


@pytest.mark.slow
def test_after_warm_up_no_length_compiles(run: Run):
    model = run.load()
    model.warm_up(max_rows=1, max_k=3)
    compiled = states_at._cache_size()  # type: ignore[attr-defined]
    for length in range(9):
        model.recommend(["i3"] * length, k=3)
    assert states_at._cache_size() == compiled  # type: ignore[attr-defined]


def test_a_misspelt_user_is_refused(run: Run):
    with pytest.raises(RequestError, match="nobody"):
        run.load().recommend(user="nobody", k=3)


def test_generation_and_similar_items_have_it_too(run: Run):
    model = run.load()
    assert model.generate(["i3"], length=3, seed=1).items
    assert len(model.similar_items("i3", k=2).items) == 2


@pytest.mark.slow
def test_it_learns_from_the_shortest_sequences(tmp_path: Path):
    log = tmp_path / "log.csv"
    rows = [f"u{u},i{(u + k) % 7},{k + 1}" for u in range(60) for k in range(4)]
    log.write_text("\n".join(["user_id,item_id,timestamp", *rows]))
    data = prepare(log, tmp_path / "data", split="leave-one-out")
    settings = {"model.width": 8, "model.feed_forward": 8, "ensemble.members": ()}
    run = train(data, tmp_path / "run", budget=10.0, second_steps=3, **settings)
    assert (run.path / "second" / "card.json").exists()


def test_its_scores_are_added_for_known_users_only(run: Run):
    model = run.load()
    user = model.ensemble.vocabulary.values["user"][0]
    query = query_of(model, user, None)
    items = Ragged.from_rows([np.arange(4, 10, dtype=np.int32)] * 2)
    encoder = model.ensemble.encoder
    second = Recommender.load(run.path / "second").ensemble.encoder
    weights = run.card["ensemble"]["weights"]
    first = (np.asarray(encoder.states(query, 2)) @ np.asarray(encoder.vectors).T)[:, 4:10]
    more = (np.asarray(second.states(query, 2)) @ np.asarray(second.vectors).T)[:, 4:10]
    expected = weights["transformer"] * first
    expected[0] += weights["second-transformer"] * more[0]
    without_popularity = Ensemble(
        encoder, model.ensemble.further_dense[:1], (), None, model.ensemble.encoder_weight
    )
    scores = without_popularity.scores(query, items).reshape(2, -1)
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-5)
    no_features = without_popularity.scores(replace(query, sequence_features=None), items)
    np.testing.assert_allclose(no_features.reshape(2, -1)[1], expected[1], rtol=1e-4, atol=1e-5)


def test_a_request_may_name_a_user_or_not(run: Run):
    model = run.load()
    user = model.ensemble.vocabulary.values["user"][0]
    named = model.recommend(["i3"], k=3, sequence_features={"user": user})
    unnamed = model.recommend(["i3"], k=3)
    assert [item.score for item in named.items] != [item.score for item in unnamed.items]
    assert not unnamed.notes
    alone = run.load(without_ensemble=True)
    assert "user" not in alone.ensemble.vocabulary.values


def test_it_is_evaluated_alone(run: Run, cycles: Dataset):
    results = evaluate([run.path], cycles, baselines=None, members=True, resamples=0)
    names = [result.model for result in results.results]
    assert names[:3] == ["run", "run: transformer", "run: second-transformer"]
    assert results.results[2].metrics["ndcg@10"].mean > 0.5


@pytest.mark.slow
def test_a_run_killed_while_it_is_trained_ends_with_the_same_bits(
    run: Run, cycles: Dataset, config: Config, tmp_path: Path
):
    resumed = tmp_path / "run"
    is_second = False

    def kill(progress: Progress) -> None:
        nonlocal is_second
        is_second = is_second or "second transformer" in progress.message
        if is_second and progress.step == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(cycles, resumed, config=config, watch=kill, **CHANGES)
    assert not Run(resumed).is_finished
    again = train(cycles, resumed, resume=True)
    assert files_of(resumed) == files_of(run.path)
    assert again.card["ensemble"] == run.card["ensemble"]


@pytest.mark.slow
def test_a_signal_meanwhile_leaves_the_run_unfinished(
    run: Run, cycles: Dataset, config: Config, tmp_path: Path
):
    def stop(progress: Progress) -> None:
        if "second transformer" in progress.message:
            signal.raise_signal(signal.SIGINT)

    stopped = train(cycles, tmp_path / "run", config=config, watch=stop, **CHANGES)
    assert not stopped.is_finished
    again = train(cycles, stopped.path, resume=True)
    assert files_of(again.path) == files_of(run.path)
    assert again.card["ensemble"] == run.card["ensemble"]


@pytest.mark.parametrize("name", ["card.json", "weights.safetensors", "config.json"])
def test_another_second_transformer_is_refused(run: Run, tmp_path: Path, name: str):
    copy = tmp_path / "run"
    shutil.copytree(run.path, copy)
    file = copy / "second" / name
    file.write_bytes(file.read_bytes() + b" ")
    with pytest.raises(RunError, match=rf"second.{name}"):
        Recommender.load(copy)


def test_one_of_another_dataset_is_refused(run: Run, tmp_path: Path):
    copy = tmp_path / "run"
    shutil.copytree(run.path, copy)
    folder = RunFolder(copy)
    config = json.loads(folder.second.config.read_text())
    config["dataset"]["fingerprint"] = "0" * 32
    folder.second.config.write_text(json.dumps(config))
    write_checksums(folder.second)
    members = [SecondTransformer(run.load().encoder, 1.0)]
    write_members(folder, members)
    write_checksums(folder)
    with pytest.raises(RunError, match="another dataset"):
        Recommender.load(copy)


@pytest.mark.slow
def test_a_budget_has_a_share_for_it(
    cycles: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(budget, "probe", lambda *_: StepCost(1.0, 0.0))
    settings: dict[str, Any] = {"model.width": 16, "model.feed_forward": 16, "ensemble.members": ()}
    run = train(cycles, tmp_path / "run", budget=15.0, **settings)
    ensemble = run.config.ensemble
    assert ensemble.second_steps == int(0.8 * BUDGET_SHARE * 15)
    assert run.config.training.max_steps == int((0.8 - BUDGET_SHARE) * 15)
    reasons = json.loads((run.path / "config.json").read_text())["reasons"]
    assert any(reason.startswith("second transformer: 4 steps") for reason in reasons)


@pytest.mark.slow
def test_a_small_budget_leaves_it_out(
    cycles: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(budget, "probe", lambda *_: StepCost(10.0, 0.0))
    settings: dict[str, Any] = {
        "model.width": 16,
        "model.feed_forward": 16,
        "ensemble.members": ("co-occurrence",),
    }
    run = train(cycles, tmp_path / "run", budget=60.0, **settings)
    assert run.config.ensemble.second_steps == 0
    assert run.config.training.max_steps == 4
    assert train(cycles, run.path, budget=60.0, resume=True, **settings).is_finished
    with pytest.raises(RunError, match="another configuration"):
        train(cycles, run.path, budget=60.0, resume=True, second_context=2, **settings)
    assert not (run.path / "second").exists()
