"""The loss on held-out events against a slow reference, and the weights that it picks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from genre_world import prepare_genres
from segue.axes import END, UNK, Ragged
from segue.config import Config
from segue.dataset import Dataset, targets
from segue.recommender import Recommender
from segue.trainer import train
from segue.trainer.validation import is_better

Question = tuple[int, list[int], int]
"""The row of a sequence, what stands before a label, and the label."""


def slow_loss(model: Recommender, data: Dataset, questions: list[Question]) -> float:
    """Mean cross-entropy over what can be predicted, one question after another."""
    network = model.network
    table = np.asarray(network.output_table, np.float64)
    told = network.vocabulary.encode_rows(data.sequences)
    losses = []
    for row, history, label in questions:
        state = network.hidden(Ragged.of([history]), told.take(np.array([row])))[0]
        logits = table[END:] @ state.astype(np.float64)
        known = label if label < data.table_size else UNK
        losses.append(np.log(np.exp(logits).sum()) - logits[known - END])
    return float(np.mean(losses))


def single_targets(data: Dataset, window: int | None = None) -> list[Question]:
    """Every held-out event of the validation part, and the events before it."""
    found = targets(data.sequences, data.manifest.split, "validation", "every")
    questions = []
    for row, position in zip(found.rows.tolist(), found.positions.tolist(), strict=True):
        events = data.sequences.row(row).tolist()
        begin = 0 if window is None else max(position - window, 0)
        questions.append((row, events[begin:position], events[position]))
    return questions


def validations(run: Path) -> list[dict]:
    lines = (run / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    return [row for row in rows if row["kind"] == "validation"]


def step_of_weights(run: Path) -> int:
    with safe_open(run / "weights.safetensors", framework="numpy") as file:
        return int(file.metadata()["step"])


def test_the_best_weights_are_those_of_the_lowest_loss(genre_run: Path, genres: Dataset) -> None:
    found = validations(genre_run)
    losses = {row["step"]: row["loss"] for row in found}
    assert list(losses) == list(range(20, 161, 20))
    best = min(losses, key=losses.__getitem__)
    assert best not in (min(losses), max(losses)), "the world is to be learned, then overfitted"
    card = json.loads((genre_run / "card.json").read_text())
    assert card["validation"] == {"metric": "loss", "best": losses[best], "step": best}
    assert step_of_weights(genre_run) == best
    assert all("ndcg@10" not in row for row in found), "ranks are not asked for"
    expected = slow_loss(Recommender.load(genre_run), genres, single_targets(genres))
    assert losses[best] == pytest.approx(expected, rel=1e-5)


def short(config: Config, model: dict | None = None, **training) -> Config:
    """The configuration of a run of a few steps whose last weights are the best."""
    chosen = {"max_steps": 4, "validate_every": 4, "validation_metric": "loss", **training}
    return config.model_copy(
        update={
            "model": config.model.model_copy(update={"dropout": 0.3, **(model or {})}),
            "training": config.training.model_copy(update=chosen),
        }
    )


def measured(data: Dataset, run: Path, config: Config) -> tuple[Recommender, float]:
    train(data, run, config=config)
    (found,) = validations(run)
    return Recommender.load(run), found["loss"]


def test_whole_sequences_are_measured_at_every_event_and_at_their_end(
    reader: Config, tmp_path: Path
) -> None:
    data = prepare_genres(tmp_path, kind="holdout", validation_share=0.2)
    model, loss = measured(data, tmp_path / "run", short(reader, {"end": True, "context": 16}))
    questions = []
    held_out = np.flatnonzero((data.sequences.train_end == 0) & (data.sequences.valid_end > 0))
    for row in held_out.tolist():
        labels = [*data.sequences.row(row).tolist(), END]
        questions += [(row, labels[:place], label) for place, label in enumerate(labels)]
    assert len(questions) > 100
    assert loss == pytest.approx(slow_loss(model, data, questions), rel=1e-5)
    # And as the model knows the end: it comes when its weight says so.
    whole, ended = (model.continue_sequence(length=5, end_weight=weight) for weight in (0.0, 1e9))
    assert (len(whole.items), ended.items) == (5, [])


def test_windows_are_measured_on_targets_of_their_own(reader: Config, tmp_path: Path) -> None:
    """By the head that flattens, with fewer events than the context at times."""
    data = prepare_genres(tmp_path, kind="windows", validation_share=0.2)
    flatten = {
        "head": "flatten",
        "tied_output": False,
        "context": 6,
        "start": False,
        "item_features_at": "input",
        "sequence_width": 5,
    }
    model, loss = measured(data, tmp_path / "run", short(reader, flatten))
    questions = single_targets(data, window=5)
    assert len(questions) > 50
    assert loss == pytest.approx(slow_loss(model, data, questions), rel=1e-5)


def test_ranks_are_measured_beside_the_loss(cycle_run: Path) -> None:
    for row in validations(cycle_run):
        assert {"loss", "ndcg@10", "hr@10", "mrr"} <= row.keys()
        assert np.isfinite(row["loss"])
    first, *_, last = validations(cycle_run)
    assert last["loss"] < first["loss"]


def test_a_loss_is_better_when_it_is_lower_and_a_metric_when_it_is_higher() -> None:
    assert is_better("loss", 2.0, 2.5)
    assert not is_better("loss", 2.5, 2.0)
    assert is_better("ndcg@10", 0.3, 0.2)
    assert not is_better("ndcg@10", 0.2, 0.3)
    for metric in ("loss", "mrr"):
        assert is_better(metric, 1.0, None)
        assert not is_better(metric, float("nan"), None)
        assert not is_better(metric, float("nan"), 1.0)
        assert not is_better(metric, 1.0, 1.0)
