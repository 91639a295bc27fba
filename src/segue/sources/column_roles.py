"""Guess which column of a log has which role (user, item, time, ...) from its name.

Names are compared ignoring case, spaces and underscores, and without the ``:type`` suffix of
some published files: ``userId``, ``User ID`` and ``user_id:token`` are the same spelling. Names
of ids take precedence over plain nouns, so ``movie_id`` is preferred to ``movie``. Two names of
equal precedence are ambiguous, and the user has to choose.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from segue.config import SourceConfig, nearest_hint
from segue.errors import SourceError

SPELLINGS = {
    "user": (
        "userid uid customerid clientid visitorid memberid accountid reviewerid personid "
        "sessionid playlistid basketid orderid sequenceid",
        "user customer client visitor member account reviewer session playlist basket sequence",
    ),
    "item": (
        "itemid iid productid movieid filmid trackid trackuri songid bookid articleid newsid "
        "videoid gameid appid showid episodeid businessid poiid venueid contentid asin isbn sku "
        "aid",
        "item product movie film track song book article video game show",
    ),
    "time": (
        "timestamp time ts datetime eventtime eventtimestamp createdat playedat watchedat "
        "unixreviewtime unixtime utctime",
        "date eventdate day",
    ),
    "rating": ("rating ratings score stars overall", "weight plays playcount"),
    "event": ("event eventtype action actiontype behavior behaviortype", "type"),
}
"""For each role, the usual spellings of first and of second precedence, separated by spaces."""

NON_USER_SPELLINGS = "sessionid playlistid basketid orderid session playlist basket"
"""Spellings of the role ``user`` that name a session, playlist or order, not a person."""

LIST_SPELLINGS = "history sequence itemlist itemsequence itemhistory interactions"
"""Spellings of a column of lists of items, besides the plural of a usual spelling."""


MAX_LISTED = 30
"""Most names of columns in a message."""


class ColumnRoles(NamedTuple):
    """The name of the column with each role; None if the log has no such column."""

    user: str
    item: str
    time: str | None
    rating: str | None
    event: str | None

    @property
    def sequences_are_users(self) -> bool:
        """Whether the sequence column identifies people rather than sessions or playlists."""
        return _spelling(self.user) not in NON_USER_SPELLINGS.split()

    def names(self) -> list[str]:
        """The distinct names of the columns that have a role."""
        return list(dict.fromkeys(name for name in self if name is not None))


def guess_roles(
    names: Sequence[str],
    config: SourceConfig,
    file_name: str,
    spellings: Mapping[str, str] | None = None,
) -> ColumnRoles:
    """Assign the columns of a log to roles, by the options and then by their usual spellings.

    Args:
        names: the names of the log's columns.
        config: its ``*_column`` options take precedence over any guess.
        file_name: the file, as named in error messages.
        spellings: names by which columns are recognised instead of their own.

    Raises:
        SourceError: no column, or more than one, matches a required role; or an option names
            a column that does not exist or that has another role.
    """
    columns = {name: (spellings or {}).get(name, name) for name in names}
    user = _choose("user", columns, config.user_column, file_name)
    item = _choose("item", columns, config.item_column, file_name)
    if user is None or item is None:
        role, article = ("user", "a") if user is None else ("item", "an")
        message = (
            f"no column of {file_name} has a usual name for {article} {role} id, got {_list(names)}"
        )
        raise SourceError(message, f"name the column with --{role}-column")
    event = None
    if config.event_type or config.event_column:
        event = _choose("event", columns, config.event_column, file_name)
        if event is None:
            message = f"no column of {file_name} has a usual name for an event type, "
            message += f"got {_list(names)}"
            raise SourceError(message, "name the column with --event-column")
    roles = ColumnRoles(
        user=user,
        item=item,
        time=_choose("time", columns, config.time_column, file_name),
        rating=_choose("rating", columns, config.rating_column, file_name),
        event=event,
    )
    _refuse_two_roles(roles, file_name)
    return roles


def find_column(name: str, names: Sequence[str], file_name: str, option: str) -> str:
    """Find the column that an option names: an exact match, or a unique one ignoring case.

    Raises:
        SourceError: there is no such column; the hint suggests the nearest name.
    """
    if name in names:
        return name
    matches = [column for column in names if column.casefold() == name.casefold()]
    if len(matches) == 1:
        return matches[0]
    message = f"{option} names the column {name!r}, which {file_name} does not have"
    raise SourceError(message, nearest_hint(name, list(names)))


def candidates(role: str, names: Sequence[str]) -> list[str]:
    """The columns whose names match a role, at the highest precedence that any column has."""
    for spellings in SPELLINGS[role]:
        matches = [name for name in names if _spelling(name) in spellings.split()]
        if matches:
            return matches
    return []


def is_usual(name: str) -> bool:
    """Whether a name is a usual spelling of any role."""
    return any(candidates(role, [name]) for role in SPELLINGS)


def singular(name: str) -> str:
    """The name of one element of a column of lists: ``item`` for ``items`` or ``item_list``."""
    spelling = _spelling(name)
    if spelling in LIST_SPELLINGS.split():
        return "item"
    stem = re.sub(r"(?i)[_\s]?(list|seq|sequence|array)$", "", name.partition(":")[0])
    return stem.removesuffix("s") if is_usual(stem.removesuffix("s")) else stem


def is_list_name(name: str) -> bool:
    """Whether a name is one of a column of lists: ``items``, ``item_id_list``, ``history``."""
    element = singular(name)
    roles = ("item", "time", "rating")
    return element != name and any(candidates(role, [element]) for role in roles)


def list_spellings(
    lists: Sequence[str], names: Sequence[str], config: SourceConfig
) -> dict[str, str]:
    """The spelling by which each column of lists is recognised: ``item`` for ``items``.

    Args:
        lists: the columns of lists among ``names``. Those that an option names are left out, and
            those whose spelling is that of users or another column.
    """
    given = {config.item_column, config.time_column, config.rating_column, config.event_column}
    spellings: dict[str, str] = {}
    for name in lists:
        spelling = singular(name)
        is_taken = spelling in names or spelling in spellings.values()
        if name not in given and not is_taken and not candidates("user", [spelling]):
            spellings[name] = spelling
    return spellings


def first_match(spellings: str, names: Sequence[str]) -> str | None:
    """The column that matches the earliest of some spellings (separated by spaces), or None."""
    by_spelling = {_spelling(name): name for name in reversed(names)}
    matches = (by_spelling[spelling] for spelling in spellings.split() if spelling in by_spelling)
    return next(matches, None)


def _choose(
    role: str, columns: Mapping[str, str], override: str | None, file_name: str
) -> str | None:
    """The column of a role among columns with the spellings by which they are recognised."""
    option = f"--{role}-column"
    if override is not None:
        return find_column(override, list(columns), file_name, option)
    spellings = candidates(role, list(columns.values()))
    chosen = [name for name, spelling in columns.items() if spelling in spellings]
    if len(chosen) > 1:
        message = f"{file_name} has more than one column that could be the {role}: {_list(chosen)}"
        raise SourceError(message, f"choose one with {option}")
    return chosen[0] if chosen else None


def _refuse_two_roles(roles: ColumnRoles, file_name: str) -> None:
    role_of_column: dict[str, str] = {}
    for role, name in roles._asdict().items():
        first_role = role_of_column.setdefault(name, role) if name is not None else role
        if first_role != role:
            message = f"{file_name}: the column {name!r} is used both as {first_role} and as {role}"
            hint = f"choose another column with --{first_role}-column or --{role}-column"
            raise SourceError(message, hint)


def _spelling(name: str) -> str:
    return re.sub(r"[\W_]", "", name.partition(":")[0]).lower()


def _list(names: Sequence[str]) -> str:
    return ", ".join(names[:MAX_LISTED]) + (", ..." if len(names) > MAX_LISTED else "")
