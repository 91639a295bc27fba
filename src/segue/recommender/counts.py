"""The check of a requested number of items, such as ``k`` and ``length``."""

from __future__ import annotations

from typing import Any

import numpy as np

from segue.errors import RequestError


def check_count(name: str, value: Any) -> None:
    """Check a number of items, as far as that is possible without the catalogue.

    Args:
        name: its name in messages.
        value: what was given.

    Raises:
        RequestError: it is not an integer, or below 1.
    """
    if not isinstance(value, int | np.integer) or isinstance(value, bool):
        raise RequestError(f"{name} is {value!r}, expected an integer", "10 is usual")
    if value < 1:
        raise RequestError(f"{name} is {value}, expected 1 or more", "ask for more")
