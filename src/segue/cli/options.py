"""Options that several verbs share, and the parsers of structured option values."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from segue.errors import RequestError

_SECONDS_PER_UNIT = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_BYTES_PER_UNIT = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


def parse_duration(text: str) -> float:
    """Seconds of ``30s``, ``30m``, ``2h`` or ``1.5d``."""
    return _parse_with_unit(text, _SECONDS_PER_UNIT, "a number with s, m, h or d, as in 30m")


def parse_size(text: str) -> int:
    """Bytes of ``500KB``, ``600MB`` or ``2GB``; the units are powers of ten."""
    return round(
        _parse_with_unit(text.upper(), _BYTES_PER_UNIT, "a number with KB, MB or GB, as in 2GB")
    )


def parse_cutoffs(text: str) -> tuple[int, ...]:
    """The positive integers of a list such as ``5,10,20``."""
    return _parse_integers(text, 1, "5,10,20")


def parse_counts(text: str) -> tuple[int, ...]:
    """The integers of a list such as ``0,1,5``; 0 is allowed."""
    return _parse_integers(text, 0, "0,1,5")


def parse_names(text: str) -> list[str]:
    """The names of a list such as ``a,b``; spaces around them and empty names are dropped."""
    return [name.strip() for name in text.split(",") if name.strip()]


def item_ids(items: str | None, item: list[str] | None) -> list[str]:
    """The item ids of a history: those of ``--items``, then the value of each ``--item``.

    Raises:
        RequestError: an id is empty, for example because a shell variable is.
    """
    listed = [] if items is None else [item_id.strip() for item_id in items.split(",")]
    ids = listed + (item or [])
    if not all(map(str.strip, ids)):
        hint = "leave --items and --item out where there is no history"
        raise RequestError("an item id is empty, expected an id of the log", hint)
    return ids


def sequence_features(title: str | None, features: list[str] | None) -> dict[str, str]:
    """The sequence features of ``--title``, if it is not blank, and ``--sequence-feature``.

    Raises:
        RequestError: a feature is not of the form NAME=VALUE.
    """
    by_name = {"name": title} if title and title.strip() else {}
    for text in features or []:
        name, equals, value = text.partition("=")
        if not equals:
            raise RequestError(
                f"--sequence-feature {text!r} has no '='", "write NAME=VALUE, as in gender=F"
            )
        by_name[name.strip()] = value.strip()
    return by_name


def _parse_integers(text: str, minimum: int, example: str) -> tuple[int, ...]:
    try:
        numbers = tuple(int(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if not numbers or min(numbers) < minimum:
        raise ValueError(
            f"{text!r} is not a list of integers of at least {minimum}, as in {example}"
        )
    return numbers


def _parse_with_unit(text: str, units: dict[str, float] | dict[str, int], expected: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)", text.strip())
    if match is None or match[2] not in units or float(match[1]) == 0:
        raise ValueError(f"{text!r} is not {expected}")
    return float(match[1]) * units[match[2]]


Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Seed = Annotated[
    int,
    typer.Option("--seed", min=0, max=2**32 - 1, metavar="N", help="Seed of all random draws."),
]
RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, written by train.")]
DatasetPath = Annotated[
    Path, typer.Argument(metavar="DATASET", help="A dataset folder, written by prepare.")
]

ItemList = Annotated[
    str | None,
    typer.Option("--items", metavar="A,B,C", help="Item ids of the history, oldest first."),
]
SingleItems = Annotated[
    list[str] | None,
    typer.Option(
        "--item", metavar="ID", help="One more item id, which may contain commas; repeatable."
    ),
]
User = Annotated[
    str | None,
    typer.Option(
        "--user",
        metavar="ID",
        help="A sequence of the training dataset, whose events come before the items.",
    ),
]
Title = Annotated[
    str | None,
    typer.Option(
        "--title", metavar="TEXT", help="The name of the sequence, for a model that reads names."
    ),
]
SequenceFeatures = Annotated[
    list[str] | None,
    typer.Option(
        "--sequence-feature",
        metavar="NAME=VALUE",
        help="Another sequence feature that the model reads; repeatable.",
    ),
]
IncludeSeen = Annotated[
    bool, typer.Option("--include-seen", help="Also recommend items of the history.")
]

Preset = Annotated[
    str | None,
    typer.Option("--preset", metavar="NAME", help="A shipped configuration: demo, sasrec, ..."),
]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="A configuration file in TOML.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change one configuration key; repeatable."),
]
