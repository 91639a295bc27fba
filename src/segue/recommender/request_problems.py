"""What is wrong with a request, in one sentence: its place, what was given and what is expected.

A place is written as in JavaScript: ``items[0]``, ``requests[1].cap.artist``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from segue.storage.reading import one_line

MAX_SHOWN = 80
"""Characters of a value or a place in a message."""

_EXPECTED = {
    "string_type": "a text",
    "int_type": "an integer",
    "int_parsing": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "greater_than_equal": "{ge} or more",
    "greater_than": "more than {gt}",
    "less_than_equal": "{le} or less",
    "less_than": "less than {lt}",
    "too_long": "{max_length} or fewer",
    "too_short": "{min_length} or more",
    "string_too_long": "{max_length} or fewer",
    "string_too_short": "{min_length} or more",
    "literal_error": "{expected}",
}
"""What is expected, by the type of an error of pydantic."""
_COUNTED = {"too_long", "too_short", "string_too_long", "string_too_short"}


class Problem(NamedTuple):
    """The first problem of a request.

    Attributes:
        message: the sentence.
        unknown_key: the last step of the place, if the problem is a key that does not exist.
    """

    message: str
    unknown_key: str | None = None


def problem_of(errors: Sequence[dict[str, Any]], *, root: str, is_text: bool = False) -> Problem:
    """The sentence about the first of some errors of pydantic.

    Args:
        errors: from ``ValidationError.errors()``, with the places from the request on.
        root: what the whole request is called.
        is_text: whether all values were given as text, as in the query of an address.
    """
    first, expected = _joined(errors)
    kind, steps, value = first["type"], list(first["loc"]), first.get("input")
    place = place_of(steps) or root
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        return Problem(f"unknown key {place}", str(steps[-1]))
    if kind == "missing":
        return Problem(f"{place} is missing")
    if steps and steps[-1] == "[key]":
        place = f"a key of {place_of(steps[:-2]) or root}"
    expected = expected or _EXPECTED.get(kind, "").format_map(first.get("ctx", {}))
    if kind in _COUNTED:
        unit = "character" if isinstance(value, str) else "element"
        n = len(value) if isinstance(value, str | list | dict) else 0
        return Problem(f"{place} has {n:,} {unit}{'s' if n != 1 else ''}, expected {expected}")
    given = f"{place} is {one_line(value, MAX_SHOWN) if is_text else shown(value)}"
    if not expected:
        return Problem(f"{given}: {one_line(first['msg'])}")
    return Problem(f"{given}, expected {expected}")


def place_of(steps: Sequence[str | int]) -> str:
    """The place of a value in a request; empty for the request itself."""
    text = ""
    for step in steps:
        if isinstance(step, int):
            text += f"[{step}]"
        elif re.fullmatch(r"\w+", step):
            text += f".{step}" if text else step
        else:
            text += f"[{json.dumps(step)}]"
    return one_line(text, MAX_SHOWN)


def shown(value: Any) -> str:
    """A value of JSON in a message; lists and objects by their kind."""
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, dict):
        return "an object"
    try:
        return one_line(json.dumps(value), MAX_SHOWN)
    except (TypeError, ValueError):  # no JSON, or an integer of thousands of digits
        return f"of type {type(value).__name__}"


def _joined(errors: Sequence[dict[str, Any]]) -> tuple[dict[str, Any], str]:
    """The first error, and what is expected where a value may have one of two types.

    Pydantic then has an error for each type, whose place ends with the name of the type.
    """
    first = errors[0]
    *outer, last = first["loc"] or [None]
    if last != "str" or first["type"] != "string_type":
        return first, ""
    for alternative in errors[1:]:
        steps = list(alternative["loc"])
        if steps == [*outer, "int"] and alternative["type"].startswith("int_"):
            return {**first, "loc": outer}, "a string or an integer"
        if steps[: len(outer) + 1] == [*outer, "list[str]"]:
            rest = steps[len(outer) + 1 :]
            if rest:  # it is a list, with a wrong element
                return {**alternative, "loc": [*outer, *rest]}, ""
            return {**first, "loc": outer}, "a text or a list of texts"
    return first, ""
