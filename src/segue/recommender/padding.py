"""Padding of arrays to the sizes that are compiled."""

from __future__ import annotations

import numpy as np
from jaxtyping import Shaped


def padded_rows(
    array: Shaped[np.ndarray, "rows ..."], n_rows: int
) -> Shaped[np.ndarray, "padded ..."]:
    """An array with rows of zeros added up to ``n_rows``; itself if it has as many.

    ``numpy.pad`` takes ten times as long, as much as encoding a history.
    """
    if len(array) == n_rows:
        return array
    padded = np.zeros((n_rows, *array.shape[1:]), array.dtype)
    padded[: len(array)] = array
    return padded
