"""Options that several verbs share, and the arguments of a request that some of them give."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from segue.cli.option_values import parse_path
from segue.errors import RequestError, quantity

MAX_RESAMPLES = 1_000_000
"""Bootstrap samples and random sign flips: more would only take longer."""

MAX_DIGITS = 9
"""Digits of a position of a list."""


def without_none(**options: Any) -> dict[str, Any]:
    """The options that were given."""
    return {name: value for name, value in options.items() if value is not None}


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


def locked_items(locks: list[str] | None, length: int) -> dict[int, str]:
    """The item id of each ``--lock``, by its position from 0.

    On the command line positions count from 1, like the ranks that are printed.

    Raises:
        RequestError: a lock is not of the form RANK=ID, a rank is locked twice, or is beyond the
            length.
    """
    locked: dict[int, str] = {}
    for text in locks or []:
        position, equals, item_id = (part.strip() for part in text.partition("="))
        if not (equals and item_id and position.isascii() and position.isdecimal()):
            message = f"--lock {text!r} is not of the form RANK=ID"
            raise RequestError(message, "write 3=ID for the third item of the list")
        if len(position) > MAX_DIGITS or int(position) - 1 in locked:
            message = f"--lock {text!r}: the rank is locked already, or is too large"
            raise RequestError(message, "lock each rank of the list at most once")
        if not int(position):
            message = f"--lock {text!r}: ranks of a list count from 1"
            raise RequestError(message, "write 1=ID for the first item of the list")
        if int(position) > length:
            message = f"--lock {text!r}: the list has {quantity(length, 'item')}"
            raise RequestError(message, "lock a rank of the list, or raise --length")
        locked[int(position) - 1] = item_id
    return locked


def controls(
    exclude: list[str] | None,
    only: list[str] | None,
    where: list[str] | None,
    cap: list[str] | None,
    diversity: float | None,
    popularity: float | None,
    like: list[str] | None,
    unlike: list[str] | None,
) -> dict[str, Any]:
    """The controls that were given, as in ``segue.recommender.control_options``.

    Raises:
        RequestError: a list has an empty id, or a cap is not of the form NAME=N.
    """
    lists = {"exclude": exclude, "only": only, "like": like, "unlike": unlike}
    values = {name: _listed_ids(name, texts) for name, texts in lists.items() if texts}
    return values | without_none(
        where=where or None, cap=_caps(cap), diversity=diversity, popularity=popularity
    )


def filters(
    exclude: list[str] | None, only: list[str] | None, where: list[str] | None
) -> dict[str, Any]:
    """The filters that were given, as in ``Recommender.similar_items``.

    Raises:
        RequestError: a list has an empty id.
    """
    return controls(exclude, only, where, *[None] * 5)


def _listed_ids(name: str, texts: list[str]) -> list[str]:
    """The item ids of lists such as ``a,b``."""
    ids = [item_id.strip() for text in texts for item_id in text.split(",")]
    if not all(ids):
        message = f"--{name} {','.join(texts)!r} has an empty item id"
        raise RequestError(message, "write A,B,C; ids with commas go into a --query file")
    return ids


def _caps(texts: list[str] | None) -> dict[str, int] | None:
    caps = [_parse_cap(text) for text in texts or []]
    names = [name for name, _ in caps]
    if len(set(names)) < len(names):
        raise RequestError(f"--cap is given twice for one of {', '.join(names)}", "give one number")
    return dict(caps) or None


def _parse_cap(text: str) -> tuple[str, int]:
    name, equals, number = text.rpartition("=")
    if not equals or not number.strip().isdecimal() or len(number) > 9:
        raise RequestError(f"--cap {text!r} is not NAME=N", "as in --cap artist=2")
    return name.strip(), int(number)


Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Seed = Annotated[
    int,
    typer.Option("--seed", min=0, max=2**32 - 1, metavar="N", help="Seed of all random draws."),
]
RunPath = Annotated[
    Path,
    typer.Argument(parser=parse_path, metavar="RUN", help="A run folder, written by train."),
]
DatasetPath = Annotated[
    Path,
    typer.Argument(
        parser=parse_path, metavar="DATASET", help="A dataset folder, written by prepare."
    ),
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
        help="A user of the run's histories or else of the training dataset; the user's events "
        "come before the items.",
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
WithoutEnsemble = Annotated[
    bool,
    typer.Option(
        "--without-ensemble", help="Use the transformer of a run without the rest of its ensemble."
    ),
]
Window = Annotated[
    Literal["last", "moving"],
    typer.Option(
        help="Which events the transformers read of a history longer than the context: the last "
        "ones, or a window that moves by a quarter of the context, which is faster in generation."
    ),
]
IncludeSeen = Annotated[
    bool | None,
    typer.Option(
        "--include-seen/--exclude-seen",
        help="Whether items of the history may be recommended; by default as the audit of the "
        "training dataset recommends.",
        show_default=False,
    ),
]

QueryFile = Annotated[
    Path | None,
    typer.Option(
        "--query",
        parser=parse_path,
        metavar="FILE",
        help="A request as one JSON object, with the keys of the same request over HTTP; - is "
        "standard input. Other options take precedence.",
    ),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option("--exclude", metavar="A,B,C", help="Item ids that are not listed; repeatable."),
]
Only = Annotated[
    list[str] | None,
    typer.Option(
        "--only", metavar="A,B,C", help="The only item ids that may be listed; repeatable."
    ),
]
Where = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        metavar="CONDITION",
        help="A condition on an attribute of the items, such as 'year >= 1990' or 'genres has "
        "Jazz'; repeatable, all must hold.",
    ),
]
Cap = Annotated[
    list[str] | None,
    typer.Option(
        "--cap",
        metavar="NAME=N",
        help="At most so many items with the same value of an attribute, as in artist=2; "
        "repeatable.",
    ),
]
Diversity = Annotated[
    float | None,
    typer.Option(
        "--diversity",
        min=0,
        max=1,
        metavar="0..1",
        help="How different the listed items should be.",
    ),
]
Popularity = Annotated[
    float | None,
    typer.Option(
        "--popularity", min=-1, max=1, metavar="-1..1", help="From discovery to mainstream."
    ),
]
Like = Annotated[
    list[str] | None,
    typer.Option("--like", metavar="A,B,C", help="Item ids: similar items come first; repeatable."),
]
Unlike = Annotated[
    list[str] | None,
    typer.Option(
        "--unlike", metavar="A,B,C", help="Item ids: similar items come last; repeatable."
    ),
]

Preset = Annotated[
    str | None,
    typer.Option("--preset", metavar="NAME", help="A shipped configuration: demo, sasrec, ..."),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config", parser=parse_path, metavar="FILE", help="A configuration file in TOML."
    ),
]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change one configuration key; repeatable."),
]
Budget = Annotated[
    str | None,
    typer.Option(
        "--budget",
        metavar="TIME",
        help="Core-seconds of the whole run, such as 90s or 30m (the default without --preset and "
        "--config: fifteen minutes of two cores).",
    ),
]
EnsembleOption = Annotated[
    bool | None,
    typer.Option(
        "--ensemble/--without-ensemble",
        help="Whether count-based and linear models are added to the transformer; by default "
        "unless --preset or --config is given.",
        show_default=False,
    ),
]
