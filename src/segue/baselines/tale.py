"""TALE baseline: a linear item-item model of next items, whose sources fade with their age."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Float64, Int32
from scipy.linalg import get_lapack_funcs

from segue.baselines.head_ranker import HeadRanker, head_of
from segue.baselines.item_item import US_PER_SECOND, HistoryWeights
from segue.baselines.parameters import (
    Count,
    HistoryParameters,
    Positive,
    Real,
    Regularisation,
    Share,
)
from segue.baselines.prefix_sums import NormalEquations, SourceWeights, add_prefixes, symmetric
from segue.dataset import Dataset
from segue.dataset.training_events import count_training_events, readable_event_blocks
from segue.errors import DatasetError


class TaleParameters(HistoryParameters):
    """The parameters of ``Tale``."""

    regularisation: Regularisation = 500.0
    """L2 regularisation, added to the diagonal of the Gram matrix of the sources."""
    decay: Positive = 12.0
    """Age, in events, at which the weight of a source event has fallen to 1/e."""
    decay_s: Positive | None = None
    """The same in seconds; if given, events fade with time instead of position."""
    floor: Share = 0.0
    """The least weight of a source event."""
    length: Count = 100
    """Number of last events before a target that are its sources."""
    popularity_power: Real = 0.0
    """A source weighs its training count, relative to the mean, to this power."""
    history: HistoryWeights = HistoryWeights(power=0.7)


class Tale(HeadRanker):
    """Scores an item by the sum of its weights from the events of the history.

    The weights B are the ridge regression of the next item on the items before it, over all
    prefixes of the training sequences: with a row per prefix, S the weights of its source events
    and T its next item, B = (S'S + regularisation I)^-1 S'T. A source event weighs
    max(floor, exp(-age / decay)); its age is the time from it to the next item, or the number of
    events. Fitted on the head of the catalogue, to which ages and prefixes are restricted.

    Source: Park, Yoon, Choi and Lee, Temporal linear item-item model for sequential
    recommendation, WSDM 2025 (arXiv 2412.07382); here without the trend-aware normalisation.
    """

    @classmethod
    def fit(
        cls,
        dataset: Dataset,
        fit_on_validation: bool = False,
        parameters: TaleParameters | None = None,
    ) -> Tale:
        """Solve for the weights of the head of the catalogue.

        Memory: two matrices of float64 over the head, and one block of pairs of events.

        Raises:
            DatasetError: the decay is given in seconds, but the log has no times.
        """
        parameters = parameters or TaleParameters()
        head = head_of(dataset)
        counts = count_training_events(dataset, fit_on_validation)
        equations = prefix_equations(dataset, head, parameters, fit_on_validation)
        popularity = np.maximum(counts[head], 1) / max(counts[head].mean(), 1)
        penalties = parameters.regularisation * popularity ** (-2 * parameters.popularity_power)
        return cls(
            "tale",
            head,
            solve_ridge(equations, penalties),
            counts,
            parameters.history,
            fit_on_validation=fit_on_validation,
        )


def prefix_equations(
    dataset: Dataset,
    head: Int32[np.ndarray, " head"],
    parameters: TaleParameters,
    fit_on_validation: bool = False,
) -> NormalEquations:
    """The sums S'S and S'T over the prefixes of the training sequences, for the items of ``head``.

    Raises:
        DatasetError: as for ``Tale.fit``.
    """
    by_time = parameters.decay_s is not None
    scale = parameters.decay if parameters.decay_s is None else parameters.decay_s
    if by_time and dataset.sequences.times is None:
        raise DatasetError(
            "a decay in seconds needs times, but the log has none",
            "give tale a decay in events, or prepare the dataset with a time column",
        )
    weights = SourceWeights(scale, parameters.floor, parameters.length)
    positions = np.full(dataset.vocabulary_size, -1, np.int64)
    positions[head] = np.arange(len(head))
    equations = NormalEquations(*np.zeros((2, len(head), len(head))))
    for events in readable_event_blocks(dataset, fit_on_validation):
        items = positions[events.items]
        in_head = items >= 0
        if by_time:
            assert events.times is not None
            ages = events.times[in_head] / US_PER_SECOND
        else:
            ages = np.arange(np.count_nonzero(in_head), dtype=np.float64)
        add_prefixes(
            equations,
            weights,
            events.rows[in_head],
            items[in_head],
            ages,
            events.is_training[in_head],
        )
    return NormalEquations(symmetric(equations.gram), equations.targets)


def solve_ridge(
    equations: NormalEquations, penalties: Float64[np.ndarray, " head"]
) -> Float32[np.ndarray, "head head"]:
    """The weights that solve (gram + diag(penalties)) B = targets; overwrites ``equations``."""
    gram, targets = equations
    gram[np.diag_indices_from(gram)] += penalties
    factorise, solve = get_lapack_funcs(("potrf", "potrs"), (gram,))
    # LAPACK is column-major; the transposed view of the symmetric matrix avoids a copy.
    factor, _ = factorise(gram.T, lower=1, overwrite_a=1)
    weights, _ = solve(factor, np.asfortranarray(targets), lower=1, overwrite_b=1)
    return np.ascontiguousarray(weights, np.float32)
