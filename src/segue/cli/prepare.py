"""``segue prepare``: from a log to a prepared dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from segue.cli.console import stderr
from segue.cli.inspect import print_overview
from segue.cli.option_values import parse_path
from segue.cli.options import Json, without_none
from segue.errors import ConfigError


def _column(content: str) -> Any:
    return typer.Option(metavar="NAME", help=f"Column of {content}; guessed when absent (tabular).")


def _parse_log(text: str | Path) -> Path | str:
    """A path, or the URL of an event store."""
    from segue.event_store import is_store_url

    return str(text) if is_store_url(str(text)) else parse_path(text)


Log = Annotated[
    Any,  # a path or a URL
    typer.Argument(
        parser=_parse_log,
        metavar="LOG",
        help="The log: a file, a folder, - for standard input, or the event store of a server: its "
        "file, sqlite:///FILE or postgresql://USER@HOST/DATABASE. Not needed with --format demo.",
    ),
]
Out = Annotated[
    Path,
    typer.Option(
        "--out", "-o", parser=parse_path, metavar="DATASET", help="The dataset folder to write."
    ),
]
Format = Annotated[
    Literal["mpd", "movielens", "tabular", "events", "demo"] | None,
    typer.Option(help="Format of the log; guessed when absent."),
]
Split = Annotated[
    Literal["holdout", "leave-one-out", "global-time", "windows"] | None,
    typer.Option(
        help="How events are held out. Default: leave-one-out for a log of users, else holdout."
    ),
]
Catalogue = Annotated[
    Literal["train", "all"] | None,
    typer.Option(help="Items that can be recommended: those of training events (default), or all."),
]
ValidationShare = Annotated[
    float | None,
    typer.Option(metavar="X", help="Share of the validation part. Default: 0.1, for windows 0.02."),
]
TestShare = Annotated[
    float | None, typer.Option(metavar="X", help="Share of the test part. Default: 0.1.")
]
Window = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="Events before each target (split windows). Default: 5."),
]
MinItemEvents = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="Drop items with fewer than N events in the log."),
]
MinSequenceEvents = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Drop sequences with fewer than N events.")
]
MinRating = Annotated[
    float | None, typer.Option(metavar="X", help="Drop events with a rating below X.")
]
EventType = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="Keep only events of this type; repeatable (tabular)."),
]
EventWeight = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KIND=WEIGHT",
        help="A kind of event in the event store of a server, as given to serve; repeatable "
        "(events).",
    ),
]
SessionGap = Annotated[
    str | None,
    typer.Option(
        metavar="DURATION",
        help="Split a history into sessions at pauses longer than this: 30s, 30m, 2h or 1d.",
    ),
]
DropConsecutiveRepeats = Annotated[
    bool,
    typer.Option(
        "--drop-consecutive-repeats", help="Keep one of several consecutive events of an item."
    ),
]
UserColumn = Annotated[str | None, _column("users")]
ItemColumn = Annotated[str | None, _column("items")]
TimeColumn = Annotated[str | None, _column("times")]
RatingColumn = Annotated[str | None, _column("ratings")]
EventColumn = Annotated[str | None, _column("event types")]
Columns = Annotated[
    str | None,
    typer.Option(
        metavar="A,B,C",
        help="Columns of a text file without a header, in their order: user,item,rating,time; "
        "- for one that is not used. user,items: one sequence per line (tabular).",
    ),
]
Header = Annotated[
    bool | None,
    typer.Option(
        "--header/--no-header",
        help="Whether the first line names the columns; detected when absent (tabular).",
    ),
]
Separator = Annotated[
    str | None,
    typer.Option(
        metavar="TEXT",
        help="Text between columns, such as ';', '::' or '\\t'; a space for any number of blanks. "
        "Detected when absent (tabular).",
    ),
]
Quote = Annotated[
    str | None,
    typer.Option(
        metavar="CHARACTER", help="The quote around texts, or none if quotes are text (tabular)."
    ),
]
Escape = Annotated[
    str | None,
    typer.Option(metavar="CHARACTER", help="The character before a quote within quotes (tabular)."),
]
Comment = Annotated[
    str | None,
    typer.Option(metavar="TEXT", help="Leave out lines that begin with this (tabular)."),
]
Encoding = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Encoding of text files. Default: utf-8 (tabular)."),
]
BadTimes = Annotated[
    Literal["refuse", "drop"] | None,
    typer.Option(
        help="Rows whose time is missing or bad: refuse the log (default), or drop the rows."
    ),
]
ItemsFile = Annotated[
    Path | None,
    typer.Option(
        parser=parse_path,
        metavar="FILE",
        help="Attributes of items: titles, artists, genres, years, vectors.",
    ),
]
MemoryLimit = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE",
        help="Memory for reading and sorting the log: 600MB, 2GB (default).",
    ),
]
Seed = Annotated[
    int | None, typer.Option(min=0, metavar="N", help="Seed of the split and of the demo world.")
]
Sequences = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Playlists of the demo world.")
]
Items = Annotated[int | None, typer.Option(min=1, metavar="N", help="Tracks of the demo world.")]
MeanLength = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Mean playlist length of the demo world.")
]


def prepare(  # noqa: PLR0913 - one parameter per option
    *,
    log: Log = None,
    out: Out,
    format: Format = None,  # noqa: A002 - the name of the option
    split: Split = None,
    catalogue: Catalogue = None,
    validation_share: ValidationShare = None,
    test_share: TestShare = None,
    window: Window = None,
    min_item_events: MinItemEvents = None,
    min_sequence_events: MinSequenceEvents = None,
    min_rating: MinRating = None,
    event_type: EventType = None,
    event_weight: EventWeight = None,
    session_gap: SessionGap = None,
    drop_consecutive_repeats: DropConsecutiveRepeats = False,
    user_column: UserColumn = None,
    item_column: ItemColumn = None,
    time_column: TimeColumn = None,
    rating_column: RatingColumn = None,
    event_column: EventColumn = None,
    columns: Columns = None,
    header: Header = None,
    separator: Separator = None,
    quote: Quote = None,
    escape: Escape = None,
    comment: Comment = None,
    encoding: Encoding = None,
    bad_times: BadTimes = None,
    items_file: ItemsFile = None,
    memory_limit: MemoryLimit = None,
    seed: Seed = None,
    sequences: Sequences = None,
    items: Items = None,
    mean_length: MeanLength = None,
    as_json: Json = False,
) -> None:
    """Turn a log into a prepared dataset with a fixed split."""
    from segue import preparation
    from segue.dataset.manifest import is_dataset

    if log is None and format is None:
        raise ConfigError("no LOG was given", "give a file or folder, or --format demo")
    options = without_none(
        format=format,
        split=split,
        catalogue=catalogue,
        validation_share=validation_share,
        test_share=test_share,
        window=window,
        min_item_events=min_item_events,
        min_sequence_events=min_sequence_events,
        min_rating=min_rating,
        event_type=event_type,
        event_weight=event_weight,
        session_gap=session_gap,
        drop_consecutive_repeats=drop_consecutive_repeats,
        user_column=user_column,
        item_column=item_column,
        time_column=time_column,
        rating_column=rating_column,
        event_column=event_column,
        columns=columns,
        header=header,
        separator=separator,
        quote=quote,
        escape=escape,
        comment=comment,
        encoding=encoding,
        bad_times=bad_times,
        items_file=items_file,
        memory_limit=memory_limit,
        seed=seed,
        sequences=sequences,
        items=items,
        mean_length=mean_length,
    )
    replaces = is_dataset(out)
    with stderr().status("preparing"):
        data = preparation.prepare(log, out, **options)
    if replaces:
        stderr().print(f"replaced the dataset that was in {out}")
    print_overview(data, as_json)
