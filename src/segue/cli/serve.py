"""``segue serve``: the REST API of one run or several."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from segue.cli.console import visible
from segue.cli.options import parse_path
from segue.cli.signals import end_process
from segue.errors import ConfigError, RequestError

MAX_RETENTION_S = 100 * 366 * 86_400.0


def serve(  # noqa: PLR0913 - one parameter per option
    *,
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RUN [NAME=RUN]...",
            help="Run folders, written by train. NAME is by which requests name a run, by default "
            "that of its folder; the first run is the default.",
        ),
    ] = None,
    host: Annotated[
        str,
        typer.Option(
            "--host",
            metavar="ADDRESS",
            help="Address to listen on; others than loopback need keys.",
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option("--port", min=0, max=65535, metavar="N", help="Port; 0 takes any free one."),
    ] = 8000,
    key_file: Annotated[
        Path | None,
        typer.Option(
            "--key-file",
            parser=parse_path,
            metavar="FILE",
            help="API keys, one line each; SEGUE_API_KEYS may have further ones.",
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            parser=parse_path,
            metavar="DATASET",
            help="Prepared dataset whose people the page shows: histories, what came next, and "
            "recommendations. By default those of the histories in each run.",
        ),
    ] = None,
    rate: Annotated[
        float,
        typer.Option(
            "--rate", min=0, metavar="N", help="Requests per second and key; 0: no limit."
        ),
    ] = 100.0,
    cors_origin: Annotated[
        list[str] | None,
        typer.Option(
            "--cors-origin",
            metavar="URL",
            help="Origin of a web page of another server that may call the API; repeatable.",
        ),
    ] = None,
    max_k: Annotated[
        int, typer.Option("--max-k", min=1, metavar="N", help="Largest number of items per list.")
    ] = 100,
    max_batch: Annotated[
        int,
        typer.Option(
            "--max-batch",
            min=1,
            max=256,
            metavar="N",
            help="Requests that are computed together.",
        ),
    ] = 32,
    max_queue: Annotated[
        int,
        typer.Option(
            "--max-queue",
            min=1,
            metavar="N",
            help="Requests that wait; more get status 503.",
        ),
    ] = 1024,
    timeout: Annotated[
        float, typer.Option("--timeout", min=0.1, metavar="S", help="Seconds for an answer.")
    ] = 30.0,
    events: Annotated[
        str | None,
        typer.Option(
            "--events",
            metavar="FILE|URL",
            envvar="SEGUE_EVENTS",
            help="Store events of users: a file of SQLite, which is created, or postgresql://USER@"
            "HOST/DATABASE. Without it, none are stored.",
        ),
    ] = None,
    event_weight: Annotated[
        list[str] | None,
        typer.Option(
            "--event-weight",
            metavar="KIND=WEIGHT",
            help="A kind of event: positive for the history, 0 for neither, negative against its "
            "item; repeatable. Default: view, click, play, like, purchase 1; skip, dislike -1.",
        ),
    ] = None,
    events_retention: Annotated[
        str | None,
        typer.Option(
            "--events-retention",
            metavar="DURATION",
            help="Delete events that are older, such as 90d. Default: keep all.",
        ),
    ] = None,
    covers: Annotated[
        Path | None,
        typer.Option(
            "--covers",
            parser=parse_path,
            metavar="FOLDER",
            help="Images for the page, named by item id: 1193.jpg.",
        ),
    ] = None,
    new_key: Annotated[
        str | None,
        typer.Option(
            "--new-key",
            metavar="NAME",
            help="Only make an API key: its line for the key file on stdout, the key on stderr.",
        ),
    ] = None,
    admin: Annotated[
        bool, typer.Option("--admin", help="The new key may also load models again.")
    ] = False,
    expires: Annotated[
        datetime | None,
        typer.Option(
            "--expires",
            formats=["%Y-%m-%d"],
            metavar="DATE",
            help="The last day of the new key.",
        ),
    ] = None,
) -> None:
    """Serve the REST API of one run or several, until Ctrl-C or SIGTERM.

    SIGHUP loads what now lies at the paths of the runs, without an interruption. The address and a
    call to try are printed on stdout. The log is one JSON object per line on stderr, and contains
    nothing of what requests contain.
    """
    from segue.server import api_keys

    if new_key is not None:
        role = "admin" if admin else "user"
        last_day = None if expires is None else expires.date()
        if last_day is not None and last_day < api_keys.today():
            raise ConfigError(f"--expires {last_day} is in the past", "give a later day, in UTC")
        secret, key = api_keys.new_key(new_key, role, last_day)
        typer.echo(key.line)
        typer.echo(f"the key, which is shown only now: {secret}", err=True)
        return
    folders = parse_runs(runs or [])
    if events is None and (event_weight or events_retention):
        option = "--event-weight" if event_weight else "--events-retention"
        raise ConfigError(f"{option} needs a store of events", "give --events FILE, too")
    keys = api_keys.load_keys(key_file, os.environ)
    check_installed()
    from segue.dataset import Dataset
    from segue.event_store import parse_event_weights
    from segue.server.covers import Covers
    from segue.server.serving import serve as run_server
    from segue.server.settings import ServerSettings

    settings = ServerSettings(
        max_k=max_k,
        max_batch=max_batch,
        max_queue=max_queue,
        timeout_s=timeout,
        rate=rate if len(keys) else 0.0,
        cors_origins=tuple(cors_origin or ()),
        event_weights=parse_event_weights(event_weight or ()),
        events_retention_s=parse_retention(events_retention),
    )
    dataset = None if data is None else Dataset.open(data)
    images = None if covers is None else Covers.of_folder(covers)
    is_complete = run_server(
        folders,
        host=host,
        port=port,
        keys=keys,
        settings=settings,
        events=events,
        announce=print_greeting,
        data=dataset,
        covers=images,
    )
    if not is_complete:
        end_process()


def print_greeting(text: str) -> None:
    """Print on stdout, apart from the log; a closed or full one stops no server."""
    with suppress(OSError):
        typer.echo(visible(text))


def parse_runs(texts: list[str]) -> dict[str, Path]:
    """The folder of each run by name, in order.

    Raises:
        RequestError: there is no run, a path is not possible, or two have the same name.
    """
    if not texts:
        raise RequestError("no run was given", "give a run folder, written by train")
    runs: dict[str, Path] = {}
    for text in texts:
        name, equals, folder = text.partition("=")
        if not equals or "/" in name:
            name, folder = "", text
        try:
            path = parse_path(folder)
        except ValueError as error:
            raise RequestError(str(error)) from None
        name = name or path.name or path.resolve().name
        if name in runs:
            raise RequestError(f"two runs have the name {name!r}", "write NAME=RUN")
        runs[name] = path
    return runs


def parse_retention(text: str | None) -> float | None:
    """The age in seconds from which events are deleted.

    Raises:
        ConfigError: the text is no duration.
    """
    from segue.config.quantities import to_seconds

    if text is None:
        return None
    try:
        seconds = to_seconds(text)
    except ValueError as error:
        raise ConfigError(f"--events-retention {text!r}: {error}", "as in 90d") from None
    if seconds > MAX_RETENTION_S:
        raise ConfigError(f"--events-retention {text!r} is more than 100 years", "as in 90d")
    return float(seconds)


def check_installed() -> None:
    """Check that the packages of the extra ``serve`` are there.

    Raises:
        ConfigError: one is missing.
    """
    from importlib.util import find_spec

    for package in ("fastapi", "uvicorn", "httptools", "prometheus_client"):
        if find_spec(package) is None:
            hint = "install segue with the extra serve: pip install 'segue[serve]'"
            raise ConfigError(f"segue serve needs the package {package}", hint)
