"""What a playlist model does beside being right, measured on playlists that were held out.

The highlights of the public playlist transformer (trecs), which shows an example of each:
Christmas after one Christmas song, the order of what is given, robustness to missing tracks,
wandering into popular areas; then playlists from nothing, and where they end.

    python benchmarks/playlist_highlights.py [RUN DATASET] [--without RUN2] [--playlists 500]

``RUN`` must have been trained on ``DATASET``, split ``holdout``, whose test playlists are
taken. ``RUN2`` is a second model for the wandering, such as one without side information.
Without a run the built-in world's preset is trained, with END: three minutes on 2 cores.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from highlights import lengths, missingness, order, season, wandering
from highlights.estimates import Difference, Estimate
from highlights.generator import Generator, held_out, known_beginnings
from rich.console import Console
from rich.table import Table

from segue import trainer
from segue.cli.machine import machine
from segue.config import PrepareConfig, SourceConfig
from segue.dataset import Dataset, prepare
from segue.errors import SegueError

Rows = list[dict[str, Any]]

WITH_END = {"model.end": True}

TITLES = {
    "season": "One Christmas song, and the 10 tracks that follow",
    "order": "The first 10 tracks in several orders",
    "missingness": "5 tracks given, 2 of them masked: what 14 generated tracks share",
    "wandering": "Generated tracks by place, from 5 given ones",
    "drift": "The last of these places less the first five",
    "beginnings": "Playlists from START alone",
    "lengths": f"Tracks after the first 5, at most {lengths.LONGEST}",
}


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Every highlight that the model and the dataset can show."""
    data = Dataset.open(options.dataset)
    model = Generator.load(options.run, data)
    count, seed = options.playlists, options.seed
    found: dict[str, Rows] = {
        "season": season.measure_season(model, data, options.prompt_title, options.names)
    }
    rows = held_out(data, order.GIVEN + order.REST, count, seed)
    found["order"] = order.measure_order(model, data, rows, seed)
    rows = held_out(data, missingness.GIVEN, sys.maxsize, seed)
    prompts = known_beginnings(data, rows, missingness.GIVEN)[:count]
    found["missingness"] = missingness.measure_missingness(model, prompts, seed)
    rows = held_out(data, wandering.GIVEN + options.length, count, seed)
    models = models_of(options, model, data)
    found["wandering"], found["drift"] = wandering.measure_wandering(
        models, data, rows, options.length, seed
    )
    if model.network.layout.start:
        rows = held_out(data, lengths.BEGINNING, lengths.FROM_NOTHING, seed)
        found["beginnings"] = lengths.measure_beginnings(model, data, rows, seed)
    if model.network.layout.end:
        rows = held_out(data, lengths.GIVEN + 1, count, seed)
        found["lengths"] = lengths.measure_lengths(model, data, rows, seed)
    return {"run": model.name, "dataset": data.name, "fingerprint": data.fingerprint} | found


def models_of(
    options: argparse.Namespace, model: Generator, data: Dataset
) -> dict[str, tuple[Generator, bool]]:
    """The models that wander: the run, the same told of the playlists, and a second run."""
    models = {model.name: (model, False)}
    if model.network.vocabulary.values:
        said = " and ".join(model.network.vocabulary.values)
        models[f"{model.name}, told the {said}"] = (model, True)
    if options.without is not None:
        second = Generator.load(options.without, data)
        models[f"without: {second.name}"] = (second, False)
    return models


def on_the_built_in_world(folder: Path, overrides: dict[str, Any]) -> tuple[Path, Path]:
    """Prepare it and train its preset with these changes; the run and the dataset."""
    source = SourceConfig(format="demo")
    data = prepare(None, folder / "demo", PrepareConfig(source=source))
    run = trainer.train(data, folder / "run", preset="demo", overrides=overrides)
    return run, data.path


def show(found: dict[str, Any], console: Console) -> None:
    """A table for each highlight."""
    for name, title in TITLES.items():
        rows: Rows = found.get(name, [])
        if not rows:
            console.print(f"{title}: nothing to measure here")
            continue
        table = Table(title=title, title_justify="left")
        for column in rows[0]:
            table.add_column(column.replace("_", " "))
        for row in rows:
            table.add_row(*map(cell, row.values()))
        console.print(table)


def cell(value: Any) -> str:
    """A figure for a person."""
    match value:
        case None:
            return ""
        case Estimate(mean, low, high):
            return f"{mean:.3f} ({low:.3f} to {high:.3f})"
        case Difference(mean, low, high, p_value):
            return f"{mean:+.3f} ({low:+.3f} to {high:+.3f}), p {p_value:.4f}"
    return str(value)


def plain(found: Any) -> Any:
    """The same with estimates as mappings, which JSON would make lists of."""
    match found:
        case Estimate() | Difference():
            return found._asdict()
        case dict():
            return {key: plain(value) for key, value in found.items()}
        case list():
            return [plain(value) for value in found]
    return found


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options; RUN comes with DATASET."""
    parser = argparse.ArgumentParser(description="The highlights of a playlist model.")
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("dataset", type=Path, nargs="?")
    parser.add_argument("--without", type=Path, metavar="RUN2", help="wanders beside RUN")
    parser.add_argument("--playlists", type=int, default=500, help="at most, for each highlight")
    parser.add_argument("--length", type=int, default=40, help="tracks to wander over")
    parser.add_argument("--prompt-title", default=season.TITLE, help="of the Christmas song")
    parser.add_argument("--names", default=season.NAMES, help="regular expression of the season")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    if (options.run is None) != (options.dataset is None):
        parser.error("RUN needs DATASET")
    shortest = wandering.EDGES[2] + 1
    for name, least in (("playlists", 1), ("length", shortest), ("seed", 0)):
        if (value := getattr(options, name)) < least:
            parser.error(f"--{name} is {value}, expected {least} or more")
    try:
        re.compile(options.names)
    except re.error as error:
        parser.error(f"--names is no regular expression: {error}")
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, draw the tables, and end with one line of JSON."""
    options = parsed(arguments)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        try:
            if options.run is None:
                options.run, options.dataset = on_the_built_in_world(Path(folder), WITH_END)
            found = measure(options)
        except SegueError as error:
            raise SystemExit(f"error: {error}") from None
    seconds = round(time.perf_counter() - began)
    console = Console(width=190)
    show(found, console)
    about = {"benchmark": "playlist_highlights", "seed": options.seed, "seconds": seconds}
    ran_on = machine()
    about["machine"] = {key: ran_on[key] for key in ("cores", "devices")}
    console.out(json.dumps(about | plain(found)), highlight=False)


if __name__ == "__main__":
    main()
