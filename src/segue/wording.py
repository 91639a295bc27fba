"""Numbers in sentences for people."""

from __future__ import annotations


def counted(n: int, one: str, many: str | None = None) -> str:
    """``1 sequence`` or ``1,200 sequences``; ``many`` where an s at the end is not enough."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"
