"""PureSVD baseline: the history projected on the leading singular vectors of the training log."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32

from segue.baselines.factor_ranker import FactorRanker
from segue.baselines.item_item import HistoryWeights
from segue.baselines.parameters import Count, HistoryParameters, NotNegative, Seed
from segue.baselines.singular_vectors import POPULARITY_EXPONENT, singular_item_vectors
from segue.dataset import Dataset
from segue.dataset.training_events import count_training_events
from segue.ranking import Query


class PureSvdParameters(HistoryParameters):
    """The parameters of ``PureSvd``."""

    factors: Count = 128
    """Number of singular vectors."""
    popularity_exponent: NotNegative = POPULARITY_EXPONENT
    """The column of an item is divided by its count to this power: higher for more weight of rare
    items."""
    seed: Seed = 0
    """Of the random start of the decomposition."""
    history: HistoryWeights = HistoryWeights(distinct=True)


class PureSvd(FactorRanker):
    """Scores an item by its similarity to the items of the history in the leading factors.

    The state of a request is the sum of the vectors of its history.

    Source: PureSVD of Cremonesi, Koren and Turrin, Performance of recommender algorithms on
    top-N recommendation tasks, RecSys 2010.
    """

    @classmethod
    def fit(
        cls,
        dataset: Dataset,
        fit_on_validation: bool = False,
        parameters: PureSvdParameters | None = None,
    ) -> PureSvd:
        """Compute the singular vectors of the training sequences.

        Memory: the vectors of the items and of the sequences, in float32.
        """
        parameters = parameters or PureSvdParameters()
        vectors = singular_item_vectors(
            dataset,
            parameters.factors,
            parameters.seed,
            popularity_exponent=parameters.popularity_exponent,
            fit_on_validation=fit_on_validation,
        )
        return cls(
            "puresvd",
            vectors,
            count_training_events(dataset, fit_on_validation),
            parameters.history,
            fit_on_validation=fit_on_validation,
        )

    def states(self, query: Query) -> Float32[np.ndarray, "batch factors"]:
        weights = self.history_weights.matrix(query, self.vocabulary_size)
        return weights.astype(np.float32) @ self.vectors
