"""Losses: softmax and sampled softmax cross-entropy, and negative samplers."""

from segue.losses.negative_samplers import NEGATIVE_SAMPLERS, Negatives, NegativeSampler
from segue.losses.sampled_softmax import sampled_softmax
from segue.losses.softmax import (
    FIRST_CANDIDATE,
    rows_per_block,
    softmax_cross_entropy,
    weighted_mean,
)

__all__ = [
    "FIRST_CANDIDATE",
    "NEGATIVE_SAMPLERS",
    "NegativeSampler",
    "Negatives",
    "rows_per_block",
    "sampled_softmax",
    "softmax_cross_entropy",
    "weighted_mean",
]
