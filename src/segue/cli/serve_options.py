"""Options of segue serve."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from segue.cli.option_values import parse_path

Runs = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="RUN [NAME=RUN]...",
        help="Run folders, written by train. NAME is by which requests name a run, by default "
        "that of its folder; the first run is the default.",
    ),
]
Host = Annotated[
    str,
    typer.Option(
        "--host",
        metavar="ADDRESS",
        help="Address to listen on; others than loopback need keys.",
    ),
]
Port = Annotated[
    int,
    typer.Option("--port", min=0, max=65535, metavar="N", help="Port; 0 takes any free one."),
]
KeyFile = Annotated[
    Path | None,
    typer.Option(
        "--key-file",
        parser=parse_path,
        metavar="FILE",
        help="API keys, one line each; SEGUE_API_KEYS may have further ones.",
    ),
]
Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        parser=parse_path,
        metavar="DATASET",
        help="Prepared dataset whose people the page shows: histories, what came next, and "
        "recommendations. By default those of the histories in each run.",
    ),
]
Rate = Annotated[
    float,
    typer.Option("--rate", min=0, metavar="N", help="Requests per second and key; 0: no limit."),
]
CorsOrigin = Annotated[
    list[str] | None,
    typer.Option(
        "--cors-origin",
        metavar="URL",
        help="Origin of a web page of another server that may call the API; repeatable.",
    ),
]
MaxK = Annotated[
    int, typer.Option("--max-k", min=1, metavar="N", help="Largest number of items per list.")
]
MaxBatch = Annotated[
    int,
    typer.Option(
        "--max-batch",
        min=1,
        max=256,
        metavar="N",
        help="Requests that are computed together.",
    ),
]
MaxQueue = Annotated[
    int,
    typer.Option(
        "--max-queue",
        min=1,
        metavar="N",
        help="Requests that wait; more get status 503.",
    ),
]
Timeout = Annotated[
    float, typer.Option("--timeout", min=0.1, metavar="S", help="Seconds for an answer.")
]
Events = Annotated[
    str | None,
    typer.Option(
        "--events",
        metavar="FILE|URL",
        envvar="SEGUE_EVENTS",
        help="Store events of users: a file of SQLite, which is created, or postgresql://USER@"
        "HOST/DATABASE. Without it, none are stored.",
    ),
]
EventWeight = Annotated[
    list[str] | None,
    typer.Option(
        "--event-weight",
        metavar="KIND=WEIGHT",
        help="A kind of event: positive for the history, 0 for neither, negative against its "
        "item; repeatable. Default: view, click, play, like, purchase 1; skip, dislike -1.",
    ),
]
EventsRetention = Annotated[
    str | None,
    typer.Option(
        "--events-retention",
        metavar="DURATION",
        help="Delete events that are older, such as 90d. Default: keep all.",
    ),
]
Covers = Annotated[
    Path | None,
    typer.Option(
        "--covers",
        parser=parse_path,
        metavar="FOLDER",
        help="Images for the page, named by item id: 1193.jpg.",
    ),
]
NewKey = Annotated[
    str | None,
    typer.Option(
        "--new-key",
        metavar="NAME",
        help="Only make an API key: its line for the key file on stdout, the key on stderr.",
    ),
]
Admin = Annotated[bool, typer.Option("--admin", help="The new key may also load models again.")]
Expires = Annotated[
    datetime | None,
    typer.Option(
        "--expires",
        formats=["%Y-%m-%d"],
        metavar="DATE",
        help="The last day of the new key.",
    ),
]
