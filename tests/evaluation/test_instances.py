"""Evaluation instances: whether a part has targets, and which sequences are drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segue.config import EvaluationConfig, SplitConfig
from segue.dataset import Dataset
from segue.errors import DatasetError
from segue.evaluation import evaluate, has_targets
from segue.evaluation.instances import evaluation_instances, held_out_rows
from segue.evaluation.protocol import resolve_protocol
from small_datasets import ArbitraryRanker, dataset_of, random_log

OPTIONS = EvaluationConfig(task="next-item", resamples=0)


@pytest.fixture(scope="module")
def cold(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Training ends after 43 s, validation after 54 s; v starts and ends after training."""
    log = {"u": ["a", "b"] * 20, "v": ["a", "b", "a"] * 3}
    split = SplitConfig(kind="global-time", test_share=0.1, validation_share=0.2)
    return dataset_of(tmp_path_factory.mktemp("cold"), log, split, starts={"u": 0, "v": 50})


def test_a_part_with_only_cold_starts_has_no_targets(cold: Dataset) -> None:
    assert cold.sequences.train_end.tolist() == [40, 0]
    assert cold.manifest.audit["parts"]["validation"]["targets"] > 0
    assert not has_targets(cold, "validation", OPTIONS)
    with pytest.raises(DatasetError, match=r"every target of the validation .* is left out"):
        evaluate(ArbitraryRanker(cold), cold, baselines=None, part="validation", config=OPTIONS)
    assert has_targets(cold, "test", OPTIONS)


def evaluate_succeeds(data: Dataset, part, options: EvaluationConfig) -> bool:
    """What ``has_targets`` predicts."""
    try:
        evaluate(ArbitraryRanker(data), data, baselines=None, part=part, config=options)
    except DatasetError:
        return False
    return True


@pytest.mark.fast_cases(3)
@pytest.mark.parametrize("limit", [None, 1])
@pytest.mark.parametrize("unknown_targets", ["miss", "drop"])
@pytest.mark.parametrize("kind", ["holdout", "leave-one-out", "global-time", "windows"])
def test_has_targets_predicts_whether_evaluate_succeeds(
    tmp_path: Path, kind, unknown_targets, limit
) -> None:
    outcomes = []
    for seed in range(2):
        log = random_log(6, 8, seed, longest=7)
        starts = {sequence_id: 4 * i for i, sequence_id in enumerate(log)}
        folder = tmp_path / str(seed)
        folder.mkdir()
        data = dataset_of(folder, log, SplitConfig(kind=kind, seed=seed), starts=starts)
        for part in ("validation", "test"):
            options = OPTIONS.model_copy(
                update={"unknown_targets": unknown_targets, "max_sequences": limit}
            )
            outcomes.append(has_targets(data, part, options))
            assert outcomes[-1] == evaluate_succeeds(data, part, options)
    assert any(outcomes)


@pytest.mark.parametrize("limit", [None, 1, 5, 1000])
def test_both_tasks_draw_the_same_sequences(tmp_path: Path, limit) -> None:
    split = SplitConfig(kind="holdout", test_share=0.3)
    data = dataset_of(tmp_path, random_log(40, 30, seed=1), split)
    protocol = resolve_protocol([], data, "test", EvaluationConfig(max_sequences=limit))
    rows = held_out_rows(data, protocol)
    assert rows.tolist() == np.unique(evaluation_instances(data, protocol).rows).tolist()
    assert len(rows) == min(limit or 12, 12)
    assert (data.sequences.valid_end[rows] == 0).all()


@pytest.mark.parametrize(
    ("kind", "choice"),
    [
        *[("global-time", choice) for choice in ("last", "random", "every")],
        *[(kind, "every") for kind in ("holdout", "leave-one-out", "windows")],
    ],
)
def test_a_drawn_sequence_has_the_same_targets_as_without_a_draw(
    tmp_path: Path, kind, choice
) -> None:
    """The slow reference lists every target, draws sequences, and selects their targets."""
    log = random_log(30, 20, seed=2, longest=12)
    starts = {sequence_id: 3 * i for i, sequence_id in enumerate(log)}
    data = dataset_of(tmp_path, log, SplitConfig(kind=kind, test_share=0.3), starts=starts)
    options = OPTIONS.model_copy(update={"targets": choice, "max_sequences": 4, "seed": 3})
    protocol = resolve_protocol([], data, "test", options)
    all_targets = data.targets("test", choice)
    rows = np.unique(all_targets.rows)
    drawn = np.random.default_rng(3).choice(rows, 4, replace=False)
    is_drawn = np.isin(all_targets.rows, drawn)
    instances = evaluation_instances(data, protocol)
    assert len(rows) > 4
    assert instances.rows.tolist() == all_targets.rows[is_drawn].tolist()
    assert instances.positions.tolist() == all_targets.positions[is_drawn].tolist()


def test_a_part_without_sequences_is_an_error(tmp_path: Path) -> None:
    split = SplitConfig(kind="holdout", validation_share=0.0)
    data = dataset_of(tmp_path, random_log(10, 9, seed=1), split)
    for task in ("next-item", "continuation"):
        config = EvaluationConfig(task=task, resamples=0)
        with pytest.raises(DatasetError, match=r"the validation part of .* has no target"):
            evaluate(ArbitraryRanker(data), data, baselines=None, part="validation", config=config)
