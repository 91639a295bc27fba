"""The annotations of Segue are checked in all tests."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from beartype.roar import BeartypeCallHintViolation
from jaxtyping import TypeCheckError

from segue.catalogue_search.words import folded_words
from segue.metrics.next_item import hit_rate
from segue.server.settings import ServerSettings

WRONG_CALLS = {
    "dtype": (lambda: hit_rate(np.zeros(3), 1), TypeCheckError),
    "number of axes": (lambda: hit_rate(np.zeros((3, 3), np.int64), 1), TypeCheckError),
    "function without arrays": (lambda: folded_words(b"text"), BeartypeCallHintViolation),
    "dataclass": (lambda: ServerSettings(max_k="12"), BeartypeCallHintViolation),
}


@pytest.mark.parametrize(("call", "error"), WRONG_CALLS.values(), ids=WRONG_CALLS)
def test_an_argument_of_another_type_is_an_error(
    call: Callable[[], object], error: type[Exception]
) -> None:
    with pytest.raises(error):
        call()
