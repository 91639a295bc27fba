"""Numbers in sentences."""

from __future__ import annotations

import pytest

from segue.wording import counted


@pytest.mark.parametrize(("n", "one", "many", "said"), [
    (0, "event", None, "0 events"),
    (1, "event", None, "1 event"),
    (1200, "event", None, "1,200 events"),
    (1, "rating lies", "ratings lie", "1 rating lies"),
    (2, "rating lies", "ratings lie", "2 ratings lie"),
])  # fmt: skip
def test_one_thing_is_singular(n: int, one: str, many: str | None, said: str) -> None:
    assert counted(n, one, many) == said
