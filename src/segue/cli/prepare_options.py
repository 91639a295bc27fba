"""The options of ``segue prepare``, of which there are many."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from segue.cli.options import duration_s, size_bytes


def _column(of: str) -> Any:
    return typer.Option(metavar="NAME", help=f"The column of {of}; guessed when absent (tabular).")


Source = Annotated[
    Path | None,
    typer.Argument(metavar="SOURCE", help="The log: a file or folder. None for --format demo."),
]
Output = Annotated[
    Path, typer.Option("--output", "-o", metavar="DATASET", help="The folder to write.")
]
Format = Annotated[
    Literal["mpd", "movielens", "tabular", "demo"] | None,
    typer.Option(help="What the log is; guessed when absent."),
]
Split = Annotated[
    Literal["holdout", "leave-one-out", "global-time", "windows"] | None,
    typer.Option(help="Which events are held out; leave-one-out for users, else holdout."),
]
Catalogue = Annotated[
    Literal["train", "all"] | None,
    typer.Option(help="What can be recommended: items seen in training (default), or all."),
]
MinItemEvents = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Drop items with fewer events in the log.")
]
MinSequenceEvents = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Drop sequences with fewer events.")
]
MinRating = Annotated[
    float | None, typer.Option(metavar="X", help="Drop events that are rated lower.")
]
EventType = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="Keep events of this type only; repeatable (tabular)."),
]
SessionGap = Annotated[
    float | None,
    typer.Option(
        parser=duration_s,
        metavar="DURATION",
        help="Cut histories into sessions at longer pauses: 30s, 30m, 2h or 1d.",
    ),
]
DropConsecutiveRepeats = Annotated[
    bool, typer.Option("--drop-consecutive-repeats", help="Keep one of an item's events in a row.")
]
UserColumn = Annotated[str | None, _column("users")]
ItemColumn = Annotated[str | None, _column("items")]
TimeColumn = Annotated[str | None, _column("times")]
RatingColumn = Annotated[str | None, _column("ratings")]
EventColumn = Annotated[str | None, _column("event types")]
ItemsFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Attributes of items: titles, artists, genres, years, vectors."
    ),
]
MemoryLimit = Annotated[
    int | None,
    typer.Option(
        parser=size_bytes,
        metavar="SIZE",
        help="What reading and sorting may hold at a time: 600MB, 2GB (default).",
    ),
]
Seed = Annotated[int | None, typer.Option(min=0, metavar="N", help="Of the split and the demo.")]
DemoSequences = Annotated[
    int | None, typer.Option("--sequences", min=1, metavar="N", help="Playlists of the demo.")
]
DemoItems = Annotated[
    int | None, typer.Option("--items", min=1, metavar="N", help="Tracks of the demo.")
]
DemoMeanLength = Annotated[
    int | None, typer.Option("--mean-length", min=1, metavar="N", help="Of the demo's playlists.")
]
