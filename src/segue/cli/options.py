"""Options that several verbs share, and how values are read that are more than a word."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from segue.errors import RequestError

_DURATIONS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_SIZES = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


def duration_s(text: str) -> float:
    """Seconds of ``30s``, ``30m``, ``2h`` or ``1.5d``."""
    return _scaled(text, _DURATIONS, "a number with s, m, h or d, as in 30m")


def size_bytes(text: str) -> int:
    """Bytes of ``500KB``, ``600MB`` or ``2GB``: powers of ten."""
    return round(_scaled(text.upper(), _SIZES, "a number with KB, MB or GB, as in 2GB"))


def cutoffs(text: str) -> tuple[int, ...]:
    """Whole numbers of ``5,10,20``."""
    return _numbers(text, 1, "5,10,20")


def counts(text: str) -> tuple[int, ...]:
    """Whole numbers of ``0,1,5``, 0 among them."""
    return _numbers(text, 0, "0,1,5")


def words(text: str) -> list[str]:
    """The words between commas, without the spaces around them."""
    return [word.strip() for word in text.split(",") if word.strip()]


def item_ids(items: str | None, item: list[str] | None) -> list[str]:
    """The ids of a prompt: those of ``--items`` first, then each ``--item`` as it is.

    Raises:
        RequestError: an id is empty, as where a variable of a script is.
    """
    first = [] if items is None else [word.strip() for word in items.split(",")]
    ids = first + (item or [])
    if not all(map(str.strip, ids)):
        hint = "leave --items and --item out where there is no history"
        raise RequestError("an item id is empty, expected one as in the log", hint)
    return ids


def _numbers(text: str, least: int, example: str) -> tuple[int, ...]:
    try:
        numbers = tuple(int(word) for word in text.split(","))
    except ValueError:
        numbers = ()
    if not numbers or min(numbers) < least:
        raise ValueError(f"{text!r} is not a list of numbers from {least} on, as in {example}")
    return numbers


def about(title: str | None, others: list[str] | None) -> dict[str, str]:
    """What is known of a sequence: its title is what datasets call its ``name``; '' is none."""
    known = {"name": title} if title and title.strip() else {}
    for text in others or []:
        name, equals, value = text.partition("=")
        if not equals:
            raise RequestError(f"--about {text!r} has no '='", "write NAME=VALUE, as in gender=F")
        known[name.strip()] = value.strip()
    return known


def _scaled(text: str, units: dict[str, float] | dict[str, int], expected: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)", text.strip())
    if match is None or match[2] not in units or float(match[1]) == 0:
        raise ValueError(f"{text!r} is not {expected}")
    return float(match[1]) * units[match[2]]


Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Seed = Annotated[
    int,
    typer.Option("--seed", min=0, max=2**32 - 1, metavar="N", help="Of everything drawn."),
]
Run = Annotated[Path, typer.Argument(metavar="RUN", help="The folder that train wrote.")]
ItemList = Annotated[
    str | None,
    typer.Option("--items", metavar="A,B,C", help="The history: item ids, oldest first."),
]
ItemIds = Annotated[
    list[str] | None,
    typer.Option("--item", metavar="ID", help="One more item id, commas and all; repeatable."),
]
User = Annotated[
    str | None,
    typer.Option(
        "--user", metavar="ID", help="A sequence of the training dataset, before the items."
    ),
]
Title = Annotated[
    str | None,
    typer.Option(metavar="TEXT", help="The sequence's name, for a model that reads names."),
]
About = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=VALUE", help="What else the model reads of the sequence; repeatable."
    ),
]
IncludeSeen = Annotated[
    bool, typer.Option("--include-seen", help="Items of the history may come again.")
]
TrainedOn = Annotated[
    Path, typer.Argument(metavar="DATASET", help="The folder that prepare wrote.")
]
Preset = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="A shipped configuration: demo, sasrec, ..."),
]
ConfigFile = Annotated[Path | None, typer.Option(metavar="FILE", help="A configuration in TOML.")]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change one key; repeatable."),
]
