"""The annotations of Segue are checked in all tests."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from segue.catalogue_search.words import folded_words
from segue.metrics.next_item import hit_rate
from segue.server.settings import ServerSettings

WRONG_CALLS: dict[str, Callable[[], object]] = {
    "dtype": lambda: hit_rate(np.zeros(3), 1),
    "number of axes": lambda: hit_rate(np.zeros((3, 3), np.int64), 1),
    "function without arrays": lambda: folded_words(b"text"),
    "dataclass": lambda: ServerSettings(max_k="12"),
}


@pytest.mark.all_cases
@pytest.mark.parametrize("call", WRONG_CALLS.values(), ids=WRONG_CALLS)
def test_an_argument_of_another_type_is_an_error(call: Callable[[], object]) -> None:
    with pytest.raises(TypeError, match=r"(Expected type|violates type hint)"):
        call()
