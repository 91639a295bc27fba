"""Bits: many random ones for little, and numbers kept in half of them."""

from segue.bits.half import STORED, halved, halved_at_random, is_halved, stored, widened
from segue.bits.random_bits import random_bits

__all__ = [
    "STORED",
    "halved",
    "halved_at_random",
    "is_halved",
    "random_bits",
    "stored",
    "widened",
]
