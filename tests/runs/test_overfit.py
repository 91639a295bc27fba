"""One batch learned by heart, and what is no proof of anything."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from segue.batches import Batch
from segue.cli import main
from segue.config import Config, PrepareConfig, SplitConfig
from segue.dataset import Dataset, prepare
from segue.errors import RunError
from segue.features import Bag
from segue.trainer import overfit, overfit_one_batch


def test_one_batch_is_learned_by_heart(cycles: Dataset, config: Config):
    found = overfit_one_batch(cycles, config)
    assert found.targets > overfit.ROWS
    assert found.steps <= overfit.MAX_STEPS
    assert np.isfinite(found.loss)


def test_what_the_model_reads_decides_too(genres: Dataset, reader: Config):
    told = overfit_one_batch(genres, reader)
    silent = reader.model.model_copy(update={"sequence_features": ()})
    untold = overfit_one_batch(genres, reader.model_copy(update={"model": silent}))
    # Users tell apart what the same first tokens do not.
    assert told.targets + told.undecided == untold.targets + untold.undecided
    assert told.undecided < untold.undecided


def test_a_model_that_cannot_learn_fails_loudly(
    cycles: Dataset, config: Config, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(overfit, "MAX_STEPS", 50)
    slow = config.optimizer.model_copy(update={"learning_rate": 1e-9})
    with pytest.raises(RunError, match="targets of one batch are not reached after 50 steps"):
        overfit_one_batch(cycles, config.model_copy(update={"optimizer": slow}))


def test_a_batch_that_can_prove_nothing_fails_loudly(tmp_path: Path, config: Config):
    """Everyone begins with the same item and goes on to another one, of which nothing tells."""
    rows = ["user_id,item_id", *(f"u{n},{item}" for n in range(8) for item in ("a", f"b{n}"))]
    (tmp_path / "log.csv").write_text("\n".join(rows) + "\n")
    split = SplitConfig(kind="holdout")
    data = prepare(tmp_path / "log.csv", tmp_path / "data", PrepareConfig(split=split))
    silent = config.model.model_copy(update={"start": False})
    asked = config.training.model_copy(update={"validation_metric": "mrr"})
    with pytest.raises(RunError, match="none of its 4 labels follows from what") as caught:
        overfit_one_batch(data, config.model_copy(update={"model": silent, "training": asked}))
    assert "training.seed" in caught.value.hint


def test_only_labels_that_follow_from_the_input_are_decided():
    tokens = np.array([[4, 5, 6], [4, 5, 7], [4, 8, 0]], np.int32)
    labels = np.array([[5, 6, 9], [5, 7, 9], [8, 9, 0]], np.int32)
    # 4 is followed by 5 and by 8, 4 5 by 6 and by 7: nothing can know which.
    expected = [False, False, True, False, False, True, False, True, False]
    assert overfit.decided(Batch(tokens, labels)).tolist() == expected
    # Told apart, everything is decided but padding.
    told = Bag(np.array([[1], [2], [3]], np.int32), np.ones((3, 1), np.float32))
    assert overfit.decided(Batch(tokens, labels, told=told)).tolist() == [True] * 8 + [False]


def test_rows_that_are_targets_are_decided_by_the_whole_row():
    tokens = np.array([[4, 5], [4, 5], [5, 4], [0, 0]], np.int32)
    labels = np.array([[6], [7], [6], [0]], np.int32)
    batch = Batch(tokens, labels, last=np.ones(4, np.int32))
    assert overfit.decided(batch).tolist() == [False, False, True, False]


def test_the_command_says_it_and_writes_nothing(
    cycles: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    small = ["layers=1", "heads=2", "width=16", "context=8", "learning_rate=0.01"]
    options = [part for change in small for part in ("--set", change)]
    command = ["train", str(cycles.path.absolute()), "--overfit-one-batch", *options]
    assert main(command) == 0
    assert "targets reached after" in capsys.readouterr().out
    assert main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out).keys() == {"steps", "targets", "undecided", "loss"}
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("option", [["-o", "run"], ["--resume"]])
def test_the_check_takes_no_folder(
    cycles: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch, option: list[str]
):
    monkeypatch.chdir(tmp_path)
    assert main(["train", str(cycles.path.absolute()), "--overfit-one-batch", *option]) == 2
    assert capsys.readouterr().err == (
        f"error: {option[0]} is of no use for --overfit-one-batch, which writes nothing "
        "(leave it out)\n"
    )
    assert not list(tmp_path.iterdir())


def test_a_run_needs_a_folder(cycles: Dataset, capsys: pytest.CaptureFixture):
    assert main(["train", str(cycles.path)]) == 2
    assert capsys.readouterr().err.strip() == "error: no folder to write was given (add -o RUN)"
