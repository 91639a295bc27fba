"""The lengths of batches, chosen from the lengths of the sequences so that little is padding."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int64

N_WIDTHS = 4
"""Most batch lengths of a run. Each costs a compilation of the step, of 5 to 10 seconds."""

N_MULTIPLES = 32
"""A batch length is a multiple of 1/32 of the context, rounded up, or the context itself."""


def batch_widths(
    n_positions: Int64[np.ndarray, " examples"], context: int
) -> Int64[np.ndarray, " widths"]:
    """The at most ``N_WIDTHS`` batch lengths with the least padding.

    Every example is computed at the smallest length that holds it. Of all choices of lengths, the
    one with the fewest positions in total is taken (by dynamic programming).

    Args:
        n_positions: positions of each example, from 1 to ``context``.
        context: the longest possible example.

    Returns:
        Lengths in rising order; the last one holds the longest example. It is at most ``context``.
    """
    step = -(-context // N_MULTIPLES)
    # Lengths and costs are in units of one step; entry i of a list is for the length i.
    counts = np.bincount(-(-n_positions // step), minlength=2)
    n_within = np.cumsum(counts)
    longest = len(counts) - 1
    costs = [0.0] + [float("inf")] * longest
    choices: list[list[int]] = [[] for _ in range(longest + 1)]
    for _ in range(N_WIDTHS):
        # Extend the best choices by one larger length, or leave them as they are.
        extended = list(zip(costs, choices, strict=True))
        for width in range(1, longest + 1):
            for shorter in range(width):
                cost = costs[shorter] + width * float(n_within[width] - n_within[shorter])
                if cost < extended[width][0]:
                    extended[width] = (cost, [*choices[shorter], width])
        costs, choices = [cost for cost, _ in extended], [choice for _, choice in extended]
    return np.minimum(np.array(choices[longest], dtype=np.int64) * step, context)
