"""Overfitting one batch: success, failure, and labels that cannot be learned."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from segue.batches import Bucket
from segue.cli import main
from segue.config import Config, PrepareConfig, SplitConfig
from segue.dataset import Dataset
from segue.errors import RunError
from segue.features import FeatureIds
from segue.preparation import prepare
from segue.trainer import overfit, overfit_one_batch


@pytest.mark.slow
def test_one_batch_is_overfitted(cycles: Dataset, config: Config):
    result = overfit_one_batch(cycles, config)
    assert result.targets > overfit.ROWS
    assert result.steps <= overfit.MAX_STEPS
    assert np.isfinite(result.loss)


@pytest.mark.slow
def test_sequence_features_make_labels_unambiguous(genres: Dataset, feature_config: Config):
    with_features = overfit_one_batch(genres, feature_config)
    model = feature_config.model.model_copy(update={"sequence_features": ()})
    without = overfit_one_batch(genres, feature_config.model_copy(update={"model": model}))
    # The user distinguishes sequences that start with the same tokens.
    assert with_features.targets + with_features.ambiguous == without.targets + without.ambiguous
    assert with_features.ambiguous < without.ambiguous


@pytest.mark.slow
def test_a_model_that_cannot_learn_is_an_error(
    cycles: Dataset, config: Config, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(overfit, "MAX_STEPS", 50)
    slow = config.optimizer.model_copy(update={"learning_rate": 1e-9})
    with pytest.raises(RunError, match="targets of one batch were not learned after 50 steps"):
        overfit_one_batch(cycles, config.model_copy(update={"optimizer": slow}))


def test_a_batch_without_targets_is_an_error(tmp_path: Path, config: Config):
    """Every sequence starts with the same item and continues with a different one.

    The six training sequences are in two batches of three.
    """
    rows = ["user_id,item_id", *(f"u{n},{item}" for n in range(8) for item in ("a", f"b{n}"))]
    (tmp_path / "log.csv").write_text("\n".join(rows) + "\n")
    split = SplitConfig(kind="holdout")
    data = prepare(tmp_path / "log.csv", tmp_path / "data", config=PrepareConfig(split=split))
    model = config.model.model_copy(update={"start": False})
    training = config.training.model_copy(update={"validation_metric": "mrr"})
    with pytest.raises(
        RunError, match="each of its 3 labels follows the same input as another label"
    ) as caught:
        overfit_one_batch(data, config.model_copy(update={"model": model, "training": training}))
    assert "training.seed" in caught.value.hint


def test_labels_with_the_same_input_are_ambiguous():
    tokens = np.array([[4, 5, 6], [4, 5, 7], [4, 8, 0]], np.int32)
    labels = np.array([[5, 6, 9], [5, 7, 9], [8, 9, 0]], np.int32)
    # The input 4 is followed by 5 and by 8, the input 4 5 by 6 and by 7.
    expected = [False, False, True, False, False, True, False, True, False]
    assert overfit.unambiguous_labels((Bucket(tokens, labels),)).tolist() == expected
    # With different sequence features, all labels but PAD are unambiguous.
    users = FeatureIds(np.array([[1], [2], [3]], np.int32), np.ones((3, 1), np.float32))
    batch = (Bucket(tokens, labels, sequence_features=users),)
    assert overfit.unambiguous_labels(batch).tolist() == [True] * 8 + [False]


def test_the_input_of_a_target_row_is_the_whole_row():
    tokens = np.array([[4, 5], [4, 5], [5, 4], [0, 0]], np.int32)
    labels = np.array([[6], [7], [6], [0]], np.int32)
    batch = (Bucket(tokens, labels, last_positions=np.ones(4, np.int32)),)
    assert overfit.unambiguous_labels(batch).tolist() == [False, False, True, False]


def test_the_command_prints_the_result_and_writes_nothing(
    cycles: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    small = ["layers=1", "heads=2", "width=16", "context=8", "learning_rate=0.01"]
    options = [part for change in small for part in ("--set", change)]
    command = ["train", str(cycles.path.absolute()), "--overfit-one-batch", *options]
    assert main(command) == 0
    assert "targets predicted correctly after" in capsys.readouterr().out
    assert main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out).keys() == {"steps", "targets", "ambiguous", "loss"}
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("option", [["-o", "run"], ["--resume"]])
def test_overfitting_refuses_a_run_folder(
    cycles: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch, option: list[str]
):
    monkeypatch.chdir(tmp_path)
    assert main(["train", str(cycles.path.absolute()), "--overfit-one-batch", *option]) == 2
    assert capsys.readouterr().err == (
        f"error: {option[0]} cannot be used with --overfit-one-batch, which writes nothing "
        "(leave it out)\n"
    )
    assert not list(tmp_path.iterdir())


def test_a_run_needs_a_folder(cycles: Dataset, capsys: pytest.CaptureFixture):
    assert main(["train", str(cycles.path)]) == 2
    assert capsys.readouterr().err.strip() == "error: no run folder was given (add -o RUN)"
