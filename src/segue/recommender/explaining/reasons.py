"""``Why`` and ``Reason``: the events that a recommendation is because of, strongest first."""

from __future__ import annotations

import msgspec


class Reason(msgspec.Struct, frozen=True):
    """An event of the history that a recommendation is because of.

    Attributes:
        item_id: its item.
        title: the title of the item.
        position: its position in the history, from 0, the oldest event.
        contribution: by how much the score would fall without it, in nats.
        often_follows: whether the recommended item often follows this one in the training log,
            by a count-based member of the ensemble.
    """

    item_id: str
    title: str
    position: int
    contribution: float
    often_follows: bool


class Why(msgspec.Struct, frozen=True):
    """Why an item is recommended.

    Attributes:
        text: the strongest reason in words.
        reasons: the events with the largest contributions, at most three, strongest first; only
            those above 0.
    """

    text: str
    reasons: list[Reason]
