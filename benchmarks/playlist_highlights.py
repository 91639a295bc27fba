"""Properties of generated playlists, measured on held-out playlists.

    python benchmarks/playlist_highlights.py [RUN DATASET] [--without RUN2] [--playlists 500]
        [--part validation] [--only missingness]

Measures the highlights for which playlist-decoder (trecs), the public playlist transformer, shows
one example each: Christmas tracks after a Christmas song, the order of the given tracks,
robustness to missing tracks, and wandering into popular areas. Then playlists generated from
nothing, and the lengths of playlists.

``RUN`` must have been trained on ``DATASET``, whose split must be ``holdout``; the playlists of
``--part`` are used. ``RUN2`` is a second model for the wandering, such as one without side
information.
Without a run, the preset of the built-in world is trained with END, which takes three minutes on
2 cores.
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

import numpy as np
from highlights import lengths, missingness, order, season, wandering
from highlights.estimates import MeanDifference, MeanEstimate
from highlights.generator import Generator, distinct_catalogue_prompts, held_out_playlists
from rich.console import Console
from rich.table import Table

from segue import trainer
from segue.dataset import Dataset
from segue.errors import SegueError
from segue.machine import machine_report
from segue.preparation import prepare

Rows = list[dict[str, Any]]

WITH_END = {"end": True}

TITLES = {
    "season": "Tracks of the season among the 10 tracks generated after one Christmas song",
    "order": "The first 10 tracks given in several orders",
    "missingness": "5 tracks given, 2 of them masked: overlap of continuations of 14 tracks",
    "wandering": "Tracks generated after 5 given ones, by position",
    "drift": "The last of these positions minus the first five",
    "beginnings": "Playlists generated from START alone",
    "lengths": f"Tracks after the first 5, at most {lengths.LONGEST}",
}


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measure every highlight that the model and the dataset allow.

    Args:
        options: the parsed command line, with RUN and DATASET.

    Returns:
        Names of run and dataset, the fingerprint of the dataset, and for each highlight the rows
        of its table.
    """
    data = Dataset.open(options.dataset)
    model = Generator.load(options.run, data)
    count, seed, part = options.playlists, options.seed, options.part
    tables: dict[str, Rows] = {}

    def is_measured(*names: str) -> bool:
        return options.only in (None, *names)

    def playlists(min_length: int, limit: int = count) -> np.ndarray:
        return held_out_playlists(data, min_length, limit, seed, part)

    if is_measured("season"):
        tables["season"] = season.measure_season(model, data, options.prompt_title, options.names)
    if is_measured("order"):
        rows = playlists(order.GIVEN + order.MIN_REST)
        tables["order"] = order.measure_order(model, data, rows, seed)
    if is_measured("missingness"):
        rows = playlists(missingness.GIVEN, sys.maxsize)
        prompts = distinct_catalogue_prompts(data, rows, missingness.GIVEN)[:count]
        tables["missingness"] = missingness.measure_missingness(model, prompts, seed)
    if is_measured("wandering", "drift"):
        rows = playlists(wandering.GIVEN + options.length)
        models = wandering_models(options, model, data)
        tables["wandering"], tables["drift"] = wandering.measure_wandering(
            models, data, rows, options.length, seed
        )
    if model.ensemble.encoder.layout.start and is_measured("beginnings"):
        rows = playlists(lengths.BEGINNING, lengths.MAX_PLAYLISTS)
        tables["beginnings"] = lengths.measure_beginnings(model, data, rows, seed)
    if model.ensemble.encoder.layout.end and is_measured("lengths"):
        tables["lengths"] = lengths.measure_lengths(model, data, playlists(lengths.GIVEN + 1), seed)
    return {"run": model.name, "dataset": data.name, "fingerprint": data.fingerprint} | tables


def wandering_models(
    options: argparse.Namespace, model: Generator, data: Dataset
) -> dict[str, tuple[Generator, bool]]:
    """Models by name, each with whether it gets the sequence features of the playlists.

    They are the run without sequence features, the run with them, and the second run without.
    """
    models = {model.name: (model, False)}
    if model.ensemble.encoder.vocabulary.values:
        features = " and ".join(model.ensemble.encoder.vocabulary.values)
        models[f"{model.name}, with the {features}"] = (model, True)
    if options.without is not None:
        second = Generator.load(options.without, data)
        models[f"without: {second.name}"] = (second, False)
    return models


def train_on_built_in_world(folder: Path, changes: dict[str, Any]) -> tuple[Path, Path]:
    """Prepare the built-in world in a folder, and train its preset with these changes.

    Returns:
        The folder of the run and that of the dataset.
    """
    data = prepare(None, folder / "demo", format="demo")
    run = trainer.train(data, folder / "run", preset="demo", **changes)
    return run.path, data.path


def show(results: dict[str, Any], console: Console, only: str | None = None) -> None:
    """Print one table per highlight."""
    for name, title in TITLES.items():
        rows: Rows = results.get(name, [])
        if only not in (None, name):
            continue
        if not rows:
            console.print(f"{title}: not measured, the model or the dataset does not allow it")
            continue
        table = Table(title=title, title_justify="left")
        for column in rows[0]:
            table.add_column(column.replace("_", " "))
        for row in rows:
            table.add_row(*map(cell, row.values()))
        console.print(table)


def cell(value: Any) -> str:
    """The text of a table cell; empty for None."""
    match value:
        case None:
            return ""
        case MeanEstimate(mean, low, high):
            return f"{mean:.3f} ({low:.3f} to {high:.3f})"
        case MeanDifference(mean, low, high, p_value):
            return f"{mean:+.3f} ({low:+.3f} to {high:+.3f}), p {p_value:.4f}"
    return str(value)


def as_mappings(value: Any) -> Any:
    """Replace estimates by mappings, at any depth; JSON would make lists of them."""
    match value:
        case MeanEstimate() | MeanDifference():
            return value._asdict()
        case dict():
            return {key: as_mappings(entry) for key, entry in value.items()}
        case list():
            return [as_mappings(entry) for entry in value]
    return value


def parse_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line; RUN and DATASET must be given together."""
    parser = argparse.ArgumentParser(description="Properties of generated playlists.")
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("dataset", type=Path, nargs="?")
    parser.add_argument(
        "--without", type=Path, metavar="RUN2", help="second model for the wandering"
    )
    parser.add_argument(
        "--playlists", type=int, default=500, help="at most this many per highlight"
    )
    parser.add_argument("--part", choices=("validation", "test"), default="test")
    parser.add_argument("--only", choices=tuple(TITLES), help="measure this highlight alone")
    parser.add_argument(
        "--length", type=int, default=40, help="tracks to generate for the wandering"
    )
    parser.add_argument("--prompt-title", default=season.TITLE, help="title of the Christmas song")
    parser.add_argument(
        "--names", default=season.NAMES, help="regular expression of seasonal playlist names"
    )
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    if (options.run is None) != (options.dataset is None):
        parser.error("RUN needs DATASET")
    min_length = wandering.EDGES[2] + 1
    for name, minimum in (("playlists", 1), ("length", min_length), ("seed", 0)):
        if (value := getattr(options, name)) < minimum:
            parser.error(f"--{name} is {value}, expected {minimum} or more")
    try:
        re.compile(options.names)
    except re.error as error:
        parser.error(f"--names is not a regular expression: {error}")
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the tables, then one line of JSON."""
    options = parse_options(arguments)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        try:
            if options.run is None:
                options.run, options.dataset = train_on_built_in_world(Path(folder), WITH_END)
            results = measure(options)
        except SegueError as error:
            raise SystemExit(f"error: {error}") from None
    seconds = round(time.perf_counter() - start)
    console = Console(width=190)
    show(results, console, options.only)
    machine = machine_report()
    record = {
        "benchmark": "playlist_highlights",
        "seed": options.seed,
        "part": options.part,
        "seconds": seconds,
        "machine": {key: machine[key] for key in ("cores", "devices")},
    }
    console.out(json.dumps(record | as_mappings(results)), highlight=False)


if __name__ == "__main__":
    main()
