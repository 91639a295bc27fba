"""A log whose answer is known: every item is followed by the next one of a cycle."""

from __future__ import annotations

from pathlib import Path

import numpy as np

N_ITEMS = 12
N_USERS = 60


def write_cycles(path: Path) -> Path:
    """A log in which item i is always followed by item i + 1 (mod 12): no doubt anywhere."""
    random = np.random.default_rng(5)
    lines = ["user_id,item_id,timestamp"]
    for user in range(N_USERS):
        first, length = random.integers(0, N_ITEMS), random.integers(5, 10)
        for place in range(length):
            lines.append(f"u{user},i{(first + place) % N_ITEMS},{1_600_000_000 + place}")
    path.write_text("\n".join(lines) + "\n")
    return path
