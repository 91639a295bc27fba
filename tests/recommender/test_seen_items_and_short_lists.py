"""The default handling of seen items, and the notes on lists that are shorter than requested."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from segue import baselines
from segue.config import Config
from segue.dataset import Dataset
from segue.errors import NotFiniteError, RunError
from segue.evaluation import evaluate
from segue.preparation import prepare
from segue.recommender import Answer, Recommender, Run
from segue.recommender.answers import short_list_notes
from segue.runs.folder import RunFolder
from segue.runs.weights import load_weights, write_weights
from segue.tokens import END, PAD
from segue.trainer import train

HISTORY = ["i3", "i4", "i5"]
N_ITEMS = 12


@pytest.fixture(scope="module")
def model(cycle_run: Path) -> Recommender:
    return Recommender.load(cycle_run)


@pytest.fixture(scope="module")
def repeating(cycle_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Recommender:
    """The same model, as if the audit of its dataset recommended seen items."""
    folder = tmp_path_factory.mktemp("repeating") / "run"
    shutil.copytree(cycle_run, folder)
    content = json.loads((folder / "config.json").read_text())
    assert content["dataset"]["recommended_seen"] == "exclude"
    content["dataset"]["recommended_seen"] = "include"
    (folder / "config.json").write_text(json.dumps(content))
    card = json.loads((folder / "card.json").read_text())
    card["checksums"] = RunFolder(folder).checksums()
    (folder / "card.json").write_text(json.dumps(card))
    return Recommender.load(folder)


# --- the default ---


def item_ids(answer: Answer) -> set[str]:
    return {item.item_id for item in answer}


def test_without_an_option_the_run_decides(model: Recommender, repeating: Recommender) -> None:
    for recommender, seen in ((model, "exclude"), (repeating, "include")):
        answer = recommender.recommend(HISTORY, k=9)
        assert answer.seen == answer.to_dict()["seen"] == seen
        explicit = recommender.recommend(HISTORY, k=9, include_seen=seen == "include")
        assert [item.item_id for item in answer] == [item.item_id for item in explicit]
    assert len(repeating.recommend(HISTORY, k=N_ITEMS).items) == N_ITEMS


def test_an_option_takes_precedence(model: Recommender, repeating: Recommender) -> None:
    for recommender in (model, repeating):
        assert not item_ids(recommender.recommend(HISTORY, k=9, include_seen=False)) & {*HISTORY}
        assert recommender.recommend(HISTORY, k=9, include_seen=False).seen == "exclude"
        assert len(recommender.recommend(HISTORY, k=N_ITEMS, include_seen=True)) == N_ITEMS
        assert recommender.recommend(HISTORY, k=N_ITEMS, include_seen=True).seen == "include"


def test_generation_may_return_to_items_of_the_history_once(repeating: Recommender) -> None:
    answer = repeating.generate(HISTORY, N_ITEMS, temperature=0.0)
    assert len(item_ids(answer)) == len(answer) == N_ITEMS
    assert answer.seen == "include"
    assert not answer.notes
    without = repeating.generate(HISTORY, N_ITEMS, temperature=0.0, include_seen=False)
    assert not item_ids(without) & {*HISTORY}


@pytest.mark.slow
def test_validation_follows_the_audit(config: Config, tmp_path: Path) -> None:
    """Every target is an item of the history, so excluding it would measure 0."""
    log = tmp_path / "log.csv"
    rows = [f"u{u},i{(u + n) % 3},{n}" for u in range(20) for n in range(8)]
    log.write_text("\n".join(["user_id,item_id,timestamp", *rows]) + "\n")
    data = prepare(log, tmp_path / "data", split="leave-one-out")
    changes = {"max_steps": 10, "validate_every": 10, "validation_metric": "mrr"}
    run = train(data, tmp_path / "run", config=config, **changes)
    assert run.card["results"]["protocol"]["seen"] == "include"
    assert run.card["validation"]["best"] > 0.2
    assert run.load().recommend(["i0"], k=3).seen == "include"


# --- notes ---


def test_everything_seen_gives_an_empty_list_with_a_note(model: Recommender) -> None:
    answer = model.recommend([f"i{n}" for n in range(N_ITEMS)], k=5)
    assert answer.items == []
    (note,) = answer.notes
    assert note.startswith("the list has 0 of the 5 items requested")
    assert "include_seen=True or --include-seen" in note


def test_each_of_many_short_lists_has_its_note(model: Recommender) -> None:
    answers = model.recommend([HISTORY, ["i1"], []], k=N_ITEMS)
    assert [len(answer) for answer in answers] == [9, 11, 12]
    assert [len(answer.notes) for answer in answers] == [1, 1, 0]


def test_generation_says_that_the_catalogue_is_used_up(model: Recommender) -> None:
    answer = model.generate(["i1"], N_ITEMS, seed=1)
    assert len(answer) == N_ITEMS - 1
    assert answer.notes[0].startswith("the list has 11 of the 12 items requested")


def test_notes_name_the_reason() -> None:
    assert short_list_notes(np.array([4, 5], np.int32), False) == []
    assert "ended the sequence" in short_list_notes(np.array([4, END, PAD], np.int32), False)[0]
    assert "in the history" in short_list_notes(np.array([4, PAD], np.int32), False)[0]
    for includes_seen in (True, None):
        assert "no more items" in short_list_notes(np.array([4, PAD], np.int32), includes_seen)[0]


# --- numbers that are not finite ---


def with_parameters(run: Path, change: Callable[[jax.Array], jax.Array]) -> Recommender:
    model = Recommender.load(run)
    model.encoder._params = jax.tree.map(change, model.encoder._params)
    return model


@pytest.mark.parametrize("change", [lambda x: x * 1e30, lambda x: x * jnp.nan])
def test_scores_that_are_not_finite_are_an_error(cycle_run: Path, cycles: Dataset, change) -> None:
    broken = with_parameters(cycle_run, change)
    calls = [
        lambda: broken.recommend(HISTORY),
        lambda: broken.recommend([HISTORY] * 3),
        lambda: broken.generate(HISTORY, 2),
        lambda: broken.score(HISTORY, ["i1"]),
        lambda: broken.encode(HISTORY),
        lambda: evaluate(broken, cycles, baselines=None, resamples=0),
    ]
    for call in calls:
        with pytest.raises(NotFiniteError, match="scores of the model are not finite") as caught:
            call()
        assert "learning_rate" in caught.value.hint


def test_similar_items_of_vectors_that_are_not_finite_are_an_error(cycle_run: Path) -> None:
    broken = with_parameters(cycle_run, lambda x: x * jnp.nan)
    with pytest.raises(NotFiniteError):
        broken.similar_items("i1", k=2)


def test_similar_items_do_not_depend_on_the_scale_of_the_vectors(
    cycle_run: Path, model: Recommender
) -> None:
    expected = model.similar_items("i1", k=5)
    for scale in (2.0**-90, 2.0**90):
        scaled = with_parameters(cycle_run, lambda x, scale=scale: x * scale)
        assert scaled.similar_items("i1", k=5).items == expected.items


def test_weights_that_are_not_finite_are_not_loaded(model: Recommender, tmp_path: Path) -> None:
    params = nnx.state(model.encoder.model())
    file = tmp_path / "weights.safetensors"
    for value in (jnp.nan, jnp.inf):
        write_weights(file, jax.tree.map(lambda x, value=value: x.at[0].set(value), params), 1)
        with pytest.raises(RunError, match="numbers that are not finite"):
            load_weights(file, params)


def test_count_based_rankers_are_not_concerned(cycles: Dataset) -> None:
    ranker = baselines.fit("popularity", cycles)
    assert evaluate(ranker, cycles, resamples=0).protocol["seen"] == "exclude"


def test_a_run_without_the_value_excludes_seen_items(cycle_run: Path) -> None:
    _, dataset = RunFolder(Run.open(cycle_run)).read_config()
    assert dataset.pop("recommended_seen") == "exclude"
    assert Recommender.load(cycle_run).includes_seen is False
