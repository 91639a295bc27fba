"""Losses: softmax and sampled softmax cross-entropy, and negative samplers."""

from segue.losses.negative_samplers import NEGATIVE_SAMPLERS, Negatives, NegativeSampler
from segue.losses.sampled_softmax import sampled_softmax
from segue.losses.softmax import (
    FIRST_CANDIDATE,
    softmax_cross_entropy,
    weighted_mean,
)
from segue.losses.softmax_by_positions import fits_in_rows, logits_at_a_time, softmax_loss_sum

__all__ = [
    "FIRST_CANDIDATE",
    "NEGATIVE_SAMPLERS",
    "NegativeSampler",
    "Negatives",
    "fits_in_rows",
    "logits_at_a_time",
    "sampled_softmax",
    "softmax_cross_entropy",
    "softmax_loss_sum",
    "weighted_mean",
]
