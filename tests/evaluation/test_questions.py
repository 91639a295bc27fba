"""Whether a part holds anything to ask, and which of its sequences are drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segue.config import EvaluationConfig, SplitConfig
from segue.dataset import Dataset, targets
from segue.errors import DatasetError
from segue.evaluation import evaluate, has_targets
from segue.evaluation.protocol import resolve
from segue.evaluation.questions import held_out_rows, instances
from small_datasets import ArbitraryRanker, dataset_of, random_log

OPTIONS = EvaluationConfig(task="next-item", resamples=0)


@pytest.fixture(scope="module")
def cold(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Training ends after 43 s, validation after 54 s: v begins and ends beyond training."""
    log = {"u": ["a", "b"] * 20, "v": ["a", "b", "a"] * 3}
    split = SplitConfig(kind="global-time", test_share=0.1, validation_share=0.2)
    return dataset_of(tmp_path_factory.mktemp("cold"), log, split, starts={"u": 0, "v": 50})


def test_a_part_of_cold_starts_alone_has_nothing_to_ask(cold: Dataset) -> None:
    assert cold.sequences.train_end.tolist() == [40, 0]
    assert cold.manifest.audit["parts"]["validation"]["targets"] > 0
    assert not has_targets(cold, "validation", OPTIONS)
    with pytest.raises(DatasetError, match="no target of the validation part"):
        evaluate(ArbitraryRanker(cold), cold, on="validation", config=OPTIONS)
    assert has_targets(cold, "test", OPTIONS)


def finds_some(data: Dataset, part, options: EvaluationConfig) -> bool:
    """What ``has_targets`` promises, by asking."""
    try:
        evaluate(ArbitraryRanker(data), data, on=part, config=options)
    except DatasetError:
        return False
    return True


@pytest.mark.parametrize("limit", [None, 1])
@pytest.mark.parametrize("unknown_targets", ["miss", "drop"])
@pytest.mark.parametrize("kind", ["holdout", "leave-one-out", "global-time", "windows"])
def test_has_targets_is_whether_evaluate_finds_any(
    tmp_path: Path, kind, unknown_targets, limit
) -> None:
    found = []
    for seed in range(2):
        log = random_log(6, 8, seed, longest=7)
        starts = {each: 4 * i for i, each in enumerate(log)}
        folder = tmp_path / str(seed)
        folder.mkdir()
        data = dataset_of(folder, log, SplitConfig(kind=kind, seed=seed), starts=starts)
        for part in ("validation", "test"):
            options = OPTIONS.model_copy(
                update={"unknown_targets": unknown_targets, "max_sequences": limit}
            )
            found.append(has_targets(data, part, options))
            assert found[-1] == finds_some(data, part, options)
    assert any(found)


@pytest.mark.parametrize("limit", [None, 1, 5, 1000])
def test_both_tasks_ask_about_the_same_drawn_sequences(tmp_path: Path, limit) -> None:
    split = SplitConfig(kind="holdout", test_share=0.3)
    data = dataset_of(tmp_path, random_log(40, 30, seed=1), split)
    protocol = resolve([], data, "test", EvaluationConfig(max_sequences=limit))
    rows = held_out_rows(data, protocol)
    assert rows.tolist() == np.unique(instances(data, protocol).rows).tolist()
    assert len(rows) == min(limit or 12, 12)
    assert (data.sequences.valid_end[rows] == 0).all()


@pytest.mark.parametrize(
    ("kind", "which"),
    [
        *[("global-time", which) for which in ("last", "random", "every")],
        *[(kind, "every") for kind in ("holdout", "leave-one-out", "windows")],
    ],
)
def test_drawn_sequences_are_asked_what_they_are_asked_among_all(
    tmp_path: Path, kind, which
) -> None:
    """The slow way: list every target, draw among their sequences, and keep what is theirs."""
    log = random_log(30, 20, seed=2, longest=12)
    starts = {each: 3 * i for i, each in enumerate(log)}
    data = dataset_of(tmp_path, log, SplitConfig(kind=kind, test_share=0.3), starts=starts)
    options = OPTIONS.model_copy(update={"targets": which, "max_sequences": 4, "seed": 3})
    protocol = resolve([], data, "test", options)
    every = targets(data.sequences, protocol.split, "test", which)
    rows = np.unique(every.rows)
    drawn = np.random.default_rng(3).choice(rows, 4, replace=False)
    kept = np.isin(every.rows, drawn)
    asked = instances(data, protocol)
    assert len(rows) > 4
    assert asked.rows.tolist() == every.rows[kept].tolist()
    assert asked.positions.tolist() == every.positions[kept].tolist()


def test_a_part_without_sequences_is_an_error(tmp_path: Path) -> None:
    split = SplitConfig(kind="holdout", validation_share=0.0)
    data = dataset_of(tmp_path, random_log(10, 9, seed=1), split)
    for task in ("next-item", "continuation"):
        config = EvaluationConfig(task=task, resamples=0)
        with pytest.raises(DatasetError, match=r"the validation part of .* has no target"):
            evaluate(ArbitraryRanker(data), data, on="validation", config=config)
