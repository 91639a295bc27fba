"""Edited and damaged datasets: whatever is in the folder, the outcome is an answer or one line."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import numpy as np
import pytest

from edited_folders import errors_of
from mutations import Mutation, array_mutations, file_mutations, json_mutations, random_mutation
from segue.cli.inspect import inspect
from segue.dataset import Dataset, count_training_events
from segue.evaluation import evaluate
from segue.recommender.histories import DatasetHistories
from segue.trainer.run_spec import training_inputs
from slow_cases import some_fast
from small_runs import FEATURE_CONFIG

HARMLESS = {
    # The footer is not read, and the rest of the file is as before.
    "sequences.arrow without its end",
    "sequences.arrow longer",
    "sequences.arrow: no times",
    "sequences.arrow: equal sequence ids",
    "sequences.arrow: an attribute of lists",
    # No item may be recommended then, and no target is ranked.
    "items.parquet: is_candidate false",
}
"""Edits that leave a dataset that can be read, though not always the one that was prepared."""


def open_and_inspect(folder: Path) -> None:
    Dataset.open(folder)
    with contextlib.redirect_stdout(io.StringIO()):
        inspect(folder)


def train(folder: Path) -> None:
    """All that training reads before its first step."""
    _, batches = training_inputs(FEATURE_CONFIG, Dataset.open(folder))
    assert len(batches[0][0].tokens)


def measure(folder: Path) -> None:
    data = Dataset.open(folder)
    results = evaluate(["popularity"], data, baselines=None, resamples=0).results
    assert all(np.isfinite(value.mean) for value in results[0].metrics.values())
    assert count_training_events(data).sum() > 0


def look_up(folder: Path) -> None:
    data = Dataset.open(folder)
    user = data.sequences.ids[0].as_py()
    history = DatasetHistories(data).find(user)
    assert history is not None
    assert data.items.find(history.item_ids).min() > 3


USES = (open_and_inspect, train, measure, look_up)


@pytest.mark.parametrize(
    "mutation",
    some_fast(((m,) for m in file_mutations("dataset") + array_mutations("dataset")), every=5),
    ids=lambda mutation: mutation.name,
)
def test_an_edited_file_is_refused_in_one_line(
    genres: Dataset, mutation: Mutation, tmp_path: Path
) -> None:
    errors = errors_of(mutation, genres.path, tmp_path / "copy", USES)
    if mutation.name in HARMLESS:
        assert not errors
    else:
        file = mutation.name.split(" ")[0].strip(":")
        assert errors
        assert any(file in error.message for error in errors)


@pytest.mark.slow
def test_an_edited_manifest_is_refused_or_read(genres: Dataset, tmp_path: Path) -> None:
    # Seven is coprime to the number of edits per value, so every edit and every value is tried.
    named = json_mutations(genres.path, "manifest.json")[::7]
    copy = tmp_path / "copy"
    refused = [m for m in named if errors_of(m, genres.path, copy, (open_and_inspect,))]
    assert len(refused) > len(named) / 3


@pytest.mark.parametrize("seed", some_fast(((seed,) for seed in range(0, 60, 10)), every=3))
def test_random_edits_end_in_an_answer_or_one_line(
    genres: Dataset, seed: int, tmp_path: Path
) -> None:
    for number in range(seed, seed + 10):
        mutation = random_mutation("dataset", genres.path, number)
        errors_of(mutation, genres.path, tmp_path / "copy", USES)


def test_an_edit_is_found_when_its_values_are_first_used(genres: Dataset, tmp_path: Path) -> None:
    [mutation] = [m for m in array_mutations("dataset") if m.name == "sequences.arrow: item -1"]

    def open_only(folder: Path) -> None:
        Dataset.open(folder)

    assert not errors_of(mutation, genres.path, tmp_path / "copy", (open_only,))
    [error] = errors_of(mutation, genres.path, tmp_path / "copy", (look_up,))
    assert "items has values from -1 to" in error.message
