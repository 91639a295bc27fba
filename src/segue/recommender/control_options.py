"""The controls of a caller: filters, examples, caps and dials, by item id and attribute name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass, field
from typing import Any, TypedDict

import numpy as np
from jaxtyping import Int32, UInt8

from segue.config import nearest_hint
from segue.controls import NO_CONTROLS, Cap, Controls
from segue.errors import RequestError, quantity
from segue.recommender.ids import Id, id_strings
from segue.recommender.item_attributes import EXAMPLE, MAX_SHOWN, ItemAttributes
from segue.recommender.masks import allowed_bits
from segue.storage.reading import one_line
from segue.tokens import INDEX_DTYPE, N_SPECIALS, UNK

NAMED_IDS = 5
"""Unknown ids that a note names."""

FindItems = Callable[[list[str]], tuple[Int32[np.ndarray, " items"], list[str]]]
"""Item indices of ids (UNK for unknown ones), and the ids that are not in the catalogue."""


class ControlOptions(TypedDict, total=False):
    """The controls of a request. All apply before the list is cut, so it has ``k`` items.

    Attributes:
        exclude: item ids that are not listed.
        only: the only item ids that may be listed, such as the candidates of another system.
        where: a condition on an attribute of the items or several, all of which must hold:
            ``"year >= 1990"``, ``"genres has Jazz"``, ``"artist != Miles Davis"``. Operators are
            ``=``, ``!=``, ``<``, ``<=``, ``>`` and ``>=`` for numbers; ``=``, ``!=``, ``has`` and
            ``lacks`` (a part of the text) for text; ``has`` and ``lacks`` (one of the values) for
            lists; those of numbers for dates, with a year, month or day. Text is compared without
            case and accents. An item without a value satisfies ``!=`` and
            ``lacks`` only.
        cap: the largest number of listed items with one value of an attribute, by attribute:
            ``{"artist": 2}``.
        diversity: from 0 to 1, how much an item that is similar to those listed before it falls
            back (maximal marginal relevance).
        popularity: from -1 (discovery) through 0 to 1 (mainstream).
        like: item ids whose similar items score higher; they are not listed themselves.
        unlike: item ids whose similar items score lower; they are not listed themselves.
    """

    exclude: Iterable[Id]
    only: Iterable[Id] | None
    where: str | Iterable[str]
    cap: Mapping[str, int]
    diversity: float
    popularity: float
    like: Iterable[Id]
    unlike: Iterable[Id]


NAMES = tuple(ControlOptions.__annotations__)
ARGUMENTS = (
    "k",
    "length",
    "user",
    "sequence_features",
    "include_seen",
    "probabilities",
    "controls",
)
"""Further arguments of the methods that take controls, for the hint about a misspelt one."""
LISTS_OF_IDS = ("exclude", "only", "like", "unlike")
MAX_EXAMPLES = 100
"""Liked, and disliked, items of a request: their vectors are gathered together."""


@dataclass(frozen=True, eq=False)
class RequestControls:
    """The controls of one request in item indices.

    Attributes:
        excluded: item indices that are not listed.
        controls: all else.
        filters: the conditions and lists that allow some items only, in words; empty if none do.
        n_excluded: number of items that ``exclude`` leaves out.
        notes: caveats for the answer, such as unknown ids.
    """

    excluded: Int32[np.ndarray, " excluded"] = field(
        default_factory=lambda: np.zeros(0, INDEX_DTYPE)
    )
    controls: Controls = NO_CONTROLS
    filters: str = ""
    n_excluded: int = 0
    notes: list[str] = field(default_factory=list)


NO_REQUEST_CONTROLS = RequestControls()


def read_controls(
    options: Mapping[Any, Any], attributes: ItemAttributes, find_items: FindItems
) -> RequestControls:
    """Look up the ids and attributes of some controls.

    Args:
        options: as in ``ControlOptions``; a value of None stands for none.
        attributes: the attributes of the model's items.
        find_items: looks up item ids.

    Raises:
        RequestError: a name is unknown, a number is out of range, a condition cannot be read or
            does not suit its attribute, ids are not a collection, or an item is both liked and
            disliked.
    """
    given = {name: value for name, value in listed(options).items() if value is not None}
    if not given:
        return NO_REQUEST_CONTROLS
    notes: list[str] = []

    def indices(name: str) -> Int32[np.ndarray, " items"]:
        items, unknown = find_items(id_strings(given.get(name, ()), name))
        if unknown:
            notes.append(_unknown_note(name, unknown))
        return np.unique(items[items != UNK])

    conditions = [attributes.condition(text) for text in given.get("where", ())]
    notes += [note for condition in conditions if (note := attributes.note(condition))]
    masks = [attributes.mask(condition) for condition in conditions]
    if "only" in given:
        masks.append(_only(indices("only"), attributes.vocabulary_size))
    # A single mask is not copied: requests with the same condition share one.
    allowed = np.bitwise_and.reduce(masks) if len(masks) > 1 else masks[0] if masks else None
    liked, disliked = _examples(indices("like"), indices("unlike"), attributes.vocabulary_size)
    controls = Controls(
        allowed=allowed,
        popularity=_number("popularity", given.get("popularity", 0), -1),
        liked=liked,
        disliked=disliked,
        caps=_caps(given.get("cap", {}), attributes),
        diversity=_number("diversity", given.get("diversity", 0), 0),
    )
    filters = [f"where {condition}" for condition in conditions] + ["only"] * ("only" in given)
    excluded = indices("exclude")
    return RequestControls(
        np.concatenate([excluded, liked, disliked]).astype(INDEX_DTYPE),
        NO_CONTROLS if controls.are_neutral else controls,
        " and ".join(filters),
        len(excluded),
        notes,
    )


def listed(options: Mapping[Any, Any]) -> dict[Any, Any]:
    """The options with lists in place of iterables, which may be readable only once.

    Raises:
        RequestError: a name is unknown, or ids or conditions are not a collection.
    """
    values = dict(options)
    for name, value in options.items():
        if name not in NAMES:
            shown = one_line(repr(name), MAX_SHOWN)
            names = [*NAMES, *ARGUMENTS]
            raise RequestError(
                f"unknown argument or control {shown}", nearest_hint(str(name), names)
            )
        if value is None:
            continue
        if name == "where":
            values[name] = _conditions(value)
        elif name in LISTS_OF_IDS:
            # Unlike a history, these have no order.
            values[name] = id_strings(list(value) if isinstance(value, Set) else value, name)
    return values


def merged(shared: Mapping[str, Any], own: Any) -> Mapping[Any, Any]:
    """The controls of one of many histories: its own ones take precedence, except None.

    Raises:
        RequestError: ``own`` is not a mapping.
    """
    if own is None:
        return shared
    if not isinstance(own, Mapping):
        message = f"controls has {own!r}, expected a mapping or None per history"
        raise RequestError(message, 'give {"exclude": ["12"]}, for example')
    return {**shared, **{name: value for name, value in own.items() if value is not None}}


def restriction(controls: RequestControls, catalogue: UInt8[np.ndarray, " bytes"]) -> str | None:
    """What restricts the list of a request, in words; None if nothing does.

    Args:
        catalogue: the mask of the items that are never recommended.
    """
    reasons = []
    if (allowed := controls.controls.allowed) is not None:
        n_allowed = int(np.bitwise_count(allowed & ~catalogue[: len(allowed)]).sum())
        items = quantity(n_allowed, "item satisfies", "items satisfy")
        reasons.append(f"{items} {controls.filters}")
    if controls.n_excluded:
        reasons.append(f"{quantity(controls.n_excluded, 'item')} excluded")
    if controls.controls.has_examples:
        reasons.append("liked and disliked items are left out")
    reasons += [f"cap {cap.attribute}={cap.limit}" for cap in controls.controls.caps]
    return ", ".join(reasons) or None


def _conditions(where: Any) -> list[str]:
    conditions = [where] if isinstance(where, str) else where
    if not isinstance(conditions, Iterable) or isinstance(conditions, Mapping | bytes):
        message = f"where is {one_line(repr(where), MAX_SHOWN)}, expected conditions"
        raise RequestError(message, f"such as {EXAMPLE}")
    conditions = list(conditions)
    for condition in conditions:
        if not isinstance(condition, str):
            shown = one_line(repr(condition), MAX_SHOWN)
            raise RequestError(
                f"where has {shown}, expected a condition as text", f"such as {EXAMPLE}"
            )
    return conditions


def _caps(cap: Any, attributes: ItemAttributes) -> tuple[Cap, ...]:
    if not isinstance(cap, Mapping):
        message = f"cap is {one_line(repr(cap), MAX_SHOWN)}, expected a mapping of names to numbers"
        raise RequestError(message, 'give {"artist": 2}, for example')
    return tuple(attributes.cap(str(name), limit) for name, limit in cap.items())


def _examples(
    liked: Int32[np.ndarray, " liked"], disliked: Int32[np.ndarray, " disliked"], size: int
) -> tuple[Int32[np.ndarray, " liked"], Int32[np.ndarray, " disliked"]]:
    """The examples in the catalogue, which have vectors."""
    if len(np.intersect1d(liked, disliked)):
        message = "an item is in like and in unlike"
        raise RequestError(message, "leave it out of one of them")
    for name, items in (("like", liked), ("unlike", disliked)):
        if len(items) > MAX_EXAMPLES:
            message = f"{name} has {len(items):,} items, expected at most {MAX_EXAMPLES}"
            raise RequestError(message, "give those that matter most")
    return liked[liked < size], disliked[disliked < size]


def _only(items: Int32[np.ndarray, " items"], size: int) -> UInt8[np.ndarray, " bytes"]:
    is_allowed = np.zeros(size, bool)
    is_allowed[items[(items >= N_SPECIALS) & (items < size)]] = True
    return allowed_bits(is_allowed)


def _number(name: str, value: Any, low: int) -> float:
    is_number = isinstance(value, int | float | np.integer | np.floating)
    if not is_number or isinstance(value, bool) or not low <= value <= 1:
        raise RequestError(
            f"{name} is {value!r}, expected a number from {low} to 1", "0 is neutral"
        )
    return float(value)


def _unknown_note(name: str, unknown: list[str]) -> str:
    named = ", ".join(repr(item_id) for item_id in unknown[:NAMED_IDS])
    more = f" and {len(unknown) - NAMED_IDS:,} more" if len(unknown) > NAMED_IDS else ""
    ids = quantity(len(unknown), "unknown id")
    return f"{ids} of {name} ignored: {named}{more}"
