"""Lists in the texts of a table, as programs write them: whether a text is one, and SQL for it.

Known forms are ``10 11``, ``10|11`` and ``10;11`` without brackets; and within square, round or
curly brackets, with or without quotes: ``["a", "b"]`` (JSON), ``['a', 'b']``, ``('a', 'b')``,
``{'a', 'b'}`` (Python), ``['a' 'b']`` and ``[1 2]`` (NumPy), ``{a,"b c"}`` (PostgreSQL).
"""

from __future__ import annotations

import re

SEPARATORS = "|;,"
"""Separators within lists, in order of precedence; without any of them, blanks."""

_BRACKETED = re.compile(r"\[.*\]|\(.*\)|\{.*\}", re.DOTALL)

_QUOTED_LIST = r"""^[\[({]\s*u?['"]"""
"""A list whose first element is quoted. Python 2 writes ``u`` before text."""

_ELEMENT = r"""u?'(?:[^'\\]|\\.)*'|u?"(?:[^"\\]|\\.)*"|[^,\s'"]+"""

_QUOTES = r"""^u?'(.*)'$|^u?"(.*)"$"""


def is_list(text: str) -> bool:
    """Whether a text without blanks around it is a list rather than one id or title.

    It is if it is in brackets or has several elements, between ``|`` or ``;`` or each with a digit.
    """
    elements = re.split(r"[\s|;,]+", text)
    if _BRACKETED.fullmatch(text) or re.search(r"\S\s*[|;]\s*\S", text):
        return True
    return len(elements) > 1 and all(any(map(str.isdigit, element)) for element in elements)


def list_sql(column: str) -> str:
    """SQL for a text as a list of texts: NULL for NULL, and empty for empty text.

    Quotes and backslashes within the quotes of an element are those of JSON or Python.

    Args:
        column: an SQL expression.
    """
    text = f"trim({column}, {_literal(_BLANKS)})"
    elements = f"regexp_extract_all({_inner_sql(text, '.*')}, {_literal(_ELEMENT)})"
    escaped = rf"regexp_replace({_unquoted_sql('element')}, '\\(.)', '\1', 'g')"
    inner = _inner_sql(text, r"[^\[\](){}]*")  # "(500) Days|Heat (1995)" is not in brackets
    splits = [
        rf"WHEN contains({inner}, '{mark}') THEN string_split_regex({inner}, '\s*[{mark}]\s*')"
        for mark in SEPARATORS
    ]
    plain = f"CASE {' '.join(splits)} ELSE string_split_regex({inner}, '\\s+') END"
    return f"""CASE
        WHEN {inner} = '' THEN []
        WHEN starts_with({text}, '[') AND json_valid({text}) THEN from_json({text}, '["VARCHAR"]')
        WHEN regexp_matches({text}, {_literal(_QUOTED_LIST)})
            THEN list_transform({elements}, lambda element: {escaped})
        ELSE list_transform({plain}, lambda element: {_unquoted_sql("element")})
    END"""


def _inner_sql(text: str, inner: str) -> str:
    """SQL for the inner of a text in brackets, if it matches a pattern, else for the text."""
    return rf"regexp_replace({text}, '^[\[({{]\s*({inner}?)\s*[\])}}]$', '\1', 's')"


def _unquoted_sql(text: str) -> str:
    return rf"regexp_replace({text}, {_literal(_QUOTES)}, '\1\2', 's')"


_BLANKS = " \t\r\n"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
