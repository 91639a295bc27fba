"""The rule for ids: which text stands for a value, and which values are missing or refused.

The rule has three forms: for one Python value (``id_of``), for an Arrow array (``id_array``) and
as SQL for a DuckDB column (``id_sql``, ``refused_sql``). A test holds them equal.

- Text: blanks around it are removed. Empty text and ``MISSING_WORDS`` are missing. A whole number
  with decimals that are zero loses them (``12.0`` is ``12``); ``007`` and ``1e3`` stay.
- Integers are their digits. So are floats and decimals that are whole numbers; NaN is missing.
- Dates are ISO 8601 text, and UUIDs their usual text.
- All else is refused: a float that is not whole, infinite, or so large that digits may be lost;
  booleans, times, bytes, lists and objects.
"""

from __future__ import annotations

import datetime
import re
import string
import uuid
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

BLANKS = (
    "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007"
    "\u2008\u2009\u200a\u200b\u2028\u2029\u202f\u205f\u2060\u3000\ufeff"
)
"""Characters that are removed around an id: Unicode white space, marks of zero width, and BOM."""

MISSING_WORDS = ("NULL", "null", "Null", r"\N", "NaN", "nan", "NAN", "None", "<NA>", "NaT")
"""Words that programs write for a missing value."""

DOUBTFUL_WORDS = ("NA", "N/A", "n/a", "nil", "undefined", "-", "?")
"""Words that may be a missing value or an id. They are ids, and a warning counts them."""

_WHOLE_DECIMAL = r"^-?(0)\.0+$|^(-?[1-9][0-9]*)\.0+$"
_DIGITS = r"\1\2"

EXACT_BITS = {"HALF": 11, "FLOAT": 24, "DOUBLE": 53}
"""Whole numbers below two to this power are exact, by the type of a float."""

EXPECTED = "write ids as text or integers: '7' or 7"
"""What to do about a refused id."""


_MISSING_WORDS = frozenset(MISSING_WORDS)

_NAN, _INFINITE = "'nan', '-nan'", "'inf', '-inf'"
"""Floats that are no numbers, as DuckDB writes them, as lists in SQL."""


class InvalidIdError(ValueError):
    """A value that cannot be an id; the text says why."""


def id_of(value: Any) -> str | None:
    """The id that a Python value stands for; None if it is missing.

    Args:
        value: text, a number of Python or NumPy, a date, a UUID, None, or an Arrow scalar.

    Raises:
        InvalidIdError: the value cannot be an id.
    """
    if isinstance(value, str):
        return _text_id(value)
    if hasattr(value, "as_py"):
        return id_of(value.as_py())
    if value is None or type(value).__name__ in {"NAType", "NaTType"}:  # of pandas
        return None
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        return value.isoformat()
    if isinstance(value, uuid.UUID):
        return str(value)
    return _number_id(value)


def are_plain(texts: list[str]) -> bool:
    """Whether the rule does not change any text, by a test that is fast and true of most ids."""
    joined = "".join(texts)
    return joined.isascii() and joined.isalnum() and all(texts) and _MISSING_WORDS.isdisjoint(texts)


def id_array(values: pa.Array | pa.ChunkedArray) -> pa.Array:
    """The ids that an Arrow array stands for, as strings; null where they are missing.

    Raises:
        InvalidIdError: the type cannot be an id, or a value cannot; the text names the first one.
    """
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    kind = values.type
    if pa.types.is_dictionary(kind):
        return id_array(values.dictionary).take(values.indices)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or kind == pa.string_view():
        return _text_ids(values.cast(pa.string()))
    if pa.types.is_null(kind):
        return values.cast(pa.string())
    if pa.types.is_integer(kind) or pa.types.is_date32(kind):
        return values.cast(pa.string())
    if pa.types.is_date64(kind):
        return values.cast(pa.date32()).cast(pa.string())
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        distinct = values.dictionary_encode()
        ids = pa.array(map(_id_of_scalar(kind), distinct.dictionary), pa.string())
        return ids.take(distinct.indices)
    raise InvalidIdError(f"values of type {kind}")


def id_sql(column: str, sql_type: str) -> str:
    """SQL for the id that each value of a column stands for: VARCHAR, NULL where it is missing.

    It never fails, not even for values that ``refused_sql`` selects; their result has no meaning.

    Args:
        column: an SQL expression.
        sql_type: its DuckDB type. A type that ``refused_type`` selects is not allowed.
    """
    if _is_float(sql_type) or sql_type.startswith("DECIMAL"):
        return f"CAST({_whole_sql(column)} AS VARCHAR)"
    text = f"CAST({column} AS VARCHAR)"
    if not _is_text(sql_type):
        return text
    trimmed = f"trim({text}, {_literal(BLANKS)})"
    decimals = f"regexp_replace({trimmed}, {_literal(_WHOLE_DECIMAL)}, '{_DIGITS}')"
    missing = ", ".join(map(_literal, ("", *MISSING_WORDS)))
    changed = f"CASE WHEN {trimmed} NOT IN ({missing}) THEN {decimals} END"
    return _unless_plain_sql(text, text, changed)


def refused_sql(column: str, sql_type: str) -> str:
    """SQL for whether a value cannot be an id."""
    if sql_type.startswith("DECIMAL"):
        return f"coalesce({column} <> trunc({column}), false)"
    if not _is_float(sql_type):
        return "false"
    text = f"CAST({column} AS VARCHAR)"
    inexact = f"{column} <> trunc({column}) OR abs({column}) >= {2.0 ** EXACT_BITS[sql_type]}"
    return (
        f"CASE WHEN {text} IN ({_NAN}) THEN false WHEN {text} IN ({_INFINITE}) THEN true "
        f"ELSE coalesce({inexact}, false) END"
    )


def needs_rule_sql(column: str) -> str:
    """SQL for whether the rule changes a text or warns of it; cheap for most texts."""
    words = ", ".join(map(_literal, (*MISSING_WORDS, *DOUBTFUL_WORDS)))
    edges = _literal(f"^[{_class(BLANKS)}]|[{_class(BLANKS)}]$")
    whole = f"contains({column}, '.0') AND regexp_matches({column}, {_literal(_WHOLE_DECIMAL)})"
    exact = f"{column} IN ({words}) OR regexp_matches({column}, {edges}) OR ({whole})"
    return _unless_plain_sql(column, "false", f"({exact})")


def trim_sql(column: str) -> str:
    """SQL for a text without the blanks around it."""
    return f"trim({column}, {_literal(BLANKS)})"


def refused_type(sql_type: str) -> str | None:
    """What a column of a DuckDB type contains, if that cannot be ids; else None."""
    kinds = {
        "BOOLEAN": "true and false",
        "TIMESTAMP": "times",
        "TIME": "times of day",
        "INTERVAL": "durations",
        "BLOB": "bytes",
        "BIT": "bits",
        "STRUCT": "lists or objects",
        "MAP": "lists or objects",
    }
    if sql_type.endswith("]"):
        return kinds["STRUCT"]
    return next((text for name, text in kinds.items() if sql_type.startswith(name)), None)


def _text_id(text: str) -> str | None:
    text = text.strip(BLANKS)
    if not text or text in _MISSING_WORDS:
        return None
    return re.sub(_WHOLE_DECIMAL, _DIGITS, text) if "." in text else text


def _number_id(value: Any) -> str | None:
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float | np.floating):
        return _float_id(value)
    if isinstance(value, Decimal):
        return _decimal_id(value)
    raise InvalidIdError(f"{value!r} is of type {type(value).__name__}")


def _float_id(value: Any) -> str | None:
    if np.isnan(value):
        return None
    number = float(value)
    if not np.isfinite(number) or number != int(number):
        raise InvalidIdError(f"{number!r} is not a whole number")
    if abs(number) >= 2 ** (np.finfo(type(value)).nmant + 1):
        raise InvalidIdError(f"{number!r} is a float so large that its last digits may be lost")
    return str(int(number))


def _decimal_id(value: Decimal) -> str | None:
    if value.is_nan():
        return None
    if not value.is_finite() or value != int(value):
        raise InvalidIdError(f"{value} is not a whole number")
    return str(int(value))


def _id_of_scalar(kind: pa.DataType) -> Any:
    """``id_of`` for the scalars of an array; floats keep their width, which limits exactness."""
    if pa.types.is_decimal(kind):
        return id_of
    dtype = kind.to_pandas_dtype()
    return lambda scalar: None if scalar.as_py() is None else _float_id(dtype(scalar.as_py()))


def _text_ids(texts: pa.Array) -> pa.Array:
    trimmed = pc.call_function("utf8_trim", [texts], pc.TrimOptions(BLANKS))
    missing = pc.SetLookupOptions(pa.array(["", *MISSING_WORDS]))
    is_missing = pc.call_function("is_in", [trimmed], missing)
    rewrite = pc.ReplaceSubstringOptions(_WHOLE_DECIMAL, _DIGITS)
    digits = pc.call_function("replace_substring_regex", [trimmed], rewrite)
    return pc.call_function("if_else", [is_missing, pa.scalar(None, pa.string()), digits])


def _unless_plain_sql(text: str, if_plain: str, otherwise: str) -> str:
    """SQL that chooses by whether a text is certainly an id as it stands, by its edges.

    The first and last characters are printable ASCII; the text ends neither as one of the words
    nor as a decimal. This keeps the exact tests away from almost all ids. Most end in a digit that
    is not 0, or in a single 0: the reversed text shows it at half the cost of a regular expression.
    DuckDB evaluates all of an OR for every row, but a CASE only where no earlier one held.
    """
    last = {word[-1] for word in (*MISSING_WORDS, *DOUBTFUL_WORDS)} | {"0"}
    printable = string.digits + string.ascii_letters + string.punctuation
    plain = _class("".join(character for character in printable if character not in last))
    ends = f"regexp_matches({text}, {_literal(f'(?:[{plain}]|[^.0]0+)$')})"
    starts = f"{text} BETWEEN '!' AND '~'"
    return (
        f"CASE WHEN reverse({text}) BETWEEN '01' AND ':' AND {starts} THEN {if_plain} "
        f"WHEN {starts} AND {ends} THEN {if_plain} ELSE {otherwise} END"
    )


def _whole_sql(column: str) -> str:
    """SQL for a float or decimal as an integer; NULL if it is NaN or infinite.

    By its text, because DuckDB believes the statistics of a Parquet column, which omit NaN; and
    with a CASE, because DuckDB 2.0 takes a TRY_CAST to have no more NULLs than its argument, and
    then leaves out conditions such as ``IS NOT NULL``.
    """
    text = f"CAST({column} AS VARCHAR)"
    return f"CASE WHEN {text} NOT IN ({_NAN}, {_INFINITE}) THEN TRY_CAST({text} AS HUGEINT) END"


def _is_text(sql_type: str) -> bool:
    return sql_type.startswith(("VARCHAR", "ENUM", "JSON", '"NULL"'))


def _is_float(sql_type: str) -> bool:
    return sql_type in EXACT_BITS


def _class(characters: str) -> str:
    """Characters as the contents of a character class of a regular expression."""
    return "".join(f"\\x{{{ord(character):x}}}" for character in characters)


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
