"""Which column of a log holds what, told by its usual spellings.

Names are compared without case, spaces and underscores, and without the ``:type`` that some
published files write behind them: ``userId``, ``User ID`` and ``user_id:token`` are one
spelling. Names of ids count before bare nouns, so that ``movie_id`` wins over a ``movie``
beside it; two names of the same weight are ambiguous, and the user has to choose.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from segue.config import SourceConfig, nearest
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
"""For each role the spellings that are looked for first, and those that count after them."""

SINGLE_THINGS = "sessionid playlistid basketid orderid session playlist basket"
"""Spellings of the role ``user`` that name a thing complete in itself, not a person."""

_A_VALUE = re.compile(r"[-+]?\d[-+\d.:TZ ]*")
"""A number, or a date: no name of a column."""


class Columns(NamedTuple):
    """The name of the column in each role; None where the log has no such column."""

    user: str
    item: str
    time: str | None
    rating: str | None
    event: str | None

    @property
    def sequences_are_users(self) -> bool:
        """Whether the column of sequences names people rather than sessions or playlists."""
        return _spelling(self.user) not in SINGLE_THINGS.split()

    def named(self) -> list[str]:
        """The columns that the log has, each once."""
        return list(dict.fromkeys(name for name in self if name is not None))


def guess_columns(names: Sequence[str], config: SourceConfig, where: str) -> Columns:
    """Find the columns of a log by the options given, then by their usual spellings.

    Args:
        names: the columns that the log has.
        config: its ``*_column`` options come before any guess.
        where: the file, as error messages call it.

    Raises:
        SourceError: no column, or more than one, could be what is needed; or an option
            names a column that is not there, or one that has another role.
    """
    user = _choose("user", names, config.user_column, where)
    item = _choose("item", names, config.item_column, where)
    if user is None or item is None:
        role = "user" if user is None else "item"
        message = f"{where} has no column that looks like the {role}'s id; it has {_list(names)}"
        raise SourceError(message, _if_headless(names) or f"name it with --{role}-column")
    event = None
    if config.event_type or config.event_column:
        event = _choose("event", names, config.event_column, where)
        if event is None:
            message = f"{where} has no column that looks like the event's type"
            raise SourceError(f"{message}; it has {_list(names)}", "name it with --event-column")
    columns = Columns(
        user=user,
        item=item,
        time=_choose("time", names, config.time_column, where),
        rating=_choose("rating", names, config.rating_column, where),
        event=event,
    )
    _refuse_two_roles(columns, where)
    return columns


def find_column(name: str, names: Sequence[str], where: str, option: str) -> str:
    """The column that an option names, exactly or but for its case.

    Raises:
        SourceError: there is none; the nearest is named.
    """
    if name in names:
        return name
    alike = [other for other in names if other.casefold() == name.casefold()]
    if len(alike) == 1:
        return alike[0]
    message = f"{where} has no column {name!r}, which {option} names"
    raise SourceError(message, _if_headless(names) or nearest(name, list(names)))


def candidates(role: str, names: Sequence[str]) -> list[str]:
    """The columns that could have a role, by the first of its spellings that any has."""
    for spellings in SPELLINGS[role]:
        found = [name for name in names if _spelling(name) in spellings.split()]
        if found:
            return found
    return []


def is_usual(name: str) -> bool:
    """Whether a word is a usual spelling of any column."""
    return any(candidates(role, [name]) for role in SPELLINGS)


def matching(spellings: str, names: Sequence[str]) -> str | None:
    """The column with the earliest of some spellings (parted by blanks), or None."""
    known = {_spelling(name): name for name in reversed(names)}
    return next((known[spelling] for spelling in spellings.split() if spelling in known), None)


def _choose(role: str, names: Sequence[str], override: str | None, where: str) -> str | None:
    option = f"--{role}-column"
    if override is not None:
        return find_column(override, names, where, option)
    found = candidates(role, names)
    if len(found) > 1:
        message = f"{where} has more than one column that could be the {role}: {_list(found)}"
        raise SourceError(message, f"choose one with {option}")
    return found[0] if found else None


def _refuse_two_roles(columns: Columns, where: str) -> None:
    roles: dict[str, str] = {}
    for role, name in columns._asdict().items():
        other = roles.setdefault(name, role) if name is not None else role
        if other != role:
            message = f"{where}: the column {name!r} is taken for the {other} and the {role}"
            raise SourceError(message, f"name another with --{other}-column or --{role}-column")


def _if_headless(names: Sequence[str]) -> str | None:
    """What to do about a file whose columns are called like the values of an event."""
    if any(_A_VALUE.fullmatch(name) for name in names):
        return "is its first line an event? Put a header above it: user_id,item_id,timestamp"
    return None


def _spelling(name: str) -> str:
    return re.sub(r"[\W_]", "", name.partition(":")[0]).lower()


def _list(names: Sequence[str]) -> str:
    return ", ".join(names)
