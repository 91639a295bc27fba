"""Explanations beside the removal of each event: agreement, and cost in core-seconds.

    python benchmarks/explanations.py [RUN DATASET] [--requests 500] [--timed 20] [-k 10] [--long]

Without a run, a small default model is trained on the built-in world. For validation requests it
explains the ``k`` best items in one pass, and compares the named reason with the contributions by
brute force: the whole ensemble scores the history without each event. The time of one pass is
compared with that of one request per event, one after the other, and with brute force in batches.
``--long`` also times an untrained transformer alone: 6 layers of width 128, context 200. Prints a
table, then one JSON line.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from flax import nnx
from rich.console import Console
from rich.table import Table

from segue.config import ModelConfig
from segue.dataset import Dataset
from segue.features import NO_FEATURES
from segue.model import Transformer
from segue.preparation import prepare
from segue.ragged import Ragged
from segue.ranking import Query
from segue.recommender import Encoder, Ensemble, Recommender, prompt_layout
from segue.recommender.explaining.contributions import contributions
from segue.tokens import N_SPECIALS
from segue.trainer import train
from segue.trainer.ensemble.requests import fitting_requests

N_STRONGEST = 2
"""The named reason agrees if it is among this many strongest ones by brute force."""
AGREED = "named reason among the two strongest, share"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("dataset", type=Path, nargs="?")
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("--timed", type=int, default=20, help="requests whose time is measured")
    parser.add_argument("-k", type=int, default=10, help="items that are explained per request")
    parser.add_argument("--long", action="store_true", help="also time a long context")
    given = parser.parse_args(arguments)
    if given.run is not None and given.dataset is None:
        parser.error("give the dataset of the run too")
    with TemporaryDirectory() as folder:
        if given.run is None:
            given.dataset = prepare(
                None, Path(folder) / "world", sequences=400, items=300, mean_length=15
            ).path
            data = Dataset.open(given.dataset)
            given.run = train(
                data, Path(folder) / "run", preset="sasrec", ensemble=True, max_steps=20, trials=2
            ).path
        model, data = Recommender.load(given.run), Dataset.open(given.dataset)
        result = measure(model.ensemble, data, given.requests, given.timed, given.k)
    if given.long:
        result |= {f"cost, context 200, {n} events": long_context(n) for n in (100, 199)}
    report({"model": model.name, "dataset": data.name, **result})


def measure(
    ensemble: Ensemble, data: Dataset, n_requests: int, n_timed: int, k: int
) -> dict[str, Any]:
    """Explain and compare: the content of the JSON line.

    Raises:
        ValueError: the dataset has no validation targets.
    """
    continuation = data.split_rule.whole_sequences
    requests = fitting_requests(data, continuation=continuation, max_requests=n_requests)
    if requests is None:
        raise ValueError("the dataset has no validation targets")
    query = requests.query
    items = Ragged.from_rows(list(ensemble.top(query.with_k(k)).items))
    one_pass = contributions(ensemble, query, items)
    ranks, difference = [], 0.0
    for row, of_items in enumerate(one_pass):
        exact = by_removal(ensemble, query.slice(row, row + 1), items.row(row))
        difference = max(difference, float(np.abs(of_items - exact).max(initial=0)))
        if of_items.shape[1]:
            named = np.argmax(of_items, axis=1)
            by_named = np.take_along_axis(exact, named[:, None], axis=1)
            ranks.append(1 + np.count_nonzero(exact > by_named, axis=1))
    agrees = np.array(ranks) <= N_STRONGEST
    return {
        "requests": len(query),
        "mean events": round(len(query.histories.values) / len(query), 1),
        f"{AGREED} of best items": round(float(agrees[:, 0].mean()), 4),
        f"{AGREED} of {k} best items": round(float(agrees.mean()), 4),
        "largest difference, nats": float(f"{difference:.2g}"),
        **times(ensemble, query.slice(0, n_timed), items.slice(0, n_timed)),
    }


def by_removal(
    ensemble: Ensemble, request: Query, items: np.ndarray, *, at_once: bool = True
) -> np.ndarray:
    """The contributions by scoring the history without each event: (items, events).

    Args:
        request: one request.
        at_once: whether to score all shortened histories in batches; else one after the other.
    """
    history = request.histories.row(0)
    rows = [history, *(np.delete(history, i) for i in range(len(history)))]
    features = request.sequence_features
    query = replace(
        request,
        histories=Ragged.from_rows(rows),
        seen=Ragged.from_rows([request.seen.row(0)] * len(rows)),
        rows=np.repeat(request.rows, len(rows)),
        times=None,
        sequence_features=None if features is None else list(features) * len(rows),
    )
    listed = Ragged.from_rows([items] * len(rows))
    if at_once:
        scores = ensemble.scores(query, listed).reshape(len(rows), -1)
    else:
        blocks = zip(query.blocks(1), range(len(rows)), strict=True)
        scores = np.stack(
            [ensemble.scores(block, listed.slice(row, row + 1)) for (_, block), row in blocks]
        )
    return (scores[0] - scores[1:]).T


def times(ensemble: Ensemble, query: Query, items: Ragged) -> dict[str, float]:
    """Core-seconds of one pass over some requests, over each request, and of brute force."""
    ways: dict[str, Callable[[], object]] = {
        "one pass": lambda: contributions(ensemble, query, items),
        "one pass per request": lambda: [
            contributions(ensemble, query.slice(row, row + 1), items.slice(row, row + 1))
            for row in range(len(query))
        ],
        "separate passes": lambda: [
            by_removal(ensemble, query.slice(row, row + 1), items.row(row), at_once=False)
            for row in range(len(query))
        ],
        "removal in batches": lambda: [
            by_removal(ensemble, query.slice(row, row + 1), items.row(row))
            for row in range(len(query))
        ],
    }
    spent = dict.fromkeys(ways, 0.0)
    for turn in range(3):
        for name, run in ways.items():
            start = time.process_time()
            run()
            if turn:  # the first turn compiles
                spent[name] += (time.process_time() - start) / 2
    seconds = {f"core-seconds, {name}": round(value, 3) for name, value in spent.items()}
    ratio = spent["one pass per request"] / spent["separate passes"]
    return {**seconds, "timed requests": len(query), "cost of separate passes": round(ratio, 3)}


def long_context(n_events: int, k: int = 10) -> float:
    """The cost, as a share of separate passes, for an untrained transformer of a long context."""
    size, random = 3_420, np.random.default_rng(0)
    config = ModelConfig(layers=6, heads=2, width=128, feed_forward=256, context=200)
    transformer = Transformer(config, size, rngs=nnx.Rngs(0))
    encoder = Encoder(*nnx.split(transformer), prompt_layout(config, size), NO_FEATURES)
    history = Ragged.from_rows([random.integers(N_SPECIALS, size, n_events)])
    items = Ragged.from_rows([random.integers(N_SPECIALS, size, k)])
    query = Query(history, seen=history, rows=np.array([-1]))
    return times(Ensemble(encoder), query, items)["cost of separate passes"]


def report(result: dict[str, Any]) -> None:
    table = Table("figure", "value")
    for name, value in result.items():
        table.add_row(name, str(value))
    Console().print(table)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
