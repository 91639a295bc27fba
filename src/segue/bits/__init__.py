"""Bits: many random ones for little, and numbers kept in half of them."""

from segue.bits.half import STORED, Precision, halved, halved_at_random, is_halved, kept, widened
from segue.bits.random_bits import random_bits

__all__ = [
    "STORED",
    "Precision",
    "halved",
    "halved_at_random",
    "is_halved",
    "kept",
    "random_bits",
    "widened",
]
