"""The validation loss against a slow reference, and the weights that it selects."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from genre_world import prepare_genres
from segue.config import Config
from segue.dataset import Dataset
from segue.evaluation import evaluate
from segue.features import stored_features
from segue.ragged import Ragged
from segue.ranking import Query
from segue.recommender import Encoder, Recommender
from segue.tokens import END, UNK
from segue.trainer import train
from segue.trainer.validation import is_better
from slow_cases import some_fast

Example = tuple[int, list[int], int]
"""Row of a sequence, the history before a label, and the label."""


def reference_loss(model: Recommender, data: Dataset, examples: list[Example]) -> float:
    """Mean cross-entropy over all tokens that can be labels, computed example by example."""
    output_embeddings = np.asarray(model.encoder.vectors, np.float64)
    losses = []
    for row, history, label in examples:
        histories, rows = Ragged.from_rows([history]), np.array([row])
        features = stored_features(data.sequences, rows)
        query = Query(histories, histories, rows, sequence_features=features)
        state = model.ensemble.states(query)[0]
        logits = output_embeddings[END:] @ state.astype(np.float64)
        target = label if label < data.vocabulary_size else UNK
        losses.append(np.log(np.exp(logits).sum()) - logits[target - END])
    return float(np.mean(losses))


def single_targets(data: Dataset, window: int | None = None) -> list[Example]:
    """Every validation target with the events before it."""
    held_out = data.targets("validation", "every")
    examples = []
    for row, position in zip(held_out.rows.tolist(), held_out.positions.tolist(), strict=True):
        events = data.sequences.row(row).tolist()
        start = 0 if window is None else max(position - window, 0)
        examples.append((row, events[start:position], events[position]))
    return examples


def validations(run: Path) -> list[dict]:
    lines = (run / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    return [row for row in rows if row["kind"] == "validation"]


def step_of_weights(run: Path) -> int:
    with safe_open(run / "weights.safetensors", framework="numpy") as file:
        return int(file.metadata()["step"])


def test_the_weights_with_the_lowest_validation_loss_are_kept(
    genre_run: Path, genres: Dataset
) -> None:
    records = validations(genre_run)
    losses = {row["step"]: row["loss"] for row in records}
    assert list(losses) == list(range(20, 161, 20))
    best = min(losses, key=losses.__getitem__)
    assert best not in (min(losses), max(losses)), (
        "the model should learn the dataset, then overfit"
    )
    card = json.loads((genre_run / "card.json").read_text())
    assert card["validation"] == {"metric": "loss", "best": losses[best], "step": best}
    assert step_of_weights(genre_run) == best
    assert all("ndcg@10" not in row for row in records), "ranking metrics are not computed"
    expected = reference_loss(Recommender.load(genre_run), genres, single_targets(genres))
    assert losses[best] == pytest.approx(expected, rel=1e-5)


def short(config: Config, model: dict | None = None, **training) -> Config:
    """A configuration for a few steps and one validation."""
    changes = {"max_steps": 4, "validate_every": 4, "validation_metric": "loss", **training}
    return config.model_copy(
        update={
            "model": config.model.model_copy(update={"dropout": 0.3, **(model or {})}),
            "training": config.training.model_copy(update=changes),
        }
    )


def train_and_validate(data: Dataset, run: Path, config: Config) -> tuple[Recommender, float]:
    train(data, run, config=config)
    (record,) = validations(run)
    return Recommender.load(run), record["loss"]


@pytest.mark.slow
def test_the_loss_of_whole_sequences_includes_every_event_and_the_end(
    feature_config: Config, tmp_path: Path
) -> None:
    data = prepare_genres(tmp_path, kind="holdout", validation_share=0.2)
    model, loss = train_and_validate(
        data, tmp_path / "run", short(feature_config, {"end": True, "context": 16})
    )
    examples = []
    held_out = np.flatnonzero((data.sequences.train_end == 0) & (data.sequences.valid_end > 0))
    for row in held_out.tolist():
        labels = [*data.sequences.row(row).tolist(), END]
        examples += [(row, labels[:i], label) for i, label in enumerate(labels)]
    assert len(examples) > 100
    assert loss == pytest.approx(reference_loss(model, data, examples), rel=1e-5)
    # The model can generate the end: a large weight ends the sequence at once.
    endless, ended = (model.generate(length=5, end_weight=weight) for weight in (0.0, 1e9))
    assert (len(endless.items), ended.items) == (5, [])


@pytest.mark.slow
def test_the_loss_of_windows_is_measured_on_the_validation_targets(
    feature_config: Config, tmp_path: Path
) -> None:
    """With the head flatten, and some histories shorter than the context."""
    data = prepare_genres(tmp_path, kind="windows", validation_share=0.2)
    flatten = {
        "head": "flatten",
        "tied_output": False,
        "context": 6,
        "start": False,
        "item_features_at": "input",
        "sequence_width": 5,
    }
    model, loss = train_and_validate(data, tmp_path / "run", short(feature_config, flatten))
    examples = single_targets(data, window=5)
    assert len(examples) > 50
    assert loss == pytest.approx(reference_loss(model, data, examples), rel=1e-5)


def test_ranking_metrics_are_measured_in_addition_to_the_loss(cycle_run: Path) -> None:
    for row in validations(cycle_run):
        assert {"loss", "ndcg@10", "hr@10", "mrr"} <= row.keys()
        assert np.isfinite(row["loss"])
    first, *_, last = validations(cycle_run)
    assert last["loss"] < first["loss"]


def test_a_lower_loss_is_better_and_a_higher_metric_is_better() -> None:
    assert is_better("loss", 2.0, 2.5)
    assert not is_better("loss", 2.5, 2.0)
    assert is_better("ndcg@10", 0.3, 0.2)
    assert not is_better("ndcg@10", 0.2, 0.3)
    for metric in ("loss", "mrr"):
        assert is_better(metric, 1.0, None)
        assert not is_better(metric, float("nan"), None)
        assert not is_better(metric, float("nan"), 1.0)
        assert not is_better(metric, 1.0, 1.0)


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize(
    ("kind", "model"),
    some_fast(
        [
            ("leave-one-out", {"context": 5}),
            ("holdout", {"context": 16}),
            ("holdout", {"context": 4, "start": False}),
            ("windows", {"context": 4}),
        ],
        every=2,
    ),
)
def test_ranks_from_the_states_of_the_loss_equal_those_of_an_evaluation(
    feature_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, model: dict
) -> None:
    n_encoded = []
    states = Encoder.states

    def counted(self: Encoder, query: Query, n_rows: int):
        n_encoded.append(len(query))
        return states(self, query, n_rows)

    monkeypatch.setattr(Encoder, "states", counted)
    shares = {} if kind == "leave-one-out" else {"validation_share": 0.2}
    data = prepare_genres(tmp_path, kind=kind, **shares)
    config = short(feature_config, model, validation_metric="mrr", validation_sequences=20)
    train(data, tmp_path / "run", config=config)
    n_in_training = sum(n_encoded)
    (record,) = validations(tmp_path / "run")
    evaluation = evaluate(
        tmp_path / "run",
        data,
        part="validation",
        baselines=None,
        task="next-item",
        max_sequences=20,
        resamples=0,
    )
    n_targets = sum(n_encoded) - n_in_training
    for name, estimate in evaluation.results[0].metrics.items():
        assert record[name] == pytest.approx(estimate.mean, abs=1e-6)
    # Not if the states of the loss have not read a history from its first event on: each target of
    # ``windows`` has other events, and all sequences are longer than a context of 4.
    assert n_in_training == (n_targets if kind == "windows" or model["context"] == 4 else 0)
