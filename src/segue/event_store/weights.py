"""Weights of kinds of events: what counts for a user's history, and what against an item."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from segue.config import nearest_hint
from segue.errors import ConfigError
from segue.event_store.event import Event

DEFAULT_WEIGHTS: Mapping[str, float] = MappingProxyType(
    {
        "view": 1.0,
        "click": 1.0,
        "play": 1.0,
        "like": 1.0,
        "purchase": 1.0,
        "skip": -1.0,
        "dislike": -1.0,
    }
)
"""The kinds that a store accepts unless options add some. Only the sign of a weight counts: an
event with a positive one is part of the history, one with a negative one counts against its item,
and one with 0 is stored and otherwise ignored."""

MAX_KINDS = 100
"""Most kinds: a statement that reads what a user rejects names each of them."""
_KIND = re.compile(r"[a-z][a-z0-9_.-]{0,31}")


def history_of(events: Iterable[Event], weights: Mapping[str, float]) -> list[Event]:
    """The events of a user that have a positive weight, in their order.

    An event stays in the history if a later one rejects its item: a history never depends on what
    came after it, so that training and serving read the same.

    Args:
        events: oldest first.
        weights: by kind. A kind without a weight, from an earlier configuration, counts as 0.
    """
    return [event for event in events if weights.get(event.kind, 0.0) > 0]


def kinds_by_sign(weights: Mapping[str, float]) -> tuple[list[str], list[str]]:
    """The kinds with a negative weight, and those with a positive one."""
    negative = [kind for kind, weight in weights.items() if weight < 0]
    return negative, [kind for kind, weight in weights.items() if weight > 0]


def parse_event_weights(texts: Iterable[str]) -> dict[str, float]:
    """The default weights, with those of texts such as ``skip=-1`` and ``listen=1``.

    Raises:
        ConfigError: a text is not of the form KIND=WEIGHT, its weight is not finite, or there are
            more than ``MAX_KINDS``.
    """
    weights = dict(DEFAULT_WEIGHTS)
    for text in texts:
        kind, equals, number = text.rpartition("=")
        if not equals or not _KIND.fullmatch(kind):
            message = f"the event weight {text!r} is not of the form KIND=WEIGHT"
            hint = "as in skip=-1; a kind has up to 32 of a-z, 0-9, _, . and -"
            raise ConfigError(message, hint)
        try:
            weights[kind] = float(number)
        except ValueError:
            weights[kind] = math.nan
        if not math.isfinite(weights[kind]):
            raise ConfigError(f"the event weight {text!r} has no number", "as in skip=-1")
    if len(weights) > MAX_KINDS:
        message = f"there are {len(weights)} kinds of events, expected at most {MAX_KINDS}"
        raise ConfigError(message, "give weights to fewer kinds")
    return weights


def check_kinds(kinds: Iterable[str], weights: Mapping[str, float]) -> None:
    """Check that every kind has a weight.

    Raises:
        ConfigError: one has none.
    """
    for kind in kinds:
        if kind not in weights:
            message = f"events of the kind {kind[:40]!r} have no weight"
            near = nearest_hint(kind, list(weights))
            raise ConfigError(message, f"{near}; --event-weight {kind[:40]}=1 adds a kind")
