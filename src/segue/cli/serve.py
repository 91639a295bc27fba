"""``segue serve``: the REST API of one run or several."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import typer

from segue.cli import serve_options as options
from segue.cli.console import visible
from segue.cli.option_values import parse_path
from segue.cli.signals import end_process
from segue.errors import ConfigError, RequestError

MAX_RETENTION_S = 100 * 366 * 86_400.0


def serve(  # noqa: PLR0913 - one parameter per option
    *,
    runs: options.Runs = None,
    host: options.Host = "127.0.0.1",
    port: options.Port = 8000,
    key_file: options.KeyFile = None,
    data: options.Data = None,
    rate: options.Rate = 100.0,
    cors_origin: options.CorsOrigin = None,
    max_k: options.MaxK = 100,
    max_batch: options.MaxBatch = 32,
    max_queue: options.MaxQueue = 1024,
    timeout: options.Timeout = 30.0,
    events: options.Events = None,
    event_weight: options.EventWeight = None,
    events_retention: options.EventsRetention = None,
    covers: options.Covers = None,
    new_key: options.NewKey = None,
    admin: options.Admin = False,
    expires: options.Expires = None,
) -> None:
    """Serve the REST API of one run or several, until Ctrl-C or SIGTERM.

    SIGHUP loads what now lies at the paths of the runs, without an interruption. The address and a
    call to try are printed on stdout. The log is one JSON object per line on stderr, and contains
    nothing of what requests contain.
    """
    if new_key is not None:
        print_new_key(new_key, admin, expires)
        return
    folders = parse_runs(runs or [])
    if events is None and (event_weight or events_retention):
        option = "--event-weight" if event_weight else "--events-retention"
        raise ConfigError(f"{option} needs a store of events", "give --events FILE, too")
    from segue.server.api_keys import load_keys

    keys = load_keys(key_file, os.environ)
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


def print_new_key(name: str, admin: bool, expires: datetime | None) -> None:
    """Print the line of a new API key for the key file, and the key itself on stderr.

    Raises:
        ConfigError: the name is not possible, or the last day is in the past.
    """
    from segue.server import api_keys

    last_day = None if expires is None else expires.date()
    if last_day is not None and last_day < api_keys.today():
        raise ConfigError(f"--expires {last_day} is in the past", "give a later day, in UTC")
    secret, key = api_keys.new_key(name, "admin" if admin else "user", last_day)
    typer.echo(key.line)
    typer.echo(f"the key, which is shown only now: {secret}", err=True)


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
