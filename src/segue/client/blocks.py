"""Requests or events cut into calls that a server accepts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

REQUESTS_PER_CALL, EVENTS_PER_CALL = 64, 1_000
"""What a server accepts in one call. More histories or events are sent in several."""
BLOCK_BYTES = 1_000_000
"""Of the histories or events in one call: the body may have 1 MiB."""


def blocks(bodies: list[dict[str, Any]], size: int) -> Iterator[list[dict[str, Any]]]:
    """Some bodies at a time: at most ``size``, and ``BLOCK_BYTES`` except for a single one."""
    block: list[dict[str, Any]] = []
    n_bytes = 0
    for body in bodies:
        n_more = len(json.dumps(body)) + len(", ")  # all in ASCII
        if block and (len(block) == size or n_bytes + n_more > BLOCK_BYTES):
            yield block
            block, n_bytes = [], 0
        block.append(body)
        n_bytes += n_more
    if block:
        yield block
