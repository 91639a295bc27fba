"""Offline evaluation: rank the whole catalogue for held-out targets, under an explicit protocol.

    evaluate     measures models, baselines and lists on the validation or test part of a dataset
    has_targets  whether a part has a target to measure on
    tune         searches the parameters of a baseline on the validation part
    compare      tests whether one of two models is better, with a paired permutation test

Reading order: ``protocol`` (the choices that every metric depends on), ``instances`` (targets and
queries in blocks), ``next_item`` and ``continuation`` (the two tasks), ``beyond_accuracy``,
``results``, ``statistics`` (intervals and tests), ``tuning`` (of baselines), ``rankers`` (of
models, baselines and files), ``measurement`` (``evaluate``), ``per_sequence`` (the Parquet file),
``comparison``.
"""

from segue.evaluation.comparison import Comparison, Difference, compare
from segue.evaluation.instances import has_targets
from segue.evaluation.measurement import evaluate
from segue.evaluation.per_sequence import read_per_sequence, write_per_sequence
from segue.evaluation.results import Estimate, Evaluation, Result
from segue.evaluation.tuning import Tuned, tune

__all__ = [
    "Comparison",
    "Difference",
    "Estimate",
    "Evaluation",
    "Result",
    "Tuned",
    "compare",
    "evaluate",
    "has_targets",
    "read_per_sequence",
    "tune",
    "write_per_sequence",
]
