"""The score of END among items: what keeps the probability that the encoder gives it."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, UInt8

from segue.recommender import search
from segue.recommender.search import EncodedQuery
from segue.recommender.search_kernels import Vectors
from segue.tokens import END

MIN_TEMPERATURE = 1e-30
"""Lower temperatures overflow, so they are raised to this one; both always take the best item."""


def encoder_end_scores(alone: EncodedQuery, vectors: Vectors) -> Float32[np.ndarray, " batch"]:
    """The score that the encoder gives END.

    Args:
        alone: the requests with the states of the encoder alone, without its weight.
        vectors: its item vectors.
    """
    return search.pair_scores(alone.states, vectors, np.arange(alone.n), np.full(alone.n, END))


def ensemble_end_scores(
    alone: EncodedQuery,
    vectors: Vectors,
    combined: EncodedQuery,
    combined_vectors: Vectors,
    catalogue: UInt8[np.ndarray, " bytes"],
    temperature: float,
) -> Float32[np.ndarray, " batch"]:
    """The score at which END has the odds against the whole catalogue that the encoder gives it.

    The members know nothing of where a sequence ends, so neither they nor the weight of the encoder
    change these odds.

    Args:
        alone: as in ``encoder_end_scores``; so ``vectors``.
        combined: the requests with the states and bonuses of all members.
        combined_vectors: the item vectors of all dense members.
        catalogue: the mask of the items that are never recommended.
        temperature: of the request, 0 or more.
    """
    temperature = max(temperature, MIN_TEMPERATURE)
    normaliser = search.log_normalisers(combined, combined_vectors, catalogue, temperature)
    of_encoder = search.log_normalisers(alone, vectors, catalogue, temperature)
    added = np.float32(temperature) * (normaliser - of_encoder)
    return encoder_end_scores(alone, vectors) + added
