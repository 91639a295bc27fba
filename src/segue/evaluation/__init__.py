"""How good a ranker is, by a protocol that is named in every result.

    evaluate    asks rankers the questions of a part, over the whole catalogue
    has_targets tells whether there is any to ask
    compare     tells whether one of two models is better, by a paired test

Reading order: ``protocol`` (what is asked), ``questions`` (by blocks), ``next_item`` and
``continuation`` (the two tasks), ``background`` and ``behaviour`` (what lists are like),
``results``, ``per_sequence`` (the Parquet file), ``comparison``.
"""

from segue.evaluation.comparison import Comparison, Difference, compare
from segue.evaluation.measurement import evaluate
from segue.evaluation.per_sequence import read_per_sequence, write_per_sequence
from segue.evaluation.questions import has_targets
from segue.evaluation.results import Estimate, Evaluation, Result

__all__ = [
    "Comparison",
    "Difference",
    "Estimate",
    "Evaluation",
    "Result",
    "compare",
    "evaluate",
    "has_targets",
    "read_per_sequence",
    "write_per_sequence",
]
