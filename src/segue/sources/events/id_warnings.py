"""Warnings about the ids of a log: rows left out, ids rewritten, and doubtful ones."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import duckdb

from segue.errors import quantity
from segue.ids import DOUBTFUL_WORDS, MISSING_WORDS, trim_sql
from segue.sources.events.log_view import IS_TYPED, LogView


class _Changes(NamedTuple):
    """What the rule for ids does to a column, as numbers of rows.

    Attributes:
        n_trimmed: with blanks around the id.
        n_whole: with a whole number written with decimals.
        words: by word, with a missing or doubtful one.
    """

    n_trimmed: int
    n_whole: int
    words: Counter[str]


def id_warnings(connection: duckdb.DuckDBPyConnection, log: LogView, n_left_out: int) -> list[str]:
    """The warnings about ids; reads the log only if the view has exact ids.

    Args:
        n_left_out: rows without a user id or an item id.
    """
    columns = {"user": log.columns.user, "item": log.columns.item}
    changes = {role: _changes(connection, log, role, name) for role, name in columns.items()}
    warnings = []
    if n_left_out:
        rows = quantity(n_left_out, "row")
        words = sum((change.words for change in changes.values()), Counter())
        missing = [word for word in MISSING_WORDS if words[word]]
        as_words = f" (empty, or {', '.join(missing)})" if missing else ""
        warnings.append(f"left out {rows} without a user id or an item id{as_words}")
    for role, name in columns.items():
        n_trimmed, n_whole, words = changes[role]
        if n_trimmed:
            rows = quantity(n_trimmed, "row")
            warnings.append(f"removed blanks around the ids of {rows} in the column {name!r}")
        if n_whole:
            rows = quantity(n_whole, "row")
            warnings.append(
                f"ids of {rows} in the column {name!r} are whole numbers with decimals: 12.0 "
                "became 12"
            )
        for word in DOUBTFUL_WORDS:
            if words[word]:
                rows_have = quantity(words[word], "row has", "rows have")
                warnings.append(
                    f"{rows_have} the {role} id {word!r}, which may stand for a missing one: it "
                    "was kept; leave it empty in the log to leave such rows out"
                )
    return warnings


def _changes(connection: duckdb.DuckDBPyConnection, log: LogView, role: str, name: str) -> _Changes:
    is_float = log.type_of(name) in {"FLOAT", "DOUBLE"} or log.type_of(name).startswith("DECIMAL")
    if not is_float and not (log.exact_ids and log.type_of(name) == "VARCHAR"):
        return _Changes(0, 0, Counter())
    text, trimmed = f"{role}_text", trim_sql(f"{role}_text")
    column = "sequence_id" if role == "user" else "item_id"
    words = ", ".join(f"'{word}'" for word in (*MISSING_WORDS, *DOUBTFUL_WORDS))
    rows = connection.sql(f"""
        SELECT CASE WHEN {trimmed} IN ({words}) THEN {trimmed} END AS word, count(*),
            count(*) FILTER ({column} IS NOT NULL AND {text} <> {trimmed}),
            count(*) FILTER ({column} <> {trimmed})
        FROM ({log.sql()}) WHERE {IS_TYPED} GROUP BY word
    """).fetchall()
    return _Changes(
        sum(n_trimmed for *_, n_trimmed, _ in rows),
        sum(n_whole for *_, n_whole in rows),
        Counter({word: n for word, n, *_ in rows if word is not None and not is_float}),
    )
